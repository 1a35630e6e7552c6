//! A table, its clients, and a clock that stands still until a test moves it.

use connections::{Counters, Ending, Event, KernelTime, Protocol, RollUp, RollUpKey, State, Table};
use deltas::{ClientId, ClientLimits, ClientState, Clients, Delta, Health, Peer, Refusal, Registration};

use crate::fixtures::observation;

pub(crate) const SECOND: u64 = 1_000_000_000;

/// The user whose requests a test sends unless it names another.
pub(crate) const USER: Peer = Peer { uid: 1000 };

pub(crate) struct World {
    pub(crate) table: Table,
    pub(crate) clients: Clients,
    pub(crate) now: KernelTime,
}

/// What an answer tells of one connection: its cookie, the bytes that are new, and whether it is closed.
pub(crate) type Told = (u64, u64, bool);

impl World {
    pub(crate) fn new() -> Self {
        Self::with(ClientLimits::default())
    }

    pub(crate) fn with(limits: ClientLimits) -> Self {
        let now = KernelTime(1000 * SECOND);
        Self { table: Table::new(1000), clients: Clients::new(limits, now), now }
    }

    pub(crate) fn with_closed_records(closed_records: usize) -> Self {
        Self::with(ClientLimits { closed_records, ..ClientLimits::default() })
    }

    pub(crate) fn wait(&mut self, seconds: u64) {
        self.now.0 += seconds * SECOND;
    }

    pub(crate) fn read(&mut self, cookie: u64, sent_bytes: u64) {
        self.table.apply(Event::Read(observation(cookie, sent_bytes)));
    }

    pub(crate) fn close(&mut self, cookie: u64, sent_bytes: u64) {
        let ending = Ending { closed_at: self.now, state_before: State::LastAck, errno: 0 };
        self.table.apply(Event::Closed(observation(cookie, sent_bytes), ending));
        for connection in self.table.take_closed() {
            self.clients.keep_closed(connection);
        }
    }

    /// The kernel side added up so many connections.
    pub(crate) fn roll_up(&mut self, connections: u64, sent_bytes: u64) {
        self.table.apply(Event::RollUp(Box::new(RollUp {
            key: RollUpKey { protocol: Protocol::Tcp, common: None },
            owner: None,
            connections,
            total: Counters { sent_bytes, ..Counters::default() },
            counts_rtos: true,
            failures: Vec::new(),
            last_closed_at: self.now,
        })));
        for rollup in self.table.take_rolled_up() {
            self.clients.keep_rolled_up(rollup);
        }
    }

    pub(crate) fn register_as(&mut self, client: &str, peer: Peer) -> Result<Registration, Refusal> {
        self.clients.register(&id(client), peer, self.now)
    }

    pub(crate) fn register(&mut self, client: &str) {
        self.register_as(client, USER).expect("there is room");
    }

    pub(crate) fn remove(&mut self, client: &str) {
        self.clients.remove(&id(client), USER, self.now).expect("it is registered");
    }

    pub(crate) fn poll_as(&mut self, client: &str, peer: Peer) -> Result<Delta, Refusal> {
        self.clients.poll(&id(client), peer, &self.table, Health::default(), self.now)
    }

    pub(crate) fn poll(&mut self, client: &str) -> Delta {
        self.poll_as(client, USER).expect("an answer")
    }

    pub(crate) fn acknowledge(&mut self, delta: &Delta) {
        self.clients.acknowledge(&delta.receipt, self.now);
    }

    pub(crate) fn roll_back(&mut self, delta: &Delta) {
        self.clients.roll_back(&delta.receipt, self.now);
    }

    /// Polls, acknowledges, and gives what was told.
    pub(crate) fn tell(&mut self, client: &str) -> Vec<Told> {
        let delta = self.poll(client);
        self.acknowledge(&delta);
        told(&delta)
    }

    pub(crate) fn state(&self, client: &str) -> ClientState {
        let known = self.clients.list().into_iter().find(|state| state.id.as_str() == client);
        known.expect("it is registered")
    }
}

pub(crate) fn id(text: &str) -> ClientId {
    ClientId::parse(text).expect("a valid id")
}

pub(crate) fn told(delta: &Delta) -> Vec<Told> {
    let changes = delta.changes.iter();
    let mut told: Vec<Told> = changes
        .map(|change| {
            let closed = change.connection.state == State::Closed;
            (change.connection.id.cookie, change.delta.sent_bytes, closed)
        })
        .collect();
    told.sort_unstable();
    told
}
