//! A roll-up, several closed connections as one record, as the reference's `Connection` message.
//!
//! The dialect has no such thing: it is a connection between unspecified addresses, with the port at the end
//! that serves, that closed as often as there are connections in it.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use connections::{Common, Counters, Direction, RollUp, RollUpKey};

use super::connection::{Addr, ConnectionWire, FailureCounts, direction_name, pid, protocol_name};
use super::no_fact::NoFact;
use super::text::Text;

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
    let Counters {
        sent_bytes,
        received_bytes,
        sent_packets,
        received_packets,
        retransmits,
        rtos,
        recoveries,
        reordering,
        out_of_order,
        delivered_ce,
    } = *total;
    let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
    let end = |port| Addr::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
    let incoming = direction == Direction::Incoming;
    ConnectionWire {
        pid: owner.map_or(0, pid),
        laddr: end(if incoming { port } else { 0 }),
        raddr: end(if incoming { 0 } else { port }),
        family: "v4",
        protocol: protocol_name(protocol),
        last_bytes_sent: Text(sent_bytes),
        last_bytes_received: Text(received_bytes),
        last_retransmits: narrow(retransmits),
        direction: direction_name(direction),
        netns,
        rtt: 0,
        rtt_var: 0,
        intra_host: false,
        last_tcp_established: 0,
        last_tcp_closed: narrow(*connections),
        last_packets_sent: Text(sent_packets),
        last_packets_received: Text(received_packets),
        tcp_failures_by_err_code: FailureCounts::Several(failures),
        last_tcp_rto_count: narrow(rtos),
        last_tcp_recovery_count: narrow(recoveries),
        last_tcp_reord_seen: narrow(reordering),
        last_tcp_rcv_ooo_pack: narrow(out_of_order),
        last_tcp_delivered_ce: narrow(delivered_ce),
        tcp_ecn_negotiated: false,
        no_fact: NoFact::default(),
    }
}
