//! What `collect` tells: the closed list of events that change the table.

use crate::audit::AuditReading;
use crate::connection::ConnectionId;
use crate::counters::RawCounters;
use crate::direction::Direction;
use crate::facts::Facts;
use crate::listeners::Listener;
use crate::owner::Owner;
use crate::rollup::{RollUp, RolledUp};
use crate::state::State;
use crate::time::KernelTime;
use crate::tuple::Tuple;

/// One observation of a connection by the kernel side.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Observation {
    /// Its name.
    pub id: ConnectionId,
    /// Both ends.
    pub tuple: Tuple,
    /// Which end opened it, as far as the kernel side saw it.
    pub direction: Direction,
    /// The owner, as far as the kernel side knows it.
    pub owner: Option<Owner>,
    /// State at the observation; for a closed connection [`State::Closed`].
    pub state: State,
    /// When it was established, if that was seen.
    pub established_at: Option<KernelTime>,
    /// True when the socket is older than the tracer.
    pub pre_existing: bool,
    /// True when an audit found that the socket was not followed any more, or never was.
    pub found: bool,
    /// Counters since the socket was opened.
    pub counters: RawCounters,
    /// What else the kernel knows.
    pub facts: Facts,
    /// Of UDP: the error number that an ICMP message told last, and when.
    pub failed: Option<(u16, KernelTime)>,
    /// Initial sequence numbers of this end and of the other; absent while they cannot be told.
    pub isns: Option<(u32, u32)>,
}

/// How a connection ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ending {
    /// When.
    pub closed_at: KernelTime,
    /// The state that was left.
    pub state_before: State,
    /// The socket's error at that moment, 0 for none; of UDP that which an ICMP message told last.
    pub errno: u16,
}

/// A change of the live table. Within a pass: readings first, then the closes that the kernel queued.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A socket older than the tracer was taken over; its counters are what was before.
    Adopted(Observation),
    /// A live connection was read.
    Read(Observation),
    /// These live connections were read before, and nothing about them has changed since.
    Unchanged(Vec<ConnectionId>),
    /// A connection ended; its counters are final.
    Closed(Observation, Ending),
    /// A listening socket was read.
    Listening(Listener),
    /// A listening socket was closed.
    ListenerClosed(Listener),
    /// A connection that was told live has ended, and its final counters are in a roll-up that follows.
    RolledUp(RolledUp),
    /// Sums over connections that ended. The names of those in it that were told live came before.
    RollUp(Box<RollUp>),
    /// The pass of an audit has ended: what is known now is to be compared.
    AuditPassEnded,
    /// What the kernel itself said before and after that pass.
    Audited(Box<AuditReading>),
    /// Every live connection and listener has been read once since the last event of this kind, and `at` is
    /// when that pass began.
    PassEnded {
        /// Start of the pass.
        at: KernelTime,
    },
}
