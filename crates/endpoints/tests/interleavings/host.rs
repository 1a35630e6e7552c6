//! The connections of the host: few, opened, growing and closed one message at a time.

use std::collections::BTreeMap;

use connections::{
    ConnectionId, Direction, Ending, Event, Facts, KernelTime, Observation, Protocol, RawCounters, State,
    Table, TcpFacts, Tuple,
};
use deltas::Clients;

pub(crate) const SOCKETS: usize = 4;

/// What is true of a connection, or what a client has of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Known {
    pub(crate) bytes: u64,
    /// When it closed.
    pub(crate) closed_at: Option<KernelTime>,
}

/// By connection.
pub(crate) type Connections = BTreeMap<ConnectionId, Known>;

pub(crate) struct Host {
    pub(crate) table: Table,
    /// Every connection that ever was.
    pub(crate) truth: Connections,
    live: [Option<ConnectionId>; SOCKETS],
}

impl Host {
    pub(crate) fn new() -> Self {
        Self { table: Table::new(1000), truth: Connections::new(), live: [None; SOCKETS] }
    }

    /// The connection of this socket sends so much; it is opened if it is not there.
    pub(crate) fn send(&mut self, socket: usize, bytes: u64, now: KernelTime) {
        let id = *self.live[socket].get_or_insert(ConnectionId { cookie: socket as u64, claimed_at: now });
        self.truth.entry(id).or_default().bytes += bytes;
        self.table.apply(Event::Read(self.observed(id)));
    }

    pub(crate) fn close(&mut self, socket: usize, clients: &mut Clients, now: KernelTime) {
        let Some(id) = self.live[socket].take() else { return };
        self.truth.entry(id).or_default().closed_at = Some(now);
        let ending = Ending { closed_at: now, state_before: State::LastAck, errno: 0 };
        self.table.apply(Event::Closed(self.observed(id), ending));
        self.table.take_closed().into_iter().for_each(|closed| clients.keep_closed(closed));
    }

    fn observed(&self, id: ConnectionId) -> Observation {
        let port = 40_000 + u16::try_from(id.cookie).expect("few sockets");
        let local = ([10, 0, 0, 1], port).into();
        Observation {
            id,
            tuple: Tuple::canonical(Protocol::Tcp, 1, local, ([10, 0, 0, 2], 443).into()),
            direction: Direction::Outgoing,
            owner: None,
            state: State::Established,
            established_at: Some(id.claimed_at),
            pre_existing: false,
            counters: RawCounters { sent_bytes: self.truth[&id].bytes, ..RawCounters::default() },
            facts: Facts::Tcp(TcpFacts::default()),
            failed: None,
            found: false,
            isns: None,
        }
    }
}
