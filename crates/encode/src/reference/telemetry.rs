//! The coverage of an answer as entries of `connTelemetryMap`.
//!
//! Of the reference's own entries the others are left out: none of them is known exactly for the interval of one answer.

use std::collections::BTreeMap;

use connections::Loss;
use deltas::Coverage;

/// Entries `sockeye.coverage.…`. Every cause of loss is present, also with 0, since the reader of this dialect expects
/// zeros.
pub(super) fn telemetry(coverage: &Coverage) -> BTreeMap<String, i64> {
    // The interval has no entry: the reader measures its own.
    let Coverage { interval_ns: _, losses, untracked, rolled_up, anomalies, not_counted: _, audit } =
        *coverage;
    let counts = [
        ("complete", u64::from(coverage.complete())),
        ("untracked", untracked),
        ("rolled_up.connections", rolled_up),
        ("anomalies", anomalies),
    ];
    let losses = losses.by_cause().into_iter().flat_map(|(cause, Loss { connections, bytes })| {
        [(format!("lost.{cause}.connections"), connections), (format!("lost.{cause}.bytes"), bytes)]
    });
    let audits = audit.into_iter().flat_map(|audit| {
        let found = [("audit.missing", audit.missing), ("audit.stale", audit.stale)];
        let drift = audit.drift.by_name().map(|(name, amount)| (format!("audit.drift.{name}"), amount));
        found.map(|(name, amount)| (name.to_owned(), amount)).into_iter().chain(drift)
    });
    let counts = counts.into_iter().map(|(name, value)| (name.to_owned(), value));
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    let entries = counts.chain(losses).chain(audits);
    entries.map(|(name, value)| (format!("sockeye.coverage.{name}"), signed(value))).collect()
}
