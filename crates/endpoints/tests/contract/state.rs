//! The state behind the API in these tests: real clients over a fixed table, held or silenced at will.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use connections::{
    Annotate, ConnectionId, Direction, Event, Facts, KernelTime, Observation, Protocol, RawCounters, State,
    Table, TcpFacts, Tuple, WallOffset,
};
use deltas::{ClientId, ClientLimits, Clients, Health, Peer, Refusal, Settings, Ticket};
use encode::{Count, Process, Program, Sampled, Status, WallTime, reference};
use endpoints::{
    Backend, ClientAnswer, ClientsAnswer, Everything, Identity, ListenersAnswer, Page, Pass, Query,
    Registered, Turns, Unavailable,
};
use tokio::sync::{mpsc, watch};

/// Of the clock in these tests: the kernel's begins with 0.
const WALL: WallOffset = WallOffset(1_795_341_600_000_000_000);

/// The way to the state, and what the test may turn and look at.
#[derive(Clone)]
pub(crate) struct Fake {
    queue: mpsc::Sender<Query>,
    controls: Arc<Controls>,
}

struct Controls {
    identity: Identity,
    ready: AtomicBool,
    /// While true, queries are taken and dropped.
    silent: AtomicBool,
    /// While true, no pass comes to its end, so that polls wait.
    held: watch::Sender<bool>,
    /// How many connections there are.
    connections: AtomicU64,
    /// Nanoseconds by which the clock was put forward.
    ahead: AtomicU64,
    /// Polls that the API asked for.
    polls_asked: watch::Sender<usize>,
    /// The fates of answers, in order.
    resolved: watch::Sender<Vec<bool>>,
}

impl Backend for Fake {
    async fn ask(&self, query: Query) -> Result<(), Unavailable> {
        let is_poll = matches!(query, Query::Poll(_));
        self.queue.send(query).await.map_err(|_| Unavailable)?;
        if is_poll {
            self.controls.polls_asked.send_modify(|polls| *polls += 1);
        }
        Ok(())
    }

    fn identity(&self) -> &Identity {
        &self.controls.identity
    }

    fn ready(&self) -> bool {
        self.controls.ready.load(Ordering::Relaxed)
    }

    fn write_maps(&self, names: &[String], out: &mut dyn io::Write) -> io::Result<()> {
        names.iter().try_for_each(|name| writeln!(out, "map {name}"))
    }

    fn degradations(&self) -> Vec<String> {
        vec!["tcp_owner".to_owned()]
    }

    fn has_page(&self, page: Page) -> bool {
        page != Page::ConntrackHost
    }

    fn write_page(&self, page: Page, out: &mut dyn io::Write) -> io::Result<()> {
        match page {
            Page::ProcessCache => reference::ProcessPage::begin(out)?.end(),
            Page::ConntrackCached | Page::ConntrackHost => {
                reference::ConntrackPage::begin(out, 7)?.end(false)
            }
        }
    }

    fn context(&self) -> Box<dyn Annotate + '_> {
        Box::new(())
    }
}

impl Fake {
    /// A state with this many live connections, room for `clients`, and for so many bytes of answers.
    pub(crate) fn start(connections: u64, clients: usize, answer_bytes: usize) -> Self {
        let (queue, queries) = mpsc::channel(64);
        let controls = Arc::new(Controls {
            identity: Identity {
                instance: "test-1".to_owned(),
                config: "[log]\nlevel = \"info\"\n".to_owned(),
            },
            ready: AtomicBool::new(true),
            silent: AtomicBool::new(false),
            held: watch::Sender::new(false),
            connections: AtomicU64::new(connections),
            ahead: AtomicU64::new(0),
            polls_asked: watch::Sender::new(0),
            resolved: watch::Sender::new(Vec::new()),
        });
        tokio::spawn(Owned::new(clients, answer_bytes).run(queries, Arc::clone(&controls)));
        Self { queue, controls }
    }

    pub(crate) fn hold(&self) {
        self.controls.held.send_replace(true);
    }

    pub(crate) fn release(&self) {
        self.controls.held.send_replace(false);
    }

    /// From now on there are this many connections.
    pub(crate) fn grow(&self, connections: u64) {
        self.controls.connections.store(connections, Ordering::Relaxed);
    }

    /// Puts the clock of the state forward.
    pub(crate) fn put_forward(&self, time: Duration) {
        let nanoseconds = u64::try_from(time.as_nanos()).expect("a time of a test");
        self.controls.ahead.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    pub(crate) fn silence(&self, silent: bool) {
        self.controls.silent.store(silent, Ordering::Relaxed);
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.controls.ready.store(ready, Ordering::Relaxed);
    }

    /// How many ways to the state there are.
    pub(crate) fn ways(&self) -> usize {
        self.queue.strong_count()
    }

    pub(crate) fn polls_asked(&self) -> watch::Receiver<usize> {
        self.controls.polls_asked.subscribe()
    }

    pub(crate) fn resolved(&self) -> watch::Receiver<Vec<bool>> {
        self.controls.resolved.subscribe()
    }
}

/// What the thread of the state owns in the real process.
struct Owned {
    table: Table,
    clients: Clients,
    turns: Turns,
    /// Polls that wait for the end of a pass.
    waiting: Vec<Ticket>,
    connections: u64,
    queries: u64,
    now: KernelTime,
}

impl Owned {
    fn new(clients: usize, answer_bytes: usize) -> Self {
        let limits =
            ClientLimits { clients, clients_per_user: clients, answer_bytes, ..ClientLimits::default() };
        Self {
            table: Table::new(usize::MAX),
            clients: Clients::new(limits, KernelTime(0)),
            turns: Turns::default(),
            waiting: Vec::new(),
            connections: 0,
            queries: 0,
            now: KernelTime(0),
        }
    }

