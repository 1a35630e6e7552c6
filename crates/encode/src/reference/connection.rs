//! One record as the reference's `Connection` message.

use std::net::IpAddr;

use connections::Counters;
use serde::Serialize;

use super::key::{ConnectionDirection, ConnectionFamily, ConnectionType, End, Key};
use super::no_fact::NoFact;
use super::record::{Failures, Sums, narrow};
use super::text::Text;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionWire<'a> {
    pid: i32,
    laddr: Addr,
    raddr: Addr,
    family: ConnectionFamily,
    #[serde(rename = "type")]
    protocol: ConnectionType,
    last_bytes_sent: Text<u64>,
    last_bytes_received: Text<u64>,
    last_retransmits: u32,
    direction: ConnectionDirection,
    #[serde(rename = "netNS")]
    netns: u32,
    rtt: u32,
    rtt_var: u32,
    intra_host: bool,
    last_tcp_established: u32,
    last_tcp_closed: u32,
    last_packets_sent: Text<u64>,
    last_packets_received: Text<u64>,
    tcp_failures_by_err_code: &'a Failures,
    last_tcp_rto_count: u32,
    last_tcp_recovery_count: u32,
    last_tcp_reord_seen: u32,
    last_tcp_rcv_ooo_pack: u32,
    last_tcp_delivered_ce: u32,
    tcp_ecn_negotiated: bool,
    #[serde(flatten)]
    no_fact: NoFact,
}

impl<'a> ConnectionWire<'a> {
    pub(super) fn new(key: &Key, sums: &'a Sums) -> Self {
        let Key { pid, protocol, netns, local, remote, direction } = *key;
        let Sums { counters, rtt_us, rttvar_us, established, closed, failures, ecn_negotiated, intra_host } =
            sums;
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
        } = *counters;
        Self {
            pid,
            laddr: Addr::new(local),
            raddr: Addr::new(remote),
            family: key.family(),
            protocol,
            last_bytes_sent: Text(sent_bytes),
            last_bytes_received: Text(received_bytes),
            last_retransmits: narrow(retransmits),
            direction,
            netns,
            rtt: rtt_us.value(),
            rtt_var: rttvar_us.value(),
            intra_host: *intra_host,
            last_tcp_established: narrow(*established),
            last_tcp_closed: narrow(*closed),
            last_packets_sent: Text(sent_packets),
            last_packets_received: Text(received_packets),
            tcp_failures_by_err_code: failures,
            last_tcp_rto_count: narrow(rtos),
            last_tcp_recovery_count: narrow(recoveries),
            last_tcp_reord_seen: narrow(reordering),
            last_tcp_rcv_ooo_pack: narrow(out_of_order),
            last_tcp_delivered_ce: narrow(delivered_ce),
            tcp_ecn_negotiated: *ecn_negotiated,
            no_fact: NoFact::default(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Addr {
    ip: IpAddr,
    port: i32,
    container_id: &'static str,
    host_name: &'static str,
}

impl Addr {
    fn new(end: End) -> Self {
        Self { ip: end.ip, port: end.port.into(), container_id: "", host_name: "" }
    }
}
