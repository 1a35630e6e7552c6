//! What ends are found by: 64-bit hashes of what the two ends of one connection know alike.
//!
//! Two names that are not of one connection are alike by chance in one of 10^12 look-ups at the limits.

use std::hash::BuildHasher;
use std::net::{IpAddr, SocketAddr};

use connections::{ConnectionId, Direction, GlobalId, Protocol};
use foldhash::quality::RandomState;

/// Bits of a name that are free for what its holder wants to keep beside it.
pub(super) const FREE_BITS: u64 = 0b111;

/// The name of nothing.
pub(super) const NONE: u64 = 0;

/// Gives names, none of which is [`NONE`], with [`FREE_BITS`] not set.
#[derive(Debug, Default)]
pub(super) struct Names(RandomState);

impl Names {
    pub(super) fn of_connection(&self, id: ConnectionId) -> u64 {
        named(self.0.hash_one(id))
    }

    /// The name of the end with these addresses and ports, as it sees them itself; [`NONE`] where one of the addresses is
    /// none. Connections over the loopback interface of one namespace have nothing in common with those of another one.
    pub(super) fn of_tuple(
        &self,
        protocol: Protocol,
        netns: u32,
        local: SocketAddr,
        remote: SocketAddr,
    ) -> u64 {
        let (local_ip, remote_ip) = (local.ip().to_canonical(), remote.ip().to_canonical());
        if local_ip.is_unspecified() || remote_ip.is_unspecified() {
            return NONE;
        }
        let loopback = local_ip.is_loopback() && remote_ip.is_loopback();
        let inside = if loopback { u64::from(netns) } else { 0 };
        let ports = u64::from(local.port()) << 16 | u64::from(remote.port());
        let rest = inside << 32 | ports;
        named(self.0.hash_one((bits(local_ip), bits(remote_ip), rest, loopback, protocol == Protocol::Udp)))
    }

    /// The name of the end of that connection which has this direction; [`NONE`] where the two ends cannot be told apart,
    /// and one would be taken for its own other end.
    pub(super) fn of_global(&self, id: Option<GlobalId>, direction: Direction) -> u64 {
        match (id, direction) {
            (None, _) | (_, Direction::Unknown) => NONE,
            (Some(id), direction) => named(self.0.hash_one((id, direction))),
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

/// The address without its scope, which is another one at the other end.
fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => v4.to_ipv6_mapped().to_bits(),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

fn named(hash: u64) -> u64 {
    (hash & !FREE_BITS).max(FREE_BITS + 1)
}
