//! The host, and what happens to it and to the clients.

use std::collections::BTreeMap;

use connections::{
    Command, Connection, ConnectionId, Counters, Criteria, Ending, Event, Filter, KernelTime, Observation,
    Owner, OwnerSource, Protocol, RawCounters, RollUp, RollUpKey, State, Table,
};
use deltas::{
    Ask, Begun, ClientId, ClientLimits, Clients, Delta, Health, Peer, Refusal, Registration, Settings,
    Ticket, View,
};

use crate::fixtures::{datagrams, observation};
use crate::model::step::Step;

/// More than the table, and what is told of it, keep in one piece.
pub(crate) const SOCKETS: usize = 70;
/// The sockets on which nearly everything happens, so that much happens on each.
pub(crate) const BUSY: usize = 5;
/// Of each so many sockets, those from this one on are of UDP.
const FIRST_UDP: usize = 3;
const ECONNREFUSED: u16 = 111;
/// The process of which the filter tells nothing.
const EXCLUDED_PID: u32 = 7;
pub(crate) const READERS: usize = 3;
const SECOND: u64 = 1_000_000_000;
/// The time to live of who asks for none, and of who asks for another.
pub(crate) const TTL: u64 = 20 * SECOND;
pub(crate) const TTL_ASKED: u64 = 12 * SECOND;
pub(crate) const UNBOUNDED: usize = 100_000;
/// What the kernel side adds up has nothing in common but the protocol.
const OF_KERNEL: RollUpKey = RollUpKey { protocol: Protocol::Tcp, common: None };
/// A reading may come late by so many passes.
const LATE_PASSES_MAX: u64 = 2;
pub(crate) const USER: Peer = Peer::User(1000);

#[derive(Debug, Clone, Copy)]
struct Socket {
    id: ConnectionId,
    counters: RawCounters,
    state: State,
    failed: Option<(u16, KernelTime)>,
    /// Older than the tracer.
    pre_existing: bool,
}

/// How much is kept of what has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) closed_records: usize,
    pub(crate) rollups: usize,
}

/// What ended in one step.
#[derive(Debug, Default)]
pub(crate) struct Ends {
    pub(crate) closed: Vec<ConnectionId>,
    /// Connections and their counters that the kernel side added up.
    pub(crate) rolled_up: Option<(u64, Counters)>,
}

/// The host, the table and the clients under test.
pub(crate) struct Host {
    pub(crate) now: u64,
    pass: u64,
    pass_at: u64,
    sockets: [Option<Socket>; SOCKETS],
    /// The last connection of each that ended, and in which pass.
    ended: [Option<(Socket, u64)>; SOCKETS],
    pub(crate) table: Table,
    pub(crate) clients: Clients,
    /// As they were at last, of the closed.
    pub(crate) finals: BTreeMap<ConnectionId, Connection>,
    /// Of every poll that began.
    pub(crate) tickets: [Vec<Ticket>; READERS],
}

impl Host {
    pub(crate) fn new(bounds: Bounds) -> Self {
        let Bounds { closed_records, rollups } = bounds;
        let limits = ClientLimits { closed_records, rollups, ttl_ns: TTL, ..ClientLimits::default() };
        Self {
            now: 0,
            pass: 0,
            pass_at: 0,
            sockets: [None; SOCKETS],
            ended: [None; SOCKETS],
            table: Table::with_filter(UNBOUNDED, filter()),
            clients: Clients::new(limits, KernelTime(0)),
            finals: BTreeMap::new(),
            tickets: [vec![], vec![], vec![]],
        }
    }

