//! Counters in our own JSON form: what is not counted for a protocol, or by the kernel, is absent.

use connections::{Counted, Counters};
use serde::Serialize;

#[derive(Serialize)]
pub(super) struct CountersWire {
    sent_bytes: u64,
    received_bytes: u64,
    /// Segments of TCP, datagrams of UDP; as the next.
    sent_packets: u64,
    received_packets: u64,
    /// Of TCP alone, as all that follow.
    #[serde(skip_serializing_if = "Option::is_none")]
    retransmits: Option<u64>,
    /// Absent, as the next, where the kernel does not count them.
    #[serde(skip_serializing_if = "Option::is_none")]
    rtos: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recoveries: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reordering: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    out_of_order: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered_ce: Option<u64>,
}

impl CountersWire {
    pub(super) fn new(counters: Counters, counted: Counted) -> Self {
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
        let Counted { tcp, rtos: counts_rtos } = counted;
        Self {
            sent_bytes,
            received_bytes,
            sent_packets,
            received_packets,
            retransmits: tcp.then_some(retransmits),
            rtos: counts_rtos.then_some(rtos),
            recoveries: counts_rtos.then_some(recoveries),
            reordering: tcp.then_some(reordering),
            out_of_order: tcp.then_some(out_of_order),
            delivered_ce: tcp.then_some(delivered_ce),
        }
    }
}
