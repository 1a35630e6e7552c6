//! A connection: who, with whom, in which state, how much.

use std::fmt;

use crate::counters::Counters;
use crate::direction::Direction;
use crate::facts::Facts;
use crate::failure::Failure;
use crate::global_id::GlobalId;
use crate::owner::Owner;
use crate::state::State;
use crate::time::KernelTime;
use crate::tuple::Tuple;

/// What names a connection within one run of the tracer.
///
/// The socket cookie alone is not enough: a socket can connect, fail and connect again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ConnectionId {
    /// The kernel's socket cookie: unique and never reused until the next boot.
    pub cookie: u64,
    /// When the tracer began to follow this use of the socket.
    pub claimed_at: KernelTime,
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:x}-{:x}", self.cookie, self.claimed_at.0)
    }
}

/// A connection as it is known now, live or closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Connection {
    /// Its name.
    pub id: ConnectionId,
    /// Its name on both hosts; absent while it cannot be derived.
    pub global_id: Option<GlobalId>,
    /// Both ends.
    pub tuple: Tuple,
    /// Which end opened it.
    pub direction: Direction,
    /// The process behind it; absent when none was found.
    pub owner: Option<Owner>,
    /// Its state; [`State::Closed`] exactly when `closed_at` is present.
    pub state: State,
    /// When it was opened; absent when it is older than the tracer.
    pub opened_at: Option<KernelTime>,
    /// When it was established; absent when it was not, or when it is older than the tracer.
    pub established_at: Option<KernelTime>,
    /// When it ended.
    pub closed_at: Option<KernelTime>,
    /// True when it is older than the tracer.
    pub pre_existing: bool,
    /// Totals since tracing began.
    pub total: Counters,
    /// What was counted before tracing began; zero unless it is older than the tracer. Never part of `total`.
    pub before: Counters,
    /// The newest facts beyond the counters.
    pub facts: Facts,
    /// Why it ended; absent after an orderly close and while it lives, except for UDP: there a host can say that
    /// datagrams do not arrive, and nothing ends.
    pub failure: Option<Failure>,
    /// When it failed.
    pub failed_at: Option<KernelTime>,
}
