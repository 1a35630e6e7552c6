//! Roll-ups: connections of which the kernel side kept only sums, because it had no room for more.
//!
//! Owns what a roll-up is and how much of its sums is news: connections in it may have been told live before.
//! Does not decide what is rolled up.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use foldhash::fast::RandomState;

use crate::connection::ConnectionId;
use crate::counters::Counters;
use crate::direction::Direction;
use crate::failure::Failure;
use crate::loss::Loss;
use crate::owner::Owner;
use crate::time::KernelTime;
use crate::tuple::Protocol;

/// What the connections of a roll-up have in common.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RollUpKey {
    /// The transport protocol.
    pub protocol: Protocol,
    /// The rest of it; absent for the connections for which there was no room under a key of their own.
    pub common: Option<Common>,
}

/// What the connections of one roll-up have in common beside the protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Common {
    /// Inode number of the network namespace.
    pub netns: u32,
    /// Which end opened them.
    pub direction: Direction,
    /// The port that the opening end named; absent where it is not known which end did.
    pub service_port: Option<u16>,
    /// Process id and start, in nanoseconds since boot, of the owner; absent when none was found.
    pub owner: Option<(u32, u64)>,
}

/// Several closed connections as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollUp {
    /// What they have in common.
    pub key: RollUpKey,
    /// Their owner, as the kernel side knew it.
    pub owner: Option<Owner>,
    /// How many they are. 0 when all of them were told live before and only the end of their counting is here, and for
    /// UDP: those are datagrams of peers that found no room, and how many peers is not known.
    pub connections: u64,
    /// Their counters, added up, without what was told of them while they lived.
    pub total: Counters,
    /// The kernel counts retransmission time-outs; without it those of `total` are meaningless.
    pub counts_rtos: bool,
    /// How many of them failed how. Those that were told live before are among them.
    pub failures: Vec<(Failure, u64)>,
    /// When the last of them ended.
    pub last_closed_at: KernelTime,
}

impl RollUp {
    /// True when it tells nothing.
    pub(crate) fn is_empty(&self) -> bool {
        self.connections == 0 && self.total == Counters::default() && self.failures.is_empty()
    }
}

/// A connection that was told live and whose final counters are in a roll-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RolledUp {
    /// Its name.
    pub id: ConnectionId,
    /// The roll-up that it is in.
    pub key: RollUpKey,
    /// When it ended.
    pub closed_at: KernelTime,
    /// True when the socket is older than the tracer.
    pub pre_existing: bool,
}

/// What is to be taken off roll-ups that are still to come. Names come before the sums that they are in.
#[derive(Debug, Default)]
pub(crate) struct Named {
    told: HashMap<RollUpKey, Told, RandomState>,
}

#[derive(Debug, Default)]
struct Told {
    connections: u64,
    counters: Counters,
    /// A connection is in it of which it is not known what was before tracing.
    unknown: bool,
}

/// A roll-up without what was told before.
pub(crate) enum Settled {
    /// What is news.
    News(Box<RollUp>),
    /// How much of it is news cannot be told.
    Lost(Loss),
}

impl Named {
    /// Notes that a connection in a roll-up was counted up to `counters` while it lived.
    pub(crate) fn told(&mut self, key: RollUpKey, counters: Counters) {
        let told = self.told.entry(key).or_default();
        told.connections += 1;
        // The kernel side adds up what it counts in 32 bits as it is.
        told.counters = told.counters.plus(counters.in_kernel_width());
    }

    /// Notes that a connection older than the tracer is in a roll-up, of which nothing is known.
    pub(crate) fn unknown(&mut self, key: RollUpKey) {
        self.told.entry(key).or_default().unknown = true;
    }

    /// Takes off the roll-up what was noted for its key; answers also how many fields would have been negative.
    pub(crate) fn settle(&mut self, mut rollup: Box<RollUp>) -> (Settled, u64) {
        let Entry::Occupied(entry) = self.told.entry(rollup.key) else {
            return (Settled::News(rollup), 0);
        };
        let told = entry.remove();
        let (total, backwards) = rollup.total.since(told.counters);
        rollup.connections = rollup.connections.saturating_sub(told.connections);
        rollup.total = total;
        if told.unknown {
            let loss = Loss { connections: rollup.connections, bytes: total.payload_bytes() };
            return (Settled::Lost(loss), backwards);
        }
        (Settled::News(rollup), backwards)
    }

    /// Forgets what no roll-up came for; answers how many that were.
    pub(crate) fn forget(&mut self) -> u64 {
        let forgotten = self.told.len() as u64;
        self.told.clear();
        forgotten
    }
}
