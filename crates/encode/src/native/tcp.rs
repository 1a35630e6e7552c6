//! TCP facts as a message of ours: what the kernel has no value for is absent.

use connections::TcpFacts;

use super::proto;

impl From<TcpFacts> for proto::TcpFacts {
    fn from(facts: TcpFacts) -> Self {
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
            zero_window_probes_waiting: zero_window_probes_waiting.into(),
            ecn_negotiated,
        }
    }
}
