//! The coverage of an answer, and what the reference counts too, as entries of `connTelemetryMap`.
//!
//! Of the reference's own entries those are here that mean the same and are known for the interval of one answer:
//!
//! - `conns_closed`: the connections that were closed. It is absent when that is not exact: something was lost, or a roll-up
//!   does not say of how many connections it is.
//! - `closed_conn_dropped`: the closed connections that the client has lost because it did not fetch them.
//!
//! The others are left out. `conn_dropped` is of a limit for each client that does not exist here. `conns_bpf_map_size`, the
//! connections that live, is not known to an answer that tells what changed. Runs of hooks (`kprobes_triggered`,
//! `kprobes_missed`) are counted for the process, and are those of other hooks. What is counted of DNS, conntrack and HTTP has
//! no source.

use std::collections::BTreeMap;

use connections::{Loss, Losses, Protocol};
use deltas::{Coverage, Delta, RollUpId};

/// Entries `sockeye.coverage.…`. Every cause of loss is present, also with 0, since the reader of this dialect expects
/// zeros.
pub(super) fn telemetry(delta: &Delta) -> BTreeMap<String, i64> {
    // The interval has no entry: the reader measures its own.
    let Coverage {
        interval_ns: _,
        losses,
        untracked,
        rolled_up,
        excluded,
        anomalies,
        not_counted: _,
        lookups_lost,
        messages_lost,
        audit,
    } = delta.coverage;
    let complete = delta.coverage.complete();
    let counts = [
        ("complete", u64::from(complete)),
        ("untracked", untracked),
        ("rolled_up.connections", rolled_up),
        ("excluded.connections", excluded),
        ("anomalies", anomalies),
        ("lookups_lost.lookups", lookups_lost),
        ("lookups_lost.messages", messages_lost),
    ];
    let Losses { ring_full: _, close_not_seen: _, closed_log_full } = losses;
    let losses = losses.by_cause().into_iter().flat_map(|(cause, Loss { connections, bytes })| {
        [(format!("lost.{cause}.connections"), connections), (format!("lost.{cause}.bytes"), bytes)]
    });
    let audits = audit.into_iter().flat_map(|audit| {
        let found = [("audit.missing", audit.missing), ("audit.stale", audit.stale)];
        let drift = audit.drift.by_name().map(|(name, amount)| (format!("audit.drift.{name}"), amount));
        found.map(|(name, amount)| (name.to_owned(), amount)).into_iter().chain(drift)
    });
    let counts = counts.into_iter().map(|(name, value)| (name.to_owned(), value));
    let ours = counts.chain(losses).chain(audits);
    let ours = ours.map(|(name, value)| (format!("sockeye.coverage.{name}"), value));
    let closed = closed(delta).filter(|_| complete).map(|closed| ("conns_closed".to_owned(), closed));
    let dropped = ("closed_conn_dropped".to_owned(), closed_log_full.connections);
    let signed = |value: u64| i64::try_from(value).unwrap_or(i64::MAX);
    ours.chain(closed).chain([dropped]).map(|(name, value)| (name, signed(value))).collect()
}

/// How many connections were closed, if that is known: of how many UDP peers a roll-up of the kernel side is, is not.
fn closed(delta: &Delta) -> Option<u64> {
    let mut closed = delta.changes.closed_count();
    for (id, rollup) in delta.roll_ups.iter() {
        if matches!(id, RollUpId::Kernel(_)) && rollup.key.protocol == Protocol::Udp {
            return None;
        }
        closed = closed.saturating_add(rollup.connections);
    }
    Some(closed)
}
