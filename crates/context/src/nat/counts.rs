//! What translations cost and what was missed, counted.

use std::sync::atomic::{AtomicU64, Ordering};

/// Totals since the start, and what is there now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NatCounts {
    /// Translations that are remembered, ended ones included.
    pub entries: u64,
    /// Network namespaces that are listened to.
    pub namespaces: u64,
    /// Of those found at the last look, how many cannot be: they may not be entered, or are too many.
    pub unread_namespaces: u64,
    /// Messages that the kernel woke us for. Connections that are not translated make none.
    pub datagrams: u64,
    /// Beginnings and ends of translated connections that the kernel told.
    pub events: u64,
    /// How often the kernel had no room to tell one. A dump repairs each.
    pub overflows: u64,
    /// Dumps of a namespace that were complete.
    pub dumps: u64,
    /// Dumps that were not.
    pub failed_dumps: u64,
    /// Translations that were forgotten for want of room, before their time.
    pub evicted: u64,
    /// Messages that could not be understood.
    pub malformed: u64,
}

/// The totals, as threads count them.
#[derive(Debug, Default)]
pub(crate) struct Totals {
    pub(crate) datagrams: AtomicU64,
    pub(crate) events: AtomicU64,
    pub(crate) overflows: AtomicU64,
    pub(crate) dumps: AtomicU64,
    pub(crate) failed_dumps: AtomicU64,
    pub(crate) malformed: AtomicU64,
    pub(crate) unread_namespaces: AtomicU64,
    pub(crate) namespaces: AtomicU64,
}

pub(crate) fn add(total: &AtomicU64, number: u64) {
    total.fetch_add(number, Ordering::Relaxed);
}

impl Totals {
    /// The part of the counts that are totals.
    pub(crate) fn read(&self) -> NatCounts {
        let read = |total: &AtomicU64| total.load(Ordering::Relaxed);
        NatCounts {
            unread_namespaces: read(&self.unread_namespaces),
            namespaces: read(&self.namespaces),
            datagrams: read(&self.datagrams),
            events: read(&self.events),
            overflows: read(&self.overflows),
            dumps: read(&self.dumps),
            failed_dumps: read(&self.failed_dumps),
            malformed: read(&self.malformed),
            ..NatCounts::default()
        }
    }
}
