//! What connections can be told apart by when somebody wants some of them and not the others.
//!
//! Says whether one connection is of that kind. Who asks for it, in which words, and what happens to the others is not
//! decided here.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use ipnet::IpNet;

use crate::connection::Connection;
use crate::container::ContainerId;
use crate::direction::Direction;
use crate::owner::Owner;
use crate::rollup::RollUp;
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
    /// Container of its owner.
    pub container: Option<ContainerId>,
}

/// What criteria look at. What is not known is absent, and so is what the connections of a roll-up do not have in common.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    protocol: Protocol,
    state: State,
    direction: Option<Direction>,
    netns: Option<u32>,
    local: End,
    remote: End,
    owner: Option<&'a Owner>,
}

/// One end of a connection.
#[derive(Debug, Clone, Copy)]
struct End {
    address: Option<IpAddr>,
    port: Option<u16>,
}

impl<'a> From<&'a Connection> for Seen<'a> {
    fn from(connection: &'a Connection) -> Self {
        let tuple = connection.tuple;
        Self {
            protocol: tuple.protocol,
            state: connection.state,
            direction: Some(connection.direction),
            netns: Some(tuple.netns),
            local: End { address: Some(tuple.local.ip()), port: Some(tuple.local.port()) },
            remote: End { address: Some(tuple.remote.ip()), port: Some(tuple.remote.port()) },
            owner: connection.owner.as_ref(),
        }
    }
}

impl<'a> From<&'a RollUp> for Seen<'a> {
    fn from(rollup: &'a RollUp) -> Self {
        let common = rollup.key.common;
        let direction = common.map(|common| common.direction);
        let service_port = common.and_then(|common| common.service_port);
        let serves = |serving| service_port.filter(|_| direction == Some(serving));
        let (local, remote) = common.and_then(|common| common.ends).unzip();
        Self {
            protocol: rollup.key.protocol,
            state: State::Closed,
            direction,
            netns: common.map(|common| common.netns),
            local: End { address: local.map(|end| end.ip()), port: serves(Direction::Incoming) },
            remote: End { address: remote.map(|end| end.ip()), port: serves(Direction::Outgoing) },
            owner: rollup.owner.as_ref(),
        }
    }
}

impl Criteria {
    /// True when the connection is like that.
    #[must_use]
    pub fn hold_for(&self, connection: &Connection) -> bool {
        self.hold_for_seen(&connection.into())
    }

    pub(crate) fn hold_for_seen(&self, seen: &Seen<'_>) -> bool {
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
            container,
        } = self;
        let ends = [seen.local, seen.remote];
        let is_local = [seen.local];
        let is_remote = [seen.remote];
        let owner = seen.owner;
        is(protocol, Some(&seen.protocol))
            && is(state, Some(&seen.state))
            && is(direction, seen.direction.as_ref())
            && is(netns, seen.netns.as_ref())
            && in_range_of(address, &ends)
            && in_range_of(local, &is_local)
            && in_range_of(remote, &is_remote)
            && has_port(port, &ends)
            && has_port(local_port, &is_local)
            && has_port(remote_port, &is_remote)
            && is(pid, owner.map(|owner| &owner.pid))
            && is(uid, owner.map(|owner| &owner.uid))
            && is(container, owner.and_then(|owner| owner.container.as_ref()))
            && command
                .as_ref()
                .is_none_or(|wanted| owner.is_some_and(|owner| owner.command.text() == wanted.as_str()))
    }
}

fn is<T: PartialEq>(wanted: &Option<T>, found: Option<&T>) -> bool {
    wanted.as_ref().is_none_or(|wanted| found == Some(wanted))
}

/// Addresses of IPv6 that stand for one of IPv4 are kept as that one, so a range is of one family.
fn in_range_of(wanted: &Option<IpNet>, ends: &[End]) -> bool {
    let is_in = |range: &IpNet, end: &End| end.address.is_some_and(|address| range.contains(&address));
    wanted.as_ref().is_none_or(|range| ends.iter().any(|end| is_in(range, end)))
}

fn has_port(wanted: &Option<RangeInclusive<u16>>, ends: &[End]) -> bool {
    let has = |ports: &RangeInclusive<u16>, end: &End| end.port.is_some_and(|port| ports.contains(&port));
    wanted.as_ref().is_none_or(|ports| ends.iter().any(|end| has(ports, end)))
}