    async fn run(mut self, mut queries: mpsc::Receiver<Query>, controls: Arc<Controls>) {
        let mut held = controls.held.subscribe();
        loop {
            let query = tokio::select! {
                query = queries.recv() => match query {
                    Some(query) => Some(query),
                    None => return,
                },
                _ = held.changed() => None,
            };
            if query.is_some() && controls.silent.load(Ordering::Relaxed) {
                continue;
            }
            self.queries += 1;
            self.now = KernelTime(1_000_000 * self.queries + controls.ahead.load(Ordering::Relaxed));
            self.clients.expire(self.now);
            self.read(controls.connections.load(Ordering::Relaxed));
            if let Some(delivered) = query.and_then(|query| self.answer(query)) {
                controls.resolved.send_modify(|resolved| resolved.push(delivered));
            }
            self.answer_polls(!*held.borrow_and_update());
        }
    }

    /// Nobody listens to a reply when the test's client went away.
    fn answer(&mut self, query: Query) -> Option<bool> {
        let now = self.now;
        match query {
            Query::Register { id, peer, settings, reply } => {
                let _ = reply.send(self.register(&id, peer, settings));
            }
            Query::Client { id, peer, reply } => {
                let client = self.clients.state(&id, peer);
                let _ = reply.send(client.map(|client| ClientAnswer { client, wall: WALL }));
            }
            Query::Clients { peer, reply } => {
                let _ = reply.send(ClientsAnswer { clients: self.clients.list_for(peer), wall: WALL });
            }
            Query::Remove { id, peer, reply } => {
                let _ = reply.send(self.clients.remove(&id, peer, now));
                self.turns.advance(&mut self.clients, now);
            }
            Query::Poll(poll) => self.turns.begin(&mut self.clients, poll, now),
            Query::Resolve { ticket, delivered } => {
                self.turns.end(&mut self.clients, &ticket, delivered, now);
                return Some(delivered);
            }
            Query::Listeners { reply } => {
                let listeners = self.table.listeners().iter().copied().collect();
                let _ = reply.send(ListenersAnswer { listeners, at: now, wall: WALL });
            }
            Query::Everything { reply } => {
                let delta = self.clients.everything(&self.table, Health::default(), now);
                let _ = reply.send(delta.map(|delta| Everything { delta, wall: WALL }));
            }
            Query::Remembered { id, peer, reply } => {
                let _ = reply.send(self.clients.remembered(&id, peer, &self.table));
            }
            Query::Status { reply } => {
                let _ = reply.send(self.status());
            }
        }
        None
    }

    fn register(&mut self, id: &ClientId, peer: Peer, settings: Settings) -> Result<Registered, Refusal> {
        let registration = self.clients.register(id, peer, settings, self.now)?;
        let client = self.clients.state(id, peer)?;
        Ok(Registered { registration, client, wall: WALL })
    }

    fn read(&mut self, connections: u64) {
        for cookie in self.connections..connections {
            self.table.apply(Event::Read(observation(cookie)));
        }
        self.connections = connections;
    }

    /// Answers those that have begun, if a pass comes to its end.
    fn answer_polls(&mut self, pass_ends: bool) {
        loop {
            self.waiting.extend(std::iter::from_fn(|| self.turns.next_begun()));
            if self.waiting.is_empty() || !pass_ends {
                return;
            }
            let pass = Pass { table: &self.table, health: Health::default(), at: self.now, wall: WALL };
            for ticket in std::mem::take(&mut self.waiting) {
                self.turns.answer(&mut self.clients, &ticket, &pass, self.now);
            }
        }
    }

    fn status(&self) -> Status {
        Status {
            version: "0.0.0".to_owned(),
            instance: "test-1".to_owned(),
            started_at: WallTime(1_795_341_600_000_000_000),
            kernel: "6.18".to_owned(),
            about: None,
            capabilities: Vec::new(),
            limits: [("clients".to_owned(), 64)].into(),
            counters: vec![Count::total(
                "clients_expired",
                "sockeye_clients_expired",
                "Clients that expired.",
                self.clients.expired_count(),
            )],
            lost: [("closed_log_full", self.clients.given_up().into())].into(),
            audit: None,
            clients: self.clients.list().len() as u64,
            live_connections: self.table.live_count() as u64,
            programs: vec![Program {
                name: "a\"} 1\n\\b".to_owned(),
                id: None,
                sampled: Some(Sampled { window_ms: 1000, runs: 7, run_time_ns: 70 }),
            }],
            process: Process { cpu_ns: 1, resident_bytes: None },
        }
    }
}

/// A connection that no other one is taken for: each has an address of its own.
fn observation(cookie: u64) -> Observation {
    let number = u32::try_from(cookie).expect("so many connections are not made");
    let end = |host: u32, port: u16| (std::net::Ipv4Addr::from_bits(0x0a00_0000 + host), port).into();
    Observation {
        id: ConnectionId { cookie, claimed_at: KernelTime(cookie) },
        tuple: Tuple::canonical(Protocol::Tcp, 1, end(2 + number, 40_000), end(1, 443)),
        direction: Direction::Outgoing,
        owner: None,
        state: State::Established,
        established_at: Some(KernelTime(cookie)),
        pre_existing: false,
        counters: RawCounters { sent_bytes: 10, received_bytes: 20, ..RawCounters::default() },
        facts: Facts::Tcp(TcpFacts::default()),
        failed: None,
        found: false,
        isns: None,
    }
}
