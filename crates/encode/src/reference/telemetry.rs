//! The coverage of an answer as entries of `connTelemetryMap`.
//!
//! The reference's own entries are left out: none of them is known exactly for the interval of one answer.

use connections::{Audit, Loss, Losses};
use deltas::Coverage;
use serde::{Serialize, Serializer};

use super::text::Text;

/// Entries `sockeye.coverage.…`; the values are signed 64-bit integers. Every cause of loss is present, also
/// with 0, since the reader of this dialect expects zeros.
pub(super) struct TelemetryMap {
    complete: bool,
    untracked: u64,
    rolled_up: u64,
    anomalies: u64,
    losses: Losses,
    audit: Option<Audit>,
}

impl TelemetryMap {
    pub(super) fn new(coverage: &Coverage) -> Self {
        // The interval has no entry: the reader measures its own.
        let Coverage { interval_ns: _, losses, untracked, rolled_up, anomalies, not_counted: _, audit } =
            *coverage;
        Self { complete: coverage.complete(), untracked, rolled_up, anomalies, losses, audit }
    }

    fn entries(&self) -> impl Iterator<Item = (String, u64)> {
        let counts = [
            ("complete", u64::from(self.complete)),
            ("untracked", self.untracked),
            ("rolled_up.connections", self.rolled_up),
            ("anomalies", self.anomalies),
        ];
        let losses = self.losses.by_cause().into_iter().flat_map(|(cause, Loss { connections, bytes })| {
            [(format!("lost.{cause}.connections"), connections), (format!("lost.{cause}.bytes"), bytes)]
        });
        let audits = self.audit.into_iter().flat_map(|audit| {
            let found = [("audit.missing", audit.missing), ("audit.stale", audit.stale)];
            let drift = audit.drift.by_name().map(|(name, amount)| (format!("audit.drift.{name}"), amount));
            found.map(|(name, amount)| (name.to_owned(), amount)).into_iter().chain(drift)
        });
        counts.into_iter().map(|(name, value)| (name.to_owned(), value)).chain(losses).chain(audits)
    }
}

impl Serialize for TelemetryMap {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
        let entries = self.entries();
        serializer.collect_map(
            entries.map(|(name, value)| (format!("sockeye.coverage.{name}"), Text(signed(value)))),
        )
    }
}
