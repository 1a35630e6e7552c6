//! A table, its clients, and a clock that stands still until a test moves it.

use std::ops::Deref;

use connections::{Counters, Ending, Event, KernelTime, Protocol, RollUp, RollUpKey, State, Table};
use deltas::{
    Ask, Begun, ClientId, ClientLimits, ClientState, Clients, Delta, Health, Peer, Refusal, Registration,
    Settings, Ticket,
};

use crate::fixtures::{datagrams, observation};

pub(crate) const SECOND: u64 = 1_000_000_000;

/// The user whose requests a test sends unless it names another.
pub(crate) const USER: Peer = Peer::User(1000);

pub(crate) struct World {
    pub(crate) table: Table,
    pub(crate) clients: Clients,
    pub(crate) now: KernelTime,
}

/// An answer, and the poll that got it.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) ticket: Ticket,
    delta: Delta,
}

impl Deref for Answer {
    type Target = Delta;

    fn deref(&self) -> &Delta {
        &self.delta
    }
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

    /// Room for so many closed connections, and for none that are rolled up.
    pub(crate) fn with_closed_records(closed_records: usize) -> Self {
        Self::with_bounds(closed_records, 0)
    }

    /// Room for so many closed connections and roll-ups.
    pub(crate) fn with_bounds(closed_records: usize, rollups: usize) -> Self {
        Self::with(ClientLimits { closed_records, rollups, ..ClientLimits::default() })
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

    pub(crate) fn close_udp(&mut self, cookie: u64, sent_bytes: u64) {
        let ending = Ending { closed_at: self.now, state_before: State::Open, errno: 0 };
        self.table.apply(Event::Closed(datagrams(cookie, sent_bytes), ending));
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
            established: None,
            counts_rtos: true,
            failures: Vec::new(),
            last_closed_at: self.now,
        })));
        for rollup in self.table.take_rolled_up() {
            self.clients.keep_rolled_up(rollup);
        }
    }

    pub(crate) fn register_as(&mut self, client: &str, peer: Peer) -> Result<Registration, Refusal> {
        self.clients.register(&id(client), peer, Settings::default(), self.now)
    }

    pub(crate) fn register(&mut self, client: &str) {
        self.register_as(client, USER).expect("there is room");
    }

    pub(crate) fn remove(&mut self, client: &str) {
        self.clients.remove(&id(client), USER, self.now).expect("it is registered");
    }

    pub(crate) fn set(&mut self, client: &str, settings: Settings) {
        self.clients.register(&id(client), USER, settings, self.now).expect("there is room");
    }

    pub(crate) fn begin_as(&mut self, client: &str, peer: Peer, ask: Ask) -> Result<Begun, Refusal> {
        self.clients.begin(&id(client), peer, ask, self.now)
    }

    /// Begins a poll that acknowledges itself.
    pub(crate) fn begin(&mut self, client: &str) -> Ticket {
        self.begin_as(client, USER, Ask::default()).expect("it may begin").ticket
    }

    /// Begins a poll that has this answer.
    pub(crate) fn begin_after(&mut self, client: &str, after: u64) -> Begun {
        self.begin_as(client, USER, ask_after(after)).expect("it may begin")
    }

    pub(crate) fn answer(&mut self, ticket: Ticket) -> Result<Answer, Refusal> {
        let delta = self.clients.answer(&ticket, &self.table, Health::default(), self.now)?;
        Ok(Answer { ticket, delta })
    }

    pub(crate) fn end(&mut self, ticket: &Ticket, delivered: bool) {
        self.clients.end(ticket, delivered, self.now);
    }

    pub(crate) fn poll_as(&mut self, client: &str, peer: Peer) -> Result<Answer, Refusal> {
        let begun = self.begin_as(client, peer, Ask::default())?;
        self.answer(begun.ticket)
    }

    pub(crate) fn poll(&mut self, client: &str) -> Answer {
        self.poll_as(client, USER).expect("an answer")
    }

    /// A poll that has this answer, from its begin to its end.
    pub(crate) fn poll_after(&mut self, client: &str, after: u64) -> Answer {
        let begun = self.begin_after(client, after);
        let answer = self.answer(begun.ticket).expect("an answer");
        self.end(&answer.ticket, true);
        answer
    }

    pub(crate) fn acknowledge(&mut self, answer: &Answer) {
        self.end(&answer.ticket, true);
    }

    pub(crate) fn roll_back(&mut self, answer: &Answer) {
        self.end(&answer.ticket, false);
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

pub(crate) fn ask_after(after: u64) -> Ask {
    Ask { after: Some(after), ..Ask::default() }
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
