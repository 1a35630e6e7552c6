//! One record as the reference's `Connection` message.

use connections::{ContainerId, Counters};

use super::key::{ConnectionDirection, ConnectionFamily, ConnectionType, End, Key};
use super::proto::{self, Addr, Connection, EphemeralPortState, ProtocolStack};
use super::record::{Sums, narrow};
use crate::address_text::address_text;

/// An index into a list of the message that points nowhere.
const NOWHERE: i32 = -1;

impl Connection {
    /// Every field is named, so that a new one of the schema does not compile until someone decides about it.
    pub(super) fn new(key: &Key, sums: &Sums) -> Self {
        let Key { pid, protocol, netns, local, remote, direction } = *key;
        let Sums {
            counters,
            rtt_us,
            rttvar_us,
            established,
            closed,
            failures,
            ecn_negotiated,
            intra_host,
            container,
        } = sums;
        let mut connection = Self {
            pid,
            laddr: Some(Addr::new(local, *container)),
            // That of the other end is not known.
            raddr: Some(Addr::new(remote, None)),
            family: proto::ConnectionFamily::from(key.family()).into(),
            r#type: proto::ConnectionType::from(protocol).into(),
            direction: proto::ConnectionDirection::from(direction).into(),
            net_ns: netns,
            rtt: rtt_us.value(),
            rtt_var: rttvar_us.value(),
            intra_host: *intra_host,
            last_tcp_established: narrow(*established),
            last_tcp_closed: narrow(*closed),
            tcp_failures_by_err_code: failures.by_errno(),
            tcp_ecn_negotiated: *ecn_negotiated,
            // What follows is counted below.
            last_bytes_sent: 0,
            last_bytes_received: 0,
            last_retransmits: 0,
            last_packets_sent: 0,
            last_packets_received: 0,
            last_tcp_rto_count: 0,
            last_tcp_recovery_count: 0,
            last_tcp_reord_seen: 0,
            last_tcp_rcv_ooo_pack: 0,
            last_tcp_delivered_ce: 0,
            // The kernel keeps no total of these probes.
            last_tcp_probe0_count: 0,
            // What follows is not known.
            ip_translation: None,
            dns_successful_responses: 0,
            dns_failed_responses: 0,
            dns_timeouts: 0,
            dns_success_latency_sum: 0,
            dns_failure_latency_sum: 0,
            dns_count_by_rcode: Default::default(),
            dns_stats_by_domain: Default::default(),
            dns_stats_by_domain_by_query_type: Default::default(),
            route_idx: NOWHERE,
            resolv_conf_idx: NOWHERE,
            is_local_port_ephemeral: EphemeralPortState::EphemeralUnspecified.into(),
            protocol: Some(ProtocolStack { stack: Vec::new() }),
            http_aggregations: Vec::new(),
            http2_aggregations: Vec::new(),
            data_streams_aggregations: Vec::new(),
            database_aggregations: Vec::new(),
            tags: Vec::new(),
            tags_checksum: 0,
            state_index: 0,
            // The daemon talks to its clients over unix sockets, and over TCP only if it is told to.
            system_probe_conn: false,
            // What follows is filled by the client of the reference.
            dns_stats_by_domain_offset_by_query_type: Default::default(),
            remote_network_id: String::new(),
            route_target_idx: 0,
            tags_idx: 0,
            remote_ecs_task: String::new(),
            local_container_tags_index: 0,
            remote_service_tags_idx: 0,
        };
        connection.count(*counters);
        connection
    }

    fn count(&mut self, counters: Counters) {
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
        } = counters;
        self.last_bytes_sent = sent_bytes;
        self.last_bytes_received = received_bytes;
        self.last_retransmits = narrow(retransmits);
        self.last_packets_sent = sent_packets;
        self.last_packets_received = received_packets;
        self.last_tcp_rto_count = narrow(rtos);
        self.last_tcp_recovery_count = narrow(recoveries);
        self.last_tcp_reord_seen = narrow(reordering);
        self.last_tcp_rcv_ooo_pack = narrow(out_of_order);
        self.last_tcp_delivered_ce = narrow(delivered_ce);
    }
}

impl Addr {
    fn new(end: End, container: Option<ContainerId>) -> Self {
        let End { ip, port } = end;
        Self {
            ip: address_text(ip),
            port: port.into(),
            container_id: container.map(|id| id.to_string()).unwrap_or_default(),
            host_name: String::new(),
        }
    }
}

impl From<ConnectionFamily> for proto::ConnectionFamily {
    fn from(family: ConnectionFamily) -> Self {
        match family {
            ConnectionFamily::V4 => Self::V4,
            ConnectionFamily::V6 => Self::V6,
        }
    }
}

impl From<ConnectionType> for proto::ConnectionType {
    fn from(protocol: ConnectionType) -> Self {
        match protocol {
            ConnectionType::Tcp => Self::Tcp,
            ConnectionType::Udp => Self::Udp,
        }
    }
}

impl From<ConnectionDirection> for proto::ConnectionDirection {
    fn from(direction: ConnectionDirection) -> Self {
        match direction {
            ConnectionDirection::Unspecified => Self::Unspecified,
            ConnectionDirection::Incoming => Self::Incoming,
            ConnectionDirection::Outgoing => Self::Outgoing,
        }
    }
}
