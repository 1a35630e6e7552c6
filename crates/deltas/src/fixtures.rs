//! A connection from which the unit tests start.

use connections::{
    Connection, ConnectionId, Counters, Direction, Facts, KernelTime, Protocol, State, TcpFacts, Tuple,
};

/// A closed connection that carried nothing.
pub(crate) fn connection(cookie: u64) -> Connection {
    Connection {
        id: ConnectionId { cookie, claimed_at: KernelTime(1) },
        global_id: None,
        tuple: Tuple {
            protocol: Protocol::Tcp,
            netns: 1,
            local: ([10, 0, 0, 1], 40_000).into(),
            remote: ([10, 0, 0, 2], 443).into(),
        },
        direction: Direction::Outgoing,
        owner: None,
        state: State::Closed,
        opened_at: Some(KernelTime(1)),
        established_at: None,
        closed_at: Some(KernelTime(2)),
        pre_existing: false,
        total: Counters::default(),
        before: Counters::default(),
        facts: Facts::Tcp(TcpFacts::default()),
        failure: None,
        failed_at: None,
    }
}
