//! Roll-ups: several connections of which only sums are kept, or told.
//!
//! Owns what a roll-up is, how a connection is added to one, and how much of the sums of the kernel side is news:
//! connections in it may have been told live before. Does not decide what is rolled up.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::net::SocketAddr;

use foldhash::fast::RandomState;

use crate::connection::{Connection, ConnectionId};
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
    /// The end on this host and the other one; absent where they have no addresses in common. The port is 0 but where it
    /// is the service's.
    pub ends: Option<(SocketAddr, SocketAddr)>,
}

impl RollUpKey {
    /// What this connection has in common with others that differ only in the ephemeral port: all but that port. Where it
    /// is not known which end opened them, both ports may differ.
    #[must_use]
    pub fn of(connection: &Connection) -> Self {
        let Connection { tuple, direction, owner, .. } = connection;
        let (mut local, mut remote) = (tuple.local, tuple.remote);
        let service_port = match direction {
            Direction::Incoming => Some(local.port()),
            Direction::Outgoing => Some(remote.port()),
            Direction::Unknown => None,
        };
        if *direction != Direction::Incoming {
            local.set_port(0);
        }
        if *direction != Direction::Outgoing {
            remote.set_port(0);
        }
        let common = Common {
            netns: tuple.netns,
            direction: *direction,
            service_port,
            owner: owner.map(|owner| (owner.pid, owner.started_at_boot_ns)),
            ends: Some((local, remote)),
        };
        Self { protocol: tuple.protocol, common: Some(common) }
    }
}

/// Several closed connections as one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RollUp {
    /// What they have in common.
    pub key: RollUpKey,
    /// Their owner, as it was known of the first.
    pub owner: Option<Owner>,
    /// How many they are. 0 when all of them were told live before and only the end of their counting is here, and for
    /// UDP: those are datagrams of peers that found no room, and how many peers is not known.
    pub connections: u64,
    /// How many of them were established, without those of which that was told while they lived; absent where only the
    /// kernel side could know.
    pub established: Option<u64>,
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
    /// A roll-up that nothing was added to yet. `first` is the first that will be.
    #[must_use]
    pub fn beginning_with(first: &Connection) -> Self {
        Self {
            key: RollUpKey::of(first),
            owner: first.owner,
            connections: 0,
            established: Some(0),
            total: Counters::default(),
            counts_rtos: true,
            failures: Vec::new(),
            last_closed_at: KernelTime(0),
        }
    }

    /// Adds a connection that has ended, of which `news` was not told before, nor, if it is `newly_established`, that it was
    /// established.
    pub fn add(&mut self, connection: &Connection, news: Counters, newly_established: bool) {
        self.connections += 1;
        self.established = self.established.map(|count| count + u64::from(newly_established));
        self.total = self.total.plus(news);
        self.counts_rtos &= connection.facts.counted().rtos;
        self.last_closed_at = self.last_closed_at.max(connection.closed_at.unwrap_or_default());
        let Some(failure) = connection.failure else { return };
        match self.failures.iter_mut().find(|(known, _)| *known == failure) {
            Some((_, count)) => *count += 1,
            None => self.failures.push((failure, 1)),
        }
    }

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
