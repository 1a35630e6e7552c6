//! What a connection has counted, in the form in which it is kept for each live connection and for each client that
//! was told of it.

use crate::counters::Counters;

/// The counters of a connection since its socket was opened: 72 bytes. Of those of which there are few, 32 bits are kept:
/// at one time-out in 5 ms, the fastest that a kernel can be told to be, they are full after 248 days, and stay so.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Counted {
    sent_bytes: u64,
    received_bytes: u64,
    sent_packets: u64,
    received_packets: u64,
    retransmits: u64,
    reordering: u64,
    out_of_order: u64,
    delivered_ce: u64,
    rtos: u32,
    recoveries: u32,
}

/// The counters of whatever is at a place, and what makes it worth telling again: 80 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Tally {
    /// Tells apart the connections that have the same place one after the other; 0 while none has it.
    pub(crate) generation: u32,
    /// Whether it is or was established, in the upper bit; whether nobody is told of it, in the next one; the rest is another
    /// number whenever something is news that is no counter.
    revision: u32,
    pub(crate) counted: Counted,
}

/// The bit of the revision that tells that the connection was established.
const ESTABLISHED: u32 = 1 << 31;
/// The bit of the revision that tells that nobody is told of the connection.
const HIDDEN: u32 = 1 << 30;

impl Tally {
    /// Of a connection that is seen for the first time.
    pub(crate) fn new(generation: u32, counted: Counted, established: bool, visible: bool) -> Self {
        let hidden = if visible { 0 } else { HIDDEN };
        Self { generation, revision: hidden | established_bit(established), counted }
    }

    /// Of the same connection later.
    pub(crate) fn later(self, counted: Counted, established: bool, is_news: bool) -> Self {
        let revision = self.revision.wrapping_add(is_news.into()) & !(ESTABLISHED | HIDDEN);
        let revision = revision | self.revision & HIDDEN | established_bit(established);
        Self { revision, counted, ..self }
    }

    /// Of the same connection when clients are told of it.
    pub(crate) fn shown(self) -> Self {
        Self { revision: self.revision & !HIDDEN, ..self }
    }

    /// True when there is a connection of which clients are told.
    pub(crate) fn is_visible(&self) -> bool {
        self.generation != 0 && !self.is_hidden()
    }

    /// True when there is a connection of which nobody is told.
    pub(crate) fn is_hidden(&self) -> bool {
        self.revision & HIDDEN != 0
    }

    pub(crate) fn was_established(&self) -> bool {
        self.revision & ESTABLISHED != 0
    }

    /// Of a place where no connection is.
    pub(crate) const NONE: Self = Self {
        generation: 0,
        revision: 0,
        counted: Counted {
            sent_bytes: 0,
            received_bytes: 0,
            sent_packets: 0,
            received_packets: 0,
            retransmits: 0,
            reordering: 0,
            out_of_order: 0,
            delivered_ce: 0,
            rtos: 0,
            recoveries: 0,
        },
    };
}

fn established_bit(established: bool) -> u32 {
    if established { ESTABLISHED } else { 0 }
}

impl From<Counters> for Counted {
    fn from(counters: Counters) -> Self {
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
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        Self {
            sent_bytes,
            received_bytes,
            sent_packets,
            received_packets,
            retransmits,
            reordering,
            out_of_order,
            delivered_ce,
            rtos: narrow(rtos),
            recoveries: narrow(recoveries),
        }
    }
}

impl From<Counted> for Counters {
    fn from(counted: Counted) -> Self {
        let Counted {
            sent_bytes,
            received_bytes,
            sent_packets,
            received_packets,
            retransmits,
            reordering,
            out_of_order,
            delivered_ce,
            rtos,
            recoveries,
        } = counted;
        Self {
            sent_bytes,
            received_bytes,
            sent_packets,
            received_packets,
            retransmits,
            rtos: rtos.into(),
            recoveries: recoveries.into(),
            reordering,
            out_of_order,
            delivered_ce,
        }
    }
}

const _: () = assert!(size_of::<Tally>() == 80, "as the limits say");
