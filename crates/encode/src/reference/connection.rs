//! One record as the reference's `Connection` message.

use std::collections::BTreeMap;

use connections::{ContainerId, Counters, Nat};
use deltas::LookupSum;

use super::key::{ConnectionDirection, ConnectionFamily, ConnectionType, End, Key};
use super::lists::Lists;
use super::proto::{self, Addr, Connection, DnsStats, DnsStatsByQueryType, IpTranslation, ProtocolStack};
use super::record::{Sums, narrow};
use crate::address_text::address_text;

/// An index into a list of the message that points nowhere.
const NOWHERE: i32 = -1;

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;

impl Connection {
    pub(super) fn new(key: &Key, sums: &Sums<'_>, lists: &mut Lists) -> Self {
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
            other_container,
            nat,
            route,
            lookups,
        } = sums;
        let mut connection = Self {
            laddr: Some(Addr::new(key.local, *container)),
            raddr: Some(Addr::new(key.remote, *other_container)),
            rtt: rtt_us.value(),
            rtt_var: rttvar_us.value(),
            intra_host: *intra_host,
            last_tcp_established: narrow(*established),
            last_tcp_closed: narrow(*closed),
            tcp_failures_by_err_code: failures.by_errno(),
            tcp_ecn_negotiated: *ecn_negotiated,
            ip_translation: nat.map(IpTranslation::from),
            route_idx: route.map_or(NOWHERE, |route| lists.route(route)),
            dns_stats_by_domain_by_query_type: by_domain(lookups, lists),
            ..Self::of_key(key)
        };
        connection.count(*counters);
        connection
    }

    /// A connection of which nothing is told but its key.
    fn of_key(key: &Key) -> Self {
        let Key { pid, protocol, netns, local: _, remote: _, direction } = *key;
        Self {
            pid,
            family: proto::ConnectionFamily::from(key.family()).into(),
            r#type: proto::ConnectionType::from(protocol).into(),
            direction: proto::ConnectionDirection::from(direction).into(),
            net_ns: netns,
            // What follows is told of its sums.
            laddr: None,
            raddr: None,
            rtt: 0,
            rtt_var: 0,
            intra_host: false,
            last_tcp_established: 0,
            last_tcp_closed: 0,
            tcp_failures_by_err_code: Default::default(),
            tcp_ecn_negotiated: false,
            ip_translation: None,
            route_idx: NOWHERE,
            dns_stats_by_domain_by_query_type: Default::default(),
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
            // The reference tells these where it does not tell domains.
            dns_successful_responses: 0,
            dns_failed_responses: 0,
            dns_timeouts: 0,
            dns_success_latency_sum: 0,
            dns_failure_latency_sum: 0,
            dns_count_by_rcode: Default::default(),
            dns_stats_by_domain: Default::default(),
            // The daemon talks to its clients over unix sockets, and over TCP only if it is told to.
            system_probe_conn: false,
            // What follows is not known, or filled by the client of the reference.
            ..Self::not_told()
        }
    }

    /// Fields that are never told. The local port's kind is unspecified: the range of ephemeral ports is of each namespace.
    fn not_told() -> Self {
        Self {
            resolv_conf_idx: NOWHERE,
            protocol: Some(ProtocolStack { stack: Vec::new() }),
            ..Self::default()
        }
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

/// Lookups by the place of the domain, and by type.
fn by_domain(lookups: &[&LookupSum], lists: &mut Lists) -> BTreeMap<i32, DnsStatsByQueryType> {
    let mut domains: BTreeMap<i32, DnsStatsByQueryType> = BTreeMap::new();
    for sum in lookups {
        let domain = domains.entry(lists.domain(&sum.domain)).or_default();
        domain.dns_stats_by_query_type.entry(sum.query_type.into()).or_default().add(sum);
    }
    domains
}

impl DnsStats {
    fn add(&mut self, sum: &LookupSum) {
        // Whose they are says the connection.
        let LookupSum {
            connection: _,
            tuple: _,
            pid: _,
            domain: _,
            query_type: _,
            timed_out,
            success_latency_ns,
            failure_latency_ns,
            by_rcode,
        } = sum;
        self.dns_timeouts = self.dns_timeouts.saturating_add(narrow(*timed_out));
        self.dns_success_latency_sum += success_latency_ns / NANOSECONDS_PER_MICROSECOND;
        self.dns_failure_latency_sum += failure_latency_ns / NANOSECONDS_PER_MICROSECOND;
        for (rcode, count) in by_rcode {
            let of_rcode = self.dns_count_by_rcode.entry((*rcode).into()).or_default();
            *of_rcode = of_rcode.saturating_add(narrow(*count));
        }
    }
}

impl From<Nat> for IpTranslation {
    fn from(nat: Nat) -> Self {
        let Nat { remote, local } = nat;
        Self {
            repl_src_ip: address_text(remote.ip()),
            repl_dst_ip: address_text(local.ip()),
            repl_src_port: remote.port().into(),
            repl_dst_port: local.port().into(),
        }
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
