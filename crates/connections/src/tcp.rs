//! What the kernel's TCP knows about a connection beyond its counters: the newest reading, never a sum.

/// TCP facts of the last reading. Absent means that the kernel has no value (yet), which differs from 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TcpFacts {
    /// Smoothed round-trip time in microseconds; absent before the first sample.
    pub srtt_us: Option<u32>,
    /// Mean deviation of the round-trip time in microseconds; absent before the first sample.
    pub rttvar_us: Option<u32>,
    /// Smallest round-trip time of the kernel's window in microseconds; absent before the first sample.
    pub min_rtt_us: Option<u32>,
    /// Congestion window in segments.
    pub cwnd_packets: u32,
    /// Payload bytes per second that the last sample delivered; absent before the first.
    pub delivery_bytes_per_s: Option<u64>,
    /// True when that sample was limited by the process, not by the network.
    pub delivery_app_limited: Option<bool>,
    /// Time with data under way, in microseconds; this and the next two are absent where the length of the
    /// kernel's tick is unknown, and step with it (1 to 10 ms).
    pub busy_us: Option<u64>,
    /// Part of it that was held up by the other end's window.
    pub rwnd_limited_us: Option<u64>,
    /// Part of it that was held up by this end's send buffer.
    pub sndbuf_limited_us: Option<u64>,
    /// Payload bytes sent again, in all.
    pub retransmitted_bytes: u64,
    /// Bytes that the process wrote and that were not sent yet.
    pub unsent_bytes: u32,
    /// Bytes sent that the other end has not acknowledged.
    pub unacknowledged_bytes: u32,
    /// Bytes received that the process has not read.
    pub unread_bytes: u32,
    /// Segments now thought to be lost.
    pub lost_packets: u32,
    /// Probes of a closed window that wait for an answer now. The kernel keeps no total of them.
    pub zero_window_probes_waiting: u8,
    /// True when both ends agreed on congestion marks (ECN).
    pub ecn_negotiated: bool,
    /// True when the kernel counts retransmission time-outs and recoveries: since Linux 6.7. Otherwise the
    /// counters of that name stay 0 without meaning it.
    pub counts_rtos: bool,
}
