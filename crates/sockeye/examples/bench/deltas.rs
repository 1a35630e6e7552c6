//! What the deltas take: to make one and to look at all that it tells, of connections that all have news, each with an id of
//! its own. Without a kernel side: the events are made up.

use std::hint::black_box;
use std::net::Ipv4Addr;
use std::time::Instant;

use anyhow::Context;
use connections::{
    Command, ConnectionId, Direction, Event, Facts, KernelTime, Observation, Owner, OwnerSource, Protocol,
    RawCounters, State, Table, TcpFacts, Tuple,
};
use deltas::{Ask, ClientId, ClientLimits, Clients, Delta, Health, Peer, Settings, Ticket};

use crate::sample::Sample;
use crate::table::{Limit, Values};

/// The connections that count, and so many times as many, which may not cost half as much again each.
pub const CONNECTIONS: u32 = 100_000;
const TIMES: u32 = 10;
const DELTA_NS_MAX: f64 = 100.0;
const GROWTH_MAX: f64 = 1.5;

/// Each of so many processes has its share of the connections.
const PROCESSES: u32 = 1000;

pub fn measure(rounds: u32) -> anyhow::Result<Values> {
    let mut table = Values::default();
    let few = Readings::of(CONNECTIONS, rounds, &mut table)?;
    let many = Readings::of(CONNECTIONS * TIMES, rounds.min(10), &mut table)?;
    let growth = Sample::new(many).median() / Sample::new(few).median();
    let name = format!("delta of {TIMES} times as many, per connection, times as long");
    table.add(name, "x", growth, Limit::AtMost(GROWTH_MAX));
    Ok(table)
}

/// A table of live connections, and one client of it.
pub struct Readings {
    connections: u32,
    /// A connection by its number, when it has sent so many bytes.
    observe: Box<dyn Fn(u32, u64) -> Observation>,
    live: Table,
    clients: Clients,
    client: ClientId,
}

impl Readings {
    /// Measures with so many connections; gives what making and reading a delta took for each, in nanoseconds.
    fn of(connections: u32, rounds: u32, table: &mut Values) -> anyhow::Result<Vec<f64>> {
        let mut world = Self::new(connections, observation)?;
        let (mut made, mut told, mut both) = (Vec::new(), Vec::new(), Vec::new());
        let (mut read, mut seen) = (Vec::new(), Vec::new());
        // The first fills memory that the others find.
        for round in 0..=rounds {
            read.push(world.timed(|world| world.read(round.into()))?.1);
            seen.push(world.timed(Self::see)?.1);
            let ((delta, ticket), making) = world.timed(Self::make)?;
            let ((), telling) = world.timed(|_| look_at(&delta, connections))?;
            drop(delta);
            world.clients.end(&ticket, true, KernelTime(1));
            made.push(making);
            told.push(telling);
            both.push(making + telling);
        }
        let limit = if connections == CONNECTIONS { Limit::AtMost(DELTA_NS_MAX) } else { Limit::None };
        for (what, mut readings, limit) in [
            ("a pass that reads news of all, in the table", read, Limit::None),
            ("a pass that reads that nothing has changed, in the table", seen, Limit::None),
            ("delta made, while nobody else is answered", made, Limit::None),
            ("delta looked at, on another thread", told, Limit::None),
            ("delta, both", both.clone(), limit),
        ] {
            readings.remove(0);
            let name = format!("{connections} live, all with news: {what}, per connection");
            table.add_sample(name, "ns", &Sample::new(readings), limit);
        }
        both.remove(0);
        Ok(both)
    }

    pub fn new(
        connections: u32,
        observe: impl Fn(u32, u64) -> Observation + 'static,
    ) -> anyhow::Result<Self> {
        let limits = ClientLimits { answer_bytes: usize::MAX, ..ClientLimits::default() };
        let mut clients = Clients::new(limits, KernelTime(0));
        let client = ClientId::parse("bench")?;
        clients.register(&client, Peer::ROOT, Settings::default(), KernelTime(1))?;
        Ok(Self { connections, observe: Box::new(observe), live: Table::new(usize::MAX), clients, client })
    }

    /// Does `work`; gives nanoseconds per connection too.
    fn timed<T>(&mut self, work: impl FnOnce(&mut Self) -> anyhow::Result<T>) -> anyhow::Result<(T, f64)> {
        let begin = Instant::now();
        let done = work(self)?;
        Ok((done, begin.elapsed().as_secs_f64() * 1e9 / f64::from(self.connections)))
    }

    /// Every connection has sent more.
    pub fn read(&mut self, round: u64) -> anyhow::Result<()> {
        for number in 0..self.connections {
            self.live.apply(Event::Read((self.observe)(number, 1 + round)));
        }
        Ok(())
    }

    fn see(&mut self) -> anyhow::Result<()> {
        let ids: Vec<ConnectionId> = (0..self.connections).map(id).collect();
        // As many as the kernel side tells at once.
        ids.chunks(128).for_each(|ids| self.live.apply(Event::Unchanged(ids.to_vec())));
        Ok(())
    }

    pub fn make(&mut self) -> anyhow::Result<(Delta, Ticket)> {
        let ticket = self.clients.begin(&self.client, Peer::ROOT, Ask::default(), KernelTime(1))?.ticket;
        let delta = self.clients.answer(&ticket, &self.live, Health::default(), KernelTime(1))?;
        Ok((delta, ticket))
    }
}

fn look_at(delta: &Delta, connections: u32) -> anyhow::Result<()> {
    let (mut count, mut bytes) = (0, 0);
    for change in delta.changes.each() {
        count += 1;
        bytes += black_box(&change.change()).delta.sent_bytes;
    }
    let news = (count, bytes) == (connections, connections.into());
    news.then_some(()).context("not every connection had one byte of news")
}

fn id(number: u32) -> ConnectionId {
    ConnectionId { cookie: number.into(), claimed_at: KernelTime(u64::from(number) * 1000) }
}

/// Nothing is known of these but what the kernel tells.
pub fn observation(number: u32, sent_bytes: u64) -> Observation {
    let pid = 1 + number % PROCESSES;
    let owner = Owner {
        pid,
        tid: pid,
        uid: 0,
        command: Command::default(),
        cgroup_id: Some(1),
        container: None,
        started_at_boot_ns: 1,
        kernel: false,
        source: OwnerSource::Connect,
    };
    let remote = Ipv4Addr::from(0x0a00_0000 + number);
    Observation {
        id: id(number),
        tuple: Tuple::canonical(Protocol::Tcp, 1, ([10, 255, 0, 1], 40_000).into(), (remote, 443).into()),
        direction: Direction::Outgoing,
        owner: Some(owner),
        state: State::Established,
        established_at: Some(KernelTime(1)),
        pre_existing: false,
        found: false,
        counters: RawCounters { sent_bytes, ..RawCounters::default() },
        facts: Facts::Tcp(TcpFacts { srtt_us: Some(100), ..TcpFacts::default() }),
        failed: None,
        isns: Some((number, number)),
    }
}
