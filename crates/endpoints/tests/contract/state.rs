//! The state behind the API in these tests: real clients over a fixed table, held or silenced at will.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use connections::{
    ConnectionId, Direction, Event, Facts, KernelTime, Observation, Protocol, RawCounters, State, Table,
    TcpFacts, Tuple, WallOffset,
};
use deltas::{ClientId, ClientLimits, Clients, Health, Peer, Refusal};
use encode::{Count, Process, Program, Sampled, Status, WallTime};
use endpoints::{Backend, Identity, ListenersAnswer, PollAnswer, Query, Registered, Unavailable};
use tokio::sync::{mpsc, watch};

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
    /// While true, no query is taken.
    held: watch::Sender<bool>,
    /// Polls that the API asked for.
    polls_asked: watch::Sender<usize>,
    /// The fates of answers, in order.
    resolved: watch::Sender<Vec<bool>>,
}

impl Backend for Fake {
    async fn ask(&self, query: Query) -> Result<(), Unavailable> {
        let is_poll = matches!(query, Query::Poll { .. });
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
}

impl Fake {
    /// A state with this many live connections and room for `clients`.
    pub(crate) fn start(connections: u64, clients: usize) -> Self {
        let (queue, queries) = mpsc::channel(64);
        let controls = Arc::new(Controls {
            identity: Identity { instance: "test-1".to_owned(), degradations: vec!["tcp_owner".to_owned()] },
            ready: AtomicBool::new(true),
            silent: AtomicBool::new(false),
            held: watch::Sender::new(false),
            polls_asked: watch::Sender::new(0),
            resolved: watch::Sender::new(Vec::new()),
        });
        tokio::spawn(Owned::new(connections, clients).run(queries, Arc::clone(&controls)));
        Self { queue, controls }
    }

    pub(crate) fn hold(&self) {
        self.controls.held.send_replace(true);
    }

    pub(crate) fn release(&self) {
        self.controls.held.send_replace(false);
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
    now: u64,
}

impl Owned {
    fn new(connections: u64, clients: usize) -> Self {
        let mut table = Table::new(usize::MAX);
        for cookie in 0..connections {
            table.apply(Event::Read(observation(cookie)));
        }
        let limits = ClientLimits { clients, clients_per_user: clients, ..ClientLimits::default() };
        Self { table, clients: Clients::new(limits, KernelTime(0)), now: 0 }
    }

    async fn run(mut self, mut queries: mpsc::Receiver<Query>, controls: Arc<Controls>) {
        let mut held = controls.held.subscribe();
        while let Some(query) = queries.recv().await {
            if held.wait_for(|held| !*held).await.is_err() {
                return;
            }
            if controls.silent.load(Ordering::Relaxed) {
                continue;
            }
            self.now += 1_000_000;
            if let Some(delivered) = self.answer(query) {
                controls.resolved.send_modify(|resolved| resolved.push(delivered));
            }
        }
    }

    /// Nobody listens to a reply when the test's client went away.
    fn answer(&mut self, query: Query) -> Option<bool> {
        let now = KernelTime(self.now);
        match query {
            Query::Register { id, peer, reply } => {
                let _ = reply.send(self.register(&id, peer));
            }
            Query::Remove { id, peer, reply } => {
                let _ = reply.send(self.clients.remove(&id, peer, now));
            }
            Query::Poll { id, peer, create, reply } => {
                let _ = reply.send(self.poll(&id, peer, create));
            }
            Query::Resolve { receipt, delivered } => {
                match delivered {
                    true => self.clients.acknowledge(&receipt, now),
                    false => self.clients.roll_back(&receipt, now),
                }
                return Some(delivered);
            }
            Query::Listeners { reply } => {
                let listeners = self.table.listeners().iter().copied().collect();
                let wall = WallOffset(1_795_341_600_000_000_000);
                let _ = reply.send(ListenersAnswer { listeners, at: now, wall });
            }
            Query::Status { reply } => {
                let _ = reply.send(self.status());
            }
        }
        None
    }

    fn register(&mut self, id: &ClientId, peer: Peer) -> Result<Registered, Refusal> {
        let registration = self.clients.register(id, peer, KernelTime(self.now))?;
        let client = self.clients.state(id, peer)?;
        Ok(Registered { registration, client })
    }

    fn poll(&mut self, id: &ClientId, peer: Peer, create: bool) -> Result<PollAnswer, Refusal> {
        if create {
            self.clients.register(id, peer, KernelTime(self.now))?;
        }
        let delta = self.clients.poll(id, peer, &self.table, Health::default(), KernelTime(self.now))?;
        Ok(PollAnswer { delta, wall: WallOffset(1_795_341_600_000_000_000) })
    }

    fn status(&self) -> Status {
        Status {
            version: "0.0.0".to_owned(),
            instance: "test-1".to_owned(),
            started_at: WallTime(1_795_341_600_000_000_000),
            kernel: "6.18".to_owned(),
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