    /// Does what is no business of a client; gives what ended.
    pub(crate) fn take(&mut self, step: Step) -> Ends {
        self.now += 1;
        let mut ends = Ends::default();
        match step {
            Step::Grow { socket, sent, received } => self.grow(socket, sent, received),
            Step::Adopt { socket, sent } => self.adopt(socket, sent),
            Step::HalfClose(socket) => self.half_close(socket),
            Step::Read(socket) => self.read(socket),
            Step::Backwards(socket) => self.read_backwards(socket),
            Step::Late(socket) => self.read_late(socket),
            Step::Close(socket) => self.close(socket),
            Step::Fill { sent } => (0..SOCKETS).for_each(|socket| {
                self.grow(socket, sent, 0);
                self.read(socket);
            }),
            Step::Clear => (0..SOCKETS).for_each(|socket| self.close(socket)),
            Step::Crowd { socket, connections } => (0..connections).for_each(|number| {
                self.close(socket);
                self.now += 1;
                self.grow(socket, number.into(), 1);
            }),
            Step::Vanish(socket) => self.vanish(socket),
            Step::Miss(socket) => self.pass(Some(socket), 1),
            Step::RollUp { connections, sent } => {
                let total = Counters { sent_bytes: sent.into(), ..Counters::default() };
                ends.rolled_up = Some((connections.into(), total));
                self.table.apply(Event::RollUp(Box::new(rolled_up(connections.into(), total))));
            }
            Step::Wait(seconds) => self.now += seconds * SECOND,
            _ => {}
        }
        self.clients.expire(KernelTime(self.now));
        for closed in self.table.take_closed() {
            ends.closed.push(closed.id());
            self.finals.insert(closed.id(), closed.connection());
            self.clients.keep_closed(closed);
        }
        let rolled_up = self.table.take_rolled_up();
        ends.rolled_up = ends.rolled_up.filter(|_| !rolled_up.is_empty());
        rolled_up.into_iter().for_each(|rollup| self.clients.keep_rolled_up(rollup));
        ends
    }

    fn grow(&mut self, socket: usize, sent: u32, received: u32) {
        let id = ConnectionId { cookie: socket as u64, claimed_at: KernelTime(self.now) };
        let state = if socket % BUSY < FIRST_UDP { State::SynSent } else { State::Open };
        let new = Socket { id, counters: RawCounters::default(), state, failed: None, pre_existing: false };
        let socket = self.sockets[socket].get_or_insert(new);
        socket.counters.sent_bytes += u64::from(sent);
        socket.counters.received_bytes += u64::from(received);
        socket.counters.sent_packets += 1;
        if socket.state == State::SynSent && socket.counters.sent_packets > 1 {
            socket.state = State::Established;
        }
    }

    /// Traffic from before tracing is no news to anybody.
    fn adopt(&mut self, socket: usize, sent: u32) {
        if self.sockets[socket].is_none() {
            self.grow(socket, sent, sent);
            self.grow(socket, 0, 0);
            for socket in self.sockets[socket].iter_mut() {
                socket.pre_existing = true;
                self.table.apply(Event::Adopted(observed(*socket)));
            }
        }
    }

    fn half_close(&mut self, socket: usize) {
        for socket in self.sockets[socket].iter_mut() {
            match socket.state {
                State::Open => socket.failed = Some((ECONNREFUSED, KernelTime(self.now))),
                State::Established => socket.state = State::CloseWait,
                _ => {}
            }
        }
    }

    fn read(&mut self, socket: usize) {
        if let Some(socket) = self.sockets[socket] {
            self.table.apply(Event::Read(observed(socket)));
        }
    }

    /// The kernel says less than before.
    fn read_backwards(&mut self, socket: usize) {
        if let Some(mut socket) = self.sockets[socket] {
            socket.counters.sent_bytes /= 2;
            self.table.apply(Event::Read(observed(socket)));
        }
    }

    /// A reading of a connection that has ended comes after its final record.
    fn read_late(&mut self, socket: usize) {
        if let Some((socket, _)) = self.ended[socket].filter(|(_, pass)| self.pass - pass <= LATE_PASSES_MAX)
        {
            self.table.apply(Event::Read(observed(socket)));
        }
    }

    fn close(&mut self, number: usize) {
        if let Some(socket) = self.sockets[number].take() {
            self.table.apply(Event::Closed(observed(socket), ending(socket, self.now)));
            self.ended[number] = Some((socket, self.pass));
        }
    }

