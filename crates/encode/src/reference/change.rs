//! A changed connection as a record of the dialect.

use connections::{Connection, State, TcpFacts};
use deltas::Change;

use super::key::Key;
use super::record::{Mean, Record, Sums};
use crate::lookups::Untold;

impl<'a> Record<'a> {
    pub(super) fn of_change(change: &Change, lookups: &Untold<'a>) -> Self {
        let Change { connection, delta, newly_established } = change;
        // The dialect has no place for names on both hosts, times, totals, what was before tracing, and the kernel's states.
        let Connection {
            id,
            global_id: _,
            tuple: _,
            direction: _,
            owner,
            state,
            opened_at: _,
            established_at: _,
            closed_at: _,
            pre_existing: _,
            total: _,
            before: _,
            facts,
            failure,
            failed_at: _,
        } = connection;
        let container = owner.and_then(|owner| owner.container);
        let lookups = lookups.of_connection(*id).collect();
        let mut sums = Sums { counters: *delta, container, lookups, ..Sums::default() };
        // It has no facts of UDP, and establishing, closing and failing of TCP alone.
        if let Some(tcp) = facts.tcp() {
            (sums.rtt_us, sums.rttvar_us, sums.ecn_negotiated) = told_facts(tcp);
            sums.established = (*newly_established).into();
            sums.closed = (*state == State::Closed).into();
            if let Some(errno) = failure.and_then(|failure| failure.errno) {
                sums.failures.add(errno, 1);
            }
        }
        Self { key: Key::of(connection), sums }
    }
}

/// Round-trip time, its mean deviation, and whether congestion marks were agreed on: the dialect has no place for the
/// other facts.
fn told_facts(facts: TcpFacts) -> (Mean, Mean, bool) {
    let TcpFacts {
        srtt_us,
        rttvar_us,
        min_rtt_us: _,
        cwnd_packets: _,
        delivery_bytes_per_s: _,
        delivery_app_limited: _,
        busy_us: _,
        rwnd_limited_us: _,
        sndbuf_limited_us: _,
        retransmitted_bytes: _,
        unsent_bytes: _,
        unacknowledged_bytes: _,
        unread_bytes: _,
        lost_packets: _,
        zero_window_probes_waiting: _,
        ecn_negotiated,
        counts_rtos: _,
    } = facts;
    (Mean::of(srtt_us), Mean::of(rttvar_us), ecn_negotiated)
}
