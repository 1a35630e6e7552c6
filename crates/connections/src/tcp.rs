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
    /// Payload bytes sent again, in all.
    pub retransmitted_bytes: u64,
    /// Bytes that the process wrote and the other end has not acknowledged.
    pub unacknowledged_bytes: u32,
    /// Bytes received that the process has not read.
    pub unread_bytes: u32,
    /// Segments now thought to be lost.
    pub lost_packets: u32,
    /// Times that reordering was seen.
    pub reordering_events: u32,
    /// Segments received out of order.
    pub out_of_order_packets: u32,
    /// Segments delivered with the congestion mark (ECN CE).
    pub delivered_ce_packets: u32,
    /// Retransmission time-outs; absent before Linux 6.7.
    pub rtos: Option<u32>,
}
