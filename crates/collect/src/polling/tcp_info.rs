//! What TCP tells of a socket to whoever asks: `struct tcp_info` of include/uapi/linux/tcp.h, as long as the kernel's is.
//!
//! Fields that a kernel does not have are absent. Says nothing of what follows from them.

use super::message::{u16_at, u32_at, u64_at};

/// The fields that are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct TcpInfo {
    /// By include/net/tcp_states.h, read after that of the socket and together with the rest.
    pub(super) state: u8,
    pub(super) probes: u8,
    pub(super) ecn_negotiated: bool,
    pub(super) delivery_app_limited: bool,
    /// Packets that were sent and not acknowledged.
    pub(super) unacknowledged_packets: u32,
    pub(super) lost: u32,
    /// Milliseconds since it sent or received something last.
    pub(super) idle_ms: u32,
    /// Milliseconds since the other end was heard of last.
    pub(super) silent_ms: u32,
    pub(super) rtt_us: u32,
    pub(super) rttvar_us: u32,
    pub(super) min_rtt_us: Option<u32>,
    pub(super) cwnd_packets: u32,
    pub(super) total_retransmits: u32,
    /// SYN and FIN included.
    pub(super) bytes_acked: u64,
    /// The FIN of the other end included.
    pub(super) bytes_received: u64,
    pub(super) segments_out: u32,
    pub(super) segments_in: u32,
    pub(super) not_sent_bytes: u32,
    pub(super) delivery_bytes_per_s: u64,
    pub(super) busy_us: Option<u64>,
    pub(super) rwnd_limited_us: Option<u64>,
    pub(super) sndbuf_limited_us: Option<u64>,
    pub(super) delivered_ce: u32,
    /// Payload, retransmits included; since 4.19.
    pub(super) bytes_sent: Option<u64>,
    pub(super) bytes_retransmitted: u64,
    pub(super) reordering_seen: u32,
    pub(super) out_of_order: u32,
    /// Since 6.7.
    pub(super) total_rto: Option<u16>,
    pub(super) total_rto_recoveries: Option<u16>,
}

const OPTION_ECN: u8 = 8;

impl TcpInfo {
    /// Whatever of it there is.
    pub(super) fn from_bytes(bytes: &[u8]) -> Self {
        let byte = |at: usize| bytes.get(at).copied().unwrap_or(0);
        let short = |at: usize| u16_at(bytes, at);
        let word = |at: usize| u32_at(bytes, at);
        let long = |at: usize| u64_at(bytes, at);
        Self {
            state: byte(0),
            probes: byte(3),
            ecn_negotiated: byte(5) & OPTION_ECN != 0,
            delivery_app_limited: byte(7) & 1 != 0,
            unacknowledged_packets: word(24).unwrap_or(0),
            lost: word(32).unwrap_or(0),
            // Since data was sent, data was received, an acknowledgement was received.
            idle_ms: [44, 52, 56].into_iter().filter_map(word).min().unwrap_or(0),
            silent_ms: word(56).unwrap_or(0),
            rtt_us: word(68).unwrap_or(0),
            rttvar_us: word(72).unwrap_or(0),
            cwnd_packets: word(80).unwrap_or(0),
            total_retransmits: word(100).unwrap_or(0),
            bytes_acked: long(120).unwrap_or(0),
            bytes_received: long(128).unwrap_or(0),
            segments_out: word(136).unwrap_or(0),
            segments_in: word(140).unwrap_or(0),
            not_sent_bytes: word(144).unwrap_or(0),
            min_rtt_us: word(148),
            delivery_bytes_per_s: long(160).unwrap_or(0),
            busy_us: long(168),
            rwnd_limited_us: long(176),
            sndbuf_limited_us: long(184),
            delivered_ce: word(196).unwrap_or(0),
            bytes_sent: long(200),
            bytes_retransmitted: long(208).unwrap_or(0),
            reordering_seen: word(220).unwrap_or(0),
            out_of_order: word(224).unwrap_or(0),
            total_rto: short(240),
            total_rto_recoveries: short(242),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_older_kernel_does_not_have_is_absent() {
        let whole = TcpInfo::from_bytes(&[1; 280]);
        assert_eq!(whole.bytes_sent, Some(0x0101_0101_0101_0101));
        assert_eq!(whole.total_rto, Some(0x0101));
        let older = TcpInfo::from_bytes(&[1; 232]);
        assert_eq!((older.bytes_sent.is_some(), older.total_rto), (true, None));
        let oldest = TcpInfo::from_bytes(&[1; 192]);
        assert_eq!((oldest.bytes_sent, oldest.busy_us.is_some()), (None, true));
        assert_eq!(TcpInfo::from_bytes(&[]), TcpInfo::default());
    }
}
