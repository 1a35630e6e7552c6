//! Counters as a message of ours: what is not counted for a protocol, or by the kernel, is absent.

use connections::{Counted, Counters};

use super::proto;

impl proto::Counters {
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
        // What is not counted at all is left out by the caller.
        let Counted { traffic: _, tcp, rtos: counts_rtos } = counted;
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
