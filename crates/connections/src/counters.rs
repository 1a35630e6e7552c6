//! The counters of a connection: as the kernel keeps them, and as 64-bit totals that only grow.

/// Counters as read from the kernel's socket: since the socket was opened, packets in 32 bits that wrap.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RawCounters {
    /// Payload bytes sent for the first time.
    pub sent_bytes: u64,
    /// Payload bytes received in order.
    pub received_bytes: u64,
    /// Segments sent, retransmits and pure acknowledgements included.
    pub sent_packets: u32,
    /// Segments received.
    pub received_packets: u32,
    /// Segments sent again.
    pub retransmits: u32,
    /// Retransmission time-outs; 0 where the kernel does not count them.
    pub rtos: u32,
    /// Recoveries from such time-outs; 0 where the kernel does not count them.
    pub recoveries: u32,
    /// Times that reordering was seen.
    pub reordering: u32,
    /// Segments received out of order.
    pub out_of_order: u32,
    /// Segments delivered with the congestion mark (ECN CE).
    pub delivered_ce: u32,
}

/// Totals, or the difference of two totals.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Payload bytes sent, each counted once however often it was retransmitted.
    pub sent_bytes: u64,
    /// Payload bytes received in order.
    pub received_bytes: u64,
    /// Segments sent, retransmits and pure acknowledgements included.
    pub sent_packets: u64,
    /// Segments received.
    pub received_packets: u64,
    /// Segments sent again.
    pub retransmits: u64,
    /// Retransmission time-outs; meaningless unless [`crate::TcpFacts::counts_rtos`].
    pub rtos: u64,
    /// Recoveries from such time-outs; meaningless unless [`crate::TcpFacts::counts_rtos`].
    pub recoveries: u64,
    /// Times that reordering was seen.
    pub reordering: u64,
    /// Segments received out of order.
    pub out_of_order: u64,
    /// Segments delivered with the congestion mark (ECN CE).
    pub delivered_ce: u64,
}

impl Counters {
    /// The totals of a first reading.
    #[must_use]
    pub fn first(raw: RawCounters) -> Self {
        Self {
            sent_bytes: raw.sent_bytes,
            received_bytes: raw.received_bytes,
            sent_packets: raw.sent_packets.into(),
            received_packets: raw.received_packets.into(),
            retransmits: raw.retransmits.into(),
            rtos: raw.rtos.into(),
            recoveries: raw.recoveries.into(),
            reordering: raw.reordering.into(),
            out_of_order: raw.out_of_order.into(),
            delivered_ce: raw.delivered_ce.into(),
        }
    }

    /// Payload bytes, both ways.
    #[must_use]
    pub fn payload_bytes(self) -> u64 {
        self.sent_bytes.saturating_add(self.received_bytes)
    }

    /// The packets without what the kernel's 32 bits do not hold.
    #[must_use]
    pub(crate) fn in_kernel_width(self) -> Self {
        let low = |packets: u64| packets & u64::from(u32::MAX);
        Self {
            sent_bytes: self.sent_bytes,
            received_bytes: self.received_bytes,
            sent_packets: low(self.sent_packets),
            received_packets: low(self.received_packets),
            retransmits: low(self.retransmits),
            rtos: low(self.rtos),
            recoveries: low(self.recoveries),
            reordering: low(self.reordering),
            out_of_order: low(self.out_of_order),
            delivered_ce: low(self.delivered_ce),
        }
    }

    /// The totals after a further reading, and how many fields went backwards.
    ///
    /// A 32-bit field that wrapped since the last reading is carried into the upper half. A field that went
    /// backwards keeps its value: nothing that was told is ever taken back.
    #[must_use]
    pub fn advanced(self, raw: RawCounters) -> (Self, u64) {
        let mut backwards = 0;
        let mut keep = |before: u64, after: u64| {
            backwards += u64::from(after < before);
            before.max(after)
        };
        let totals = Self {
            sent_bytes: keep(self.sent_bytes, raw.sent_bytes),
            received_bytes: keep(self.received_bytes, raw.received_bytes),
            sent_packets: keep(self.sent_packets, carried(self.sent_packets, raw.sent_packets)),
            received_packets: keep(
                self.received_packets,
                carried(self.received_packets, raw.received_packets),
            ),
            retransmits: keep(self.retransmits, carried(self.retransmits, raw.retransmits)),
            rtos: keep(self.rtos, carried(self.rtos, raw.rtos)),
            recoveries: keep(self.recoveries, carried(self.recoveries, raw.recoveries)),
            reordering: keep(self.reordering, carried(self.reordering, raw.reordering)),
            out_of_order: keep(self.out_of_order, carried(self.out_of_order, raw.out_of_order)),
            delivered_ce: keep(self.delivered_ce, carried(self.delivered_ce, raw.delivered_ce)),
        };
        (totals, backwards)
    }

