//! What the dialect tells connections apart by, in its own words: two records with equal keys are one to its reader.
//!
//! Owns the key, the names in it, and what follows from its two addresses alone. Does not know what is counted.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use connections::{Connection, Direction, Owner, Protocol, Tuple};

/// The names of one connection. The dialect has neither sockets nor times of connections, and of an owner the process
/// id alone, so that a tuple that was used twice has one key. The same tuple in two network namespaces has two.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Key {
    pub(super) pid: i32,
    pub(super) protocol: ConnectionType,
    pub(super) netns: u32,
    pub(super) local: End,
    pub(super) remote: End,
    pub(super) direction: ConnectionDirection,
}

/// One end. The dialect has no scope for link-local addresses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct End {
    pub(super) ip: IpAddr,
    pub(super) port: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ConnectionType {
    Tcp,
    Udp,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum ConnectionDirection {
    Unspecified,
    Incoming,
    Outgoing,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ConnectionFamily {
    V4,
    V6,
}

impl Key {
    pub(super) fn of(connection: &Connection) -> Self {
        let Tuple { protocol, netns, local, remote } = connection.tuple;
        Self {
            pid: connection.owner.map_or(0, pid),
            protocol: protocol.into(),
            netns,
            local: local.into(),
            remote: remote.into(),
            direction: connection.direction.into(),
        }
    }

    pub(super) fn family(&self) -> ConnectionFamily {
        match (self.local.ip, self.remote.ip) {
            (IpAddr::V4(_), IpAddr::V4(_)) => ConnectionFamily::V4,
            _ => ConnectionFamily::V6,
        }
    }
}

impl End {
    /// The end of which nothing but perhaps the port is known.
    pub(super) fn anywhere(port: u16) -> Self {
        Self { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port }
    }
}

impl ConnectionDirection {
    /// The direction as the other end has it.
    pub(super) fn opposite(self) -> Self {
        match self {
            Self::Unspecified => Self::Unspecified,
            Self::Incoming => Self::Outgoing,
            Self::Outgoing => Self::Incoming,
        }
    }
}

impl From<SocketAddr> for End {
    fn from(end: SocketAddr) -> Self {
        Self { ip: end.ip(), port: end.port() }
    }
}

impl From<Protocol> for ConnectionType {
    fn from(protocol: Protocol) -> Self {
        match protocol {
            Protocol::Tcp => Self::Tcp,
            Protocol::Udp => Self::Udp,
        }
    }
}

impl From<Direction> for ConnectionDirection {
    fn from(direction: Direction) -> Self {
        match direction {
            Direction::Unknown => Self::Unspecified,
            Direction::Incoming => Self::Incoming,
            Direction::Outgoing => Self::Outgoing,
        }
    }
}

/// Process id, the only thing that the dialect tells of an owner. Kernels have at most 2^22 of them.
pub(super) fn pid(owner: Owner) -> i32 {
    let Owner {
        pid,
        tid: _,
        uid: _,
        command: _,
        cgroup_id: _,
        container: _,
        started_at_boot_ns: _,
        kernel: _,
        source: _,
    } = owner;
    i32::try_from(pid).unwrap_or(0)
}
