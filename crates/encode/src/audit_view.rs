//! What an audit found, in the answers to polls and in the status.

use std::collections::BTreeMap;

use connections::{Audit, Drift, WallOffset};
use serde::Serialize;

use crate::wall_time::WallTime;

/// The last audit. Totals count since tracing began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AuditView {
    /// When it ended.
    pub at: WallTime,
    /// How many there were.
    pub audits: u64,
    /// Processor time that reading for all of them took.
    pub cpu_ns: u64,
    /// Network namespaces that it compared.
    pub namespaces: u64,
    /// Network namespaces that it could not read.
    pub unread: u64,
    /// Sockets that it saw.
    pub sockets: u64,
    /// TCP sockets that should have been followed and were not, in all audits.
    pub missing: u64,
    /// Of these, those that are followed since they were found, with all that they carry.
    pub found: u64,
    /// Sockets that were gone without a word, in all audits.
    pub stale: u64,
    /// Sums that differ from the kernel's, by kind; those that do not are absent.
    pub drift: BTreeMap<&'static str, u64>,
}

impl AuditView {
    /// The times are those of the wall clock.
    #[must_use]
    pub fn new(audit: Audit, wall: WallOffset) -> Self {
        let Audit { at, audits, cpu_ns, namespaces, unread, sockets, missing, found, stale, drift } = audit;
        let differing = drift.by_name().into_iter().filter(|(_, amount)| *amount != 0);
        Self {
            at: WallTime::of(at, wall),
            audits,
            cpu_ns,
            namespaces,
            unread,
            sockets,
            missing,
            found,
            stale,
            drift: differing.collect(),
        }
    }

    /// Every kind of drift, those of 0 included.
    pub(crate) fn all_drift(&self) -> [(&'static str, u64); 7] {
        Drift::default().by_name().map(|(name, _)| (name, self.drift.get(name).copied().unwrap_or_default()))
    }
}
