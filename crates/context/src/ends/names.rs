//! What ends are found by: 64-bit hashes of what the two ends of one connection know alike.
//!
//! Two names that are not of one connection are alike by chance in one of 10^12 look-ups at the limits.

use std::hash::BuildHasher;
use std::net::SocketAddr;

use connections::{ConnectionId, Direction, GlobalId, Protocol};
use foldhash::quality::RandomState;

use crate::address_bits::{bits, is_loopback, is_unspecified};

/// Bits of a name that are free for what its holder wants to keep beside it.
pub(super) const FREE_BITS: u64 = 0b111;

/// The name of nothing.
pub(super) const NONE: u64 = 0;

/// An address and a port. Without the scope, which is another one at the other end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place {
    pub(super) address: u128,
    pub(super) port: u16,
}

impl From<SocketAddr> for Place {
    fn from(end: SocketAddr) -> Self {
        Self { address: bits(end.ip()), port: end.port() }
    }
}

/// Gives names, none of which is [`NONE`], with [`FREE_BITS`] not set.
#[derive(Debug, Default)]
pub(super) struct Names(RandomState);

impl Names {
    pub(super) fn of_connection(&self, id: ConnectionId) -> u64 {
        named(self.0.hash_one(id))
    }

    /// The name of the end with these addresses and ports, as it sees them itself; [`NONE`] where one of the addresses is
    /// none. Connections over the loopback interface of one namespace have nothing in common with those of another one.
    pub(super) fn of_tuple(&self, protocol: Protocol, netns: u32, local: Place, remote: Place) -> u64 {
        if is_unspecified(local.address) || is_unspecified(remote.address) {
            return NONE;
        }
        let loopback = is_loopback(local.address) && is_loopback(remote.address);
        let inside = if loopback { u128::from(netns) } else { 0 };
        let ports = u128::from(local.port) << 16 | u128::from(remote.port);
        let kind = u128::from(loopback) << 1 | u128::from(protocol == Protocol::Udp);
        // In few words: they would be hashed one by one.
        named(self.0.hash_one((local.address, remote.address, kind << 64 | inside << 32 | ports)))
    }

    /// The name of the end of that connection which has this direction; [`NONE`] where the two ends cannot be told apart,
    /// and one would be taken for its own other end.
    pub(super) fn of_global(&self, id: Option<GlobalId>, direction: Direction) -> u64 {
        match (id, direction) {
            (None, _) | (_, Direction::Unknown) => NONE,
            (Some(id), direction) => named(self.0.hash_one(u128::from(id.0) << 64 | direction as u128)),
        }
    }
}

/// The direction as the other end has it.
pub(super) fn opposite(direction: Direction) -> Direction {
    match direction {
        Direction::Unknown => Direction::Unknown,
        Direction::Incoming => Direction::Outgoing,
        Direction::Outgoing => Direction::Incoming,
    }
}

fn named(hash: u64) -> u64 {
    (hash & !FREE_BITS).max(FREE_BITS + 1)
}
