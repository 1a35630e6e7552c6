//! TCP facts in our own JSON form: what the kernel has no value for is absent.

use connections::TcpFacts;
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct TcpWire {
    #[serde(skip_serializing_if = "Option::is_none")]
    srtt_us: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rttvar_us: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    min_rtt_us: Option<u32>,
    cwnd_packets: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_bytes_per_s: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivery_app_limited: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    busy_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    rwnd_limited_us: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sndbuf_limited_us: Option<u64>,
    retransmitted_bytes: u64,
    unsent_bytes: u32,
    unacknowledged_bytes: u32,
    unread_bytes: u32,
    lost_packets: u32,
    zero_window_probes_waiting: u8,
    ecn_negotiated: bool,
}

impl TcpWire {
    pub(super) fn new(facts: TcpFacts) -> Self {
        let TcpFacts {
            srtt_us,
            rttvar_us,
            min_rtt_us,
            cwnd_packets,
            delivery_bytes_per_s,
            delivery_app_limited,
            busy_us,
            rwnd_limited_us,
            sndbuf_limited_us,
            retransmitted_bytes,
            unsent_bytes,
            unacknowledged_bytes,
            unread_bytes,
            lost_packets,
            zero_window_probes_waiting,
            ecn_negotiated,
            // Shows as present or absent counters.
            counts_rtos: _,
        } = facts;
        Self {
            srtt_us,
            rttvar_us,
            min_rtt_us,
            cwnd_packets,
            delivery_bytes_per_s,
            delivery_app_limited,
            busy_us,
            rwnd_limited_us,
            sndbuf_limited_us,
            retransmitted_bytes,
            unsent_bytes,
            unacknowledged_bytes,
            unread_bytes,
            lost_packets,
            zero_window_probes_waiting,
            ecn_negotiated,
        }
    }
}
