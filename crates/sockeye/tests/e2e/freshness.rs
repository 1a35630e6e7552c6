//! How old the pass may be from which a poll is answered.

use serde_json::Value;

use crate::daemon::Daemon;
use crate::ledger::{Ledger, status_counter};
use crate::needs::runs_here;

/// Beginnings of the passes from which three polls in a row are answered, two of them of one client, and how many passes
/// the last two took.
fn poll_in_a_row(freshness_ms: &str) -> ([Value; 3], u64) {
    let daemon = Daemon::with(&[
        ("SOCKEYE_CLIENTS__FRESHNESS_MS", freshness_ms),
        ("SOCKEYE_COLLECT__AUDIT_INTERVAL_S", "0"),
    ]);
    let mut one = Ledger::register(daemon.socket(), "one");
    let mut other = Ledger::register(daemon.socket(), "other");
    let passes = || status_counter(&daemon.socket(), "passes");
    let first = one.poll()["to"].clone();
    let before = passes();
    let rest = [one.poll()["to"].clone(), other.poll()["to"].clone()];
    let [second, third] = rest;
    ([first, second, third], passes() - before)
}

#[test]
fn polls_in_a_row_share_a_pass_where_an_older_one_is_allowed() {
    if !runs_here(&["curl"]) {
        return;
    }
    let ([first, second, third], passes) = poll_in_a_row("10000");
    assert_eq!((&second, &third, passes), (&first, &first, 0));
}

#[test]
fn every_poll_in_a_row_has_a_pass_of_its_own_by_default() {
    if !runs_here(&["curl"]) {
        return;
    }
    let ([first, second, third], passes) = poll_in_a_row("0");
    assert!(first != second && second != third, "{first} {second} {third}");
    assert_eq!(passes, 2);
}