    /// The difference to earlier totals, and how many fields would have been negative (they are 0).
    #[must_use]
    #[inline]
    pub fn since(self, earlier: Self) -> (Self, u64) {
        let mut backwards = 0;
        let mut minus = |now: u64, then: u64| {
            backwards += u64::from(now < then);
            now.saturating_sub(then)
        };
        let difference = Self {
            sent_bytes: minus(self.sent_bytes, earlier.sent_bytes),
            received_bytes: minus(self.received_bytes, earlier.received_bytes),
            sent_packets: minus(self.sent_packets, earlier.sent_packets),
            received_packets: minus(self.received_packets, earlier.received_packets),
            retransmits: minus(self.retransmits, earlier.retransmits),
            rtos: minus(self.rtos, earlier.rtos),
            recoveries: minus(self.recoveries, earlier.recoveries),
            reordering: minus(self.reordering, earlier.reordering),
            out_of_order: minus(self.out_of_order, earlier.out_of_order),
            delivered_ce: minus(self.delivered_ce, earlier.delivered_ce),
        };
        (difference, backwards)
    }

    /// The sum with other counters, for adding up deltas.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            sent_bytes: self.sent_bytes.saturating_add(other.sent_bytes),
            received_bytes: self.received_bytes.saturating_add(other.received_bytes),
            sent_packets: self.sent_packets.saturating_add(other.sent_packets),
            received_packets: self.received_packets.saturating_add(other.received_packets),
            retransmits: self.retransmits.saturating_add(other.retransmits),
            rtos: self.rtos.saturating_add(other.rtos),
            recoveries: self.recoveries.saturating_add(other.recoveries),
            reordering: self.reordering.saturating_add(other.reordering),
            out_of_order: self.out_of_order.saturating_add(other.out_of_order),
            delivered_ce: self.delivered_ce.saturating_add(other.delivered_ce),
        }
    }
}

/// The 64-bit value nearest to `before` whose lower half is `raw`.
///
/// Less than 2^31 segments pass between two readings, so what looks like more is a step back, perhaps over a
/// wrap.
fn carried(before: u64, raw: u32) -> u64 {
    let [_, low_before] = halves(before);
    let grown = raw.wrapping_sub(low_before);
    if grown <= u32::MAX / 2 {
        before.saturating_add(grown.into())
    } else {
        before.saturating_sub(grown.wrapping_neg().into())
    }
}

fn halves(value: u64) -> [u32; 2] {
    let [a, b, c, d, e, f, g, h] = value.to_be_bytes();
    [u32::from_be_bytes([a, b, c, d]), u32::from_be_bytes([e, f, g, h])]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn packets(sent_packets: u32) -> RawCounters {
        RawCounters { sent_packets, ..RawCounters::default() }
    }

    #[test]
    fn a_wrapped_packet_counter_goes_on_growing() {
        let first = Counters::first(packets(u32::MAX - 1));
        let (second, backwards) = first.advanced(packets(3));
        assert_eq!((second.sent_packets, backwards), ((1 << 32) + 3, 0));
        let (third, _) = second.advanced(packets(2_000_000_000));
        let (third, _) = third.advanced(packets(4_000_000_000));
        assert_eq!(third.sent_packets, (1 << 32) + 4_000_000_000);
    }

    #[test]
    fn a_step_back_over_a_wrap_is_never_a_huge_growth() {
        let wrapped = Counters::first(packets(u32::MAX - 1)).advanced(packets(3)).0;
        let (back, backwards) = wrapped.advanced(packets(u32::MAX));
        assert_eq!((back, backwards), (wrapped, 1));
        let adopted_after_a_wrap = Counters::first(packets(3));
        let (back, backwards) = adopted_after_a_wrap.advanced(packets(u32::MAX));
        assert_eq!((back, backwards), (adopted_after_a_wrap, 1));
    }

    #[test]
    fn a_step_back_keeps_the_value_and_is_counted() {
        let first = Counters::first(packets(10));
        let (second, backwards) = first.advanced(packets(7));
        assert_eq!((second.sent_packets, backwards), (10, 1));
    }

    #[test]
    fn a_negative_difference_is_zero_and_counted() {
        let small = Counters { sent_bytes: 1, ..Counters::default() };
        let large = Counters { sent_bytes: 5, ..Counters::default() };
        assert_eq!(small.since(large), (Counters::default(), 1));
        assert_eq!(large.since(small).0.sent_bytes, 4);
    }
}
