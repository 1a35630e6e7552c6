//! A roll-up, several closed connections as one record, as the reference's `Connection` message.
//!
//! The dialect has no such thing: it is a connection between unspecified addresses, with the port at the end
//! that serves, that closed as often as there are connections in it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use connections::{Common, Direction, Protocol, RollUp, RollUpKey};

use super::connection::{Addr, ConnectionWire, FailureCounts, direction_name, pid};

pub(super) fn wire(rollup: &RollUp) -> ConnectionWire<'_> {
    // The dialect tells no times of connections, and a count that is absent is 0.
    let RollUp { key, owner, connections, total, counts_rtos: _, failures, last_closed_at: _ } = rollup;
    let RollUpKey { protocol, common } = *key;
    let (netns, direction, port) = match common {
        Some(Common { netns, direction, service_port, owner: _ }) => {
            (netns, direction, service_port.unwrap_or(0))
        }
        None => (0, Direction::Unknown, 0),
    };
    let end = |port| Addr::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
    let incoming = direction == Direction::Incoming;
    ConnectionWire {
        pid: owner.map_or(0, pid),
        laddr: end(if incoming { port } else { 0 }),
        raddr: end(if incoming { 0 } else { port }),
        protocol: protocol.name(),
        direction: direction_name(direction),
        netns,
        last_tcp_closed: u32::try_from(*connections).unwrap_or(u32::MAX),
        tcp_failures_by_err_code: match protocol {
            Protocol::Tcp => FailureCounts::Several(failures),
            Protocol::Udp => FailureCounts::One(None),
        },
        ..ConnectionWire::counting(*total)
    }
}
