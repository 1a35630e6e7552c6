//! What connections can be told apart by when somebody wants some of them and not the others.
//!
//! Says whether one connection is of that kind. Who asks for it, in which words, and what happens to the others is not
//! decided here.

use std::net::SocketAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::connection::Connection;
use crate::direction::Direction;
use crate::state::State;
use crate::tuple::Protocol;

/// What a connection must be like. What is absent does not matter; a fact of a connection that is not known matches
/// nothing that asks for it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Criteria {
    /// Its protocol.
    pub protocol: Option<Protocol>,
    /// Its state now.
    pub state: Option<State>,
    /// Which end began.
    pub direction: Option<Direction>,
    /// Inode number of its network namespace.
    pub netns: Option<u32>,
    /// Addresses of which one end, whichever, must have one.
    pub address: Option<IpNet>,
    /// Addresses of which the end on this host must have one.
    pub local: Option<IpNet>,
    /// Addresses of which the other end must have one.
    pub remote: Option<IpNet>,
    /// Ports of which one end, whichever, must have one.
    pub port: Option<RangeInclusive<u16>>,
    /// Ports of which the end on this host must have one.
    pub local_port: Option<RangeInclusive<u16>>,
    /// Ports of which the other end must have one.
    pub remote_port: Option<RangeInclusive<u16>>,
    /// Process id of its owner.
    pub pid: Option<u32>,
    /// User id of its owner.
    pub uid: Option<u32>,
    /// Name of its owner's task, all of it: up to 15 bytes.
    pub command: Option<String>,
}

impl Criteria {
    /// True when the connection is like that.
    #[must_use]
    pub fn hold_for(&self, connection: &Connection) -> bool {
        let Self {
            protocol,
            state,
            direction,
            netns,
            address,
            local,
            remote,
            port,
            local_port,
            remote_port,
            pid,
            uid,
            command,
        } = self;
        let tuple = connection.tuple;
        let owner = connection.owner.as_ref();
        let ends = [tuple.local, tuple.remote];
        let is_local = [tuple.local];
        let is_remote = [tuple.remote];
        is(protocol, Some(&tuple.protocol))
            && is(state, Some(&connection.state))
            && is(direction, Some(&connection.direction))
            && is(netns, Some(&tuple.netns))
            && in_range_of(address, &ends)
            && in_range_of(local, &is_local)
            && in_range_of(remote, &is_remote)
            && has_port(port, &ends)
            && has_port(local_port, &is_local)
            && has_port(remote_port, &is_remote)
            && is(pid, owner.map(|owner| &owner.pid))
            && is(uid, owner.map(|owner| &owner.uid))
            && command
                .as_ref()
                .is_none_or(|wanted| owner.is_some_and(|owner| owner.command.text() == wanted.as_str()))
    }
}

fn is<T: PartialEq>(wanted: &Option<T>, found: Option<&T>) -> bool {
    wanted.as_ref().is_none_or(|wanted| found == Some(wanted))
}

/// Addresses of IPv6 that stand for one of IPv4 are kept as that one, so a range is of one family.
fn in_range_of(wanted: &Option<IpNet>, ends: &[SocketAddr]) -> bool {
    wanted.as_ref().is_none_or(|range| ends.iter().any(|end| range.contains(&end.ip())))
}

fn has_port(wanted: &Option<RangeInclusive<u16>>, ends: &[SocketAddr]) -> bool {
    wanted.as_ref().is_none_or(|ports| ends.iter().any(|end| ports.contains(&end.port())))
}
