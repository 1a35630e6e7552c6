//! An answer to a poll: what one client has not seen yet, owned and independent of the state.

use std::fmt;

use connections::{Audit, ConnectionId, KernelTime, Losses};

use crate::changes::Changes;
use crate::client_id::ClientId;
use crate::in_flight::Share;
use crate::looked_up::Lookups;
use crate::registration::View;
use crate::roll_ups::RollUps;

/// What a client has not seen yet.
#[derive(Debug)]
pub struct Delta {
    /// The client.
    pub client: ClientId,
    /// Number of this answer; increases with each answer to this client, and is none of an earlier registration.
    pub sequence: u64,
    /// Number of the newest answer that the client is known to have; 0 for none.
    pub acknowledged: u64,
    /// End of the acknowledged answer; for the first answer, when tracing began.
    pub from: KernelTime,
    /// When the kernel pass began that this answer was built from.
    pub to: KernelTime,
    /// How closed connections are told.
    pub view: View,
    /// How far the answer can be trusted.
    pub coverage: Coverage,
    /// Live and closed connections that changed, each once; a closed one is told as closed exactly once.
    pub changes: Changes,
    /// Closed connections of which only sums are known, each told in full and once.
    pub roll_ups: RollUps,
    /// What came of lookups of names since the acknowledged baseline.
    pub lookups: Lookups,
    /// The memory of this answer, which is limited for all of them together.
    pub share: Share,
}

/// What names a roll-up within one run of the tracer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum RollUpId {
    /// One of the kernel side.
    Kernel(u64),
    /// One of connections that were kept too long for a client.
    Log(u64),
    /// One of connections that a client wants together, named like the first of them.
    Ports(ConnectionId),
}

impl fmt::Display for RollUpId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            RollUpId::Kernel(number) => write!(f, "{number:x}"),
            RollUpId::Log(number) => write!(f, "log-{number:x}"),
            RollUpId::Ports(first) => write!(f, "{first}"),
        }
    }
}

/// How complete the counting is, as totals since tracing began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Health {
    /// Losses by cause.
    pub losses: Losses,
    /// Connections that could not be followed.
    pub untracked: u64,
    /// Connections that live now and are not followed: there is no room for them until they close.
    pub untracked_now: u64,
    /// Connections told as part of a roll-up.
    pub rolled_up: u64,
    /// Connections that ended and were not told, because the filter excludes them.
    pub excluded: u64,
    /// Contradictions in what the kernel said.
    pub anomalies: u64,
    /// Messages of name servers that passed and were not seen, for want of room.
    pub messages_lost: u64,
    /// The last audit; absent before the first.
    pub audit: Option<Audit>,
}

/// How complete one answer is: the changes of [`Health`] over the answer's interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Coverage {
    /// Length of the interval in nanoseconds.
    pub interval_ns: u64,
    /// Losses in the interval by cause.
    pub losses: Losses,
    /// Connections that could not be followed in the interval, those that live now included.
    pub untracked: u64,
    /// Connections told as part of a roll-up in the interval: nothing of their counters is missing.
    pub rolled_up: u64,
    /// Connections that ended in the interval and are not told, because the filter excludes them. That is what was asked
    /// for: nothing is missing.
    pub excluded: u64,
    /// Contradictions in the interval.
    pub anomalies: u64,
    /// Lookups of names in the interval of which it is not told what came of them, because too many were waiting to be told.
    pub lookups_lost: u64,
    /// Messages of name servers in the interval that were not seen, for want of room: of their lookups nothing is known.
    pub messages_lost: u64,
    /// What the audits of the interval found that was neither followed nor counted: sockets, connections, datagrams.
    pub not_counted: u64,
    /// The last audit; absent before the first.
    pub audit: Option<Audit>,
}

impl Coverage {
    /// True when nothing is known to be missing.
    #[must_use]
    pub fn complete(&self) -> bool {
        self.untracked == 0 && self.not_counted == 0 && self.losses == Losses::default()
    }
}