    fn vanish(&mut self, socket: usize) {
        self.sockets[socket] = None;
        (0..4).for_each(|_| self.pass(None, 5 * SECOND));
    }

    /// A pass that reads all, or all but one, some time after the last.
    fn pass(&mut self, missed: Option<usize>, after: u64) {
        (0..SOCKETS).filter(|socket| Some(*socket) != missed).for_each(|socket| self.read(socket));
        self.pass_at += after;
        self.pass += 1;
        self.table.apply(Event::PassEnded { at: KernelTime(self.pass_at) });
    }

    /// One that asks for a time to live asks for the view by ports too.
    pub(crate) fn register(&mut self, reader: usize, asks: bool) -> Result<Registration, Refusal> {
        let settings = Settings { ttl_ns: asks.then_some(TTL_ASKED), view: asks.then_some(View::Ports) };
        self.clients.register(&client(reader), USER, settings, KernelTime(self.now))
    }

    pub(crate) fn begin(&mut self, reader: usize, after: Option<u64>) -> Result<Begun, Refusal> {
        let ask = Ask { after, ..Ask::default() };
        let begun = self.clients.begin(&client(reader), USER, ask, KernelTime(self.now))?;
        self.tickets[reader].push(begun.ticket.clone());
        Ok(begun)
    }

    pub(crate) fn answer(&mut self, ticket: &Ticket) -> Result<Delta, Refusal> {
        self.clients.answer(ticket, &self.table, Health::default(), KernelTime(self.now))
    }

    pub(crate) fn end(&mut self, ticket: &Ticket, delivered: bool) {
        self.clients.end(ticket, delivered, KernelTime(self.now));
    }
}

/// Every second socket talks to one end, the others to another.
fn observed(socket: Socket) -> Observation {
    let Socket { id, counters, state, failed, pre_existing } = socket;
    let mut observation =
        if state == State::Open { datagrams(id.cookie, 0) } else { observation(id.cookie, 0) };
    observation.tuple.remote.set_port(if id.cookie.is_multiple_of(2) { 443 } else { 80 });
    let established = !matches!(state, State::Open | State::SynSent);
    let established_at = established.then_some(KernelTime(id.claimed_at.0 + 1));
    let owner = owner(socket);
    Observation { id, owner, counters, state, failed, established_at, pre_existing, ..observation }
}

/// Every second socket is of nobody, as far as is known, then of the excluded process, then of another one. So what a pass
/// finds is visible at once, or later, or never.
fn owner(socket: Socket) -> Option<Owner> {
    let (pid, source) = match socket.counters.sent_packets {
        _ if socket.id.cookie.is_multiple_of(2) => return None,
        ..2 => return None,
        2..4 => (EXCLUDED_PID, OwnerSource::Listener),
        _ => (EXCLUDED_PID + 1, OwnerSource::Connect),
    };
    Some(Owner {
        pid,
        tid: pid,
        uid: 0,
        command: Command::default(),
        cgroup_id: None,
        container: None,
        started_at_boot_ns: 1,
        kernel: false,
        source,
    })
}

fn filter() -> Filter {
    let excluded = Criteria { pid: Some(EXCLUDED_PID), ..Criteria::default() };
    Filter { exclude: vec![excluded], ..Filter::default() }
}

fn rolled_up(connections: u64, total: Counters) -> RollUp {
    RollUp {
        key: OF_KERNEL,
        owner: None,
        connections,
        established: None,
        total,
        counts_rtos: false,
        failures: Vec::new(),
        last_closed_at: KernelTime(1),
    }
}

fn ending(socket: Socket, now: u64) -> Ending {
    let (state_before, errno) = match socket.state {
        State::Open => (State::Open, socket.failed.map_or(0, |(errno, _)| errno)),
        State::SynSent => (State::SynSent, ECONNREFUSED),
        _ => (State::LastAck, 0),
    };
    Ending { closed_at: KernelTime(now), state_before, errno }
}

pub(crate) fn client(reader: usize) -> ClientId {
    ClientId::parse(&format!("reader-{reader}")).expect("a valid id")
}
