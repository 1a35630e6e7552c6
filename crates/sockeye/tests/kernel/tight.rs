//! A tracer with hardly any room under load: what does not fit is added up, and nothing is lost or told twice.

use std::time::Duration;

use collect::{Capability, CollectLimits};

use crate::Test;
use crate::crowd::{Crowd, Work};
use crate::harness::{Outcome, Tracer, scaled};
use crate::peer::Done;
use crate::stress::{ADDRESSES, wide_space};
use crate::tally::{Sums, Tally, assert_not_more_bytes};
use crate::world::NetNs;

pub const TESTS: &[Test] = &[("a_full_table_and_a_full_ring_lose_nothing_under_load", full_table_and_ring)];

/// Requests and answers have up to so many bytes.
const MOST: u64 = 100;

/// The roll-up of the rest holds what others of the host do as well: the sums are exact when there is nothing.
fn full_table_and_ring() -> Outcome {
    (0..10).find_map(|_| attempt()).expect("the host has no other traffic for once in ten times");
}

fn attempt() -> Option<()> {
    const CROWDS: u64 = 4;
    const THREADS: u64 = 2;
    let each = scaled(5_000).div_ceil(CROWDS * THREADS);
    let spaces: Vec<NetNs> = (0..CROWDS).map(|_| wide_space()).collect();
    // More of these than the table has room for.
    let mut held = Crowd::listening([&spaces[0], &spaces[0]], &ADDRESSES[..1], MOST);
    let crowds: Vec<Crowd> =
        spaces.iter().map(|space| Crowd::new([space, space], &ADDRESSES, 2, MOST)).collect();
    let tracer = Tracer::with(CollectLimits {
        tcp_slots: 64,
        ring_bytes: 4096,
        overflow_records: 16,
        kernel_rollups: 4,
        deferred_records: 4,
        ..CollectLimits::default()
    });
    let mut told = tracer.client("a");
    told.answer();
    let adopted = tracer.counter("kernel_claimed");
    let mut tally = Tally::of(&spaces);
    held.hold(100);
    let work = Work::begin(crowds.into_iter().map(|mut crowd| {
        Box::new(move || {
            for way in ["close", "reset", "finish", "unread"] {
                crowd.visit(way, each.div_ceil(4));
            }
            crowd
        }) as Box<dyn FnOnce() -> Crowd + Send>
    }));
    tally.add(&told.answer(), |connection| assert_not_more_bytes(connection, MOST));
    // Those that were told live end while the ring is full.
    held.server.ask("release");
    held.client.ask("release");
    while !work.ended_within(Duration::from_millis(20)) {
        tally.add(&told.answer(), |connection| assert_not_more_bytes(connection, MOST));
    }
    let mut made = Sums::default();
    let mut expect = |done: Done| made.expect(done);
    expect(held.done);
    expect(held.kept);
    for mut crowd in work.results() {
        expect(crowd.attended_all());
        expect(crowd.done);
    }
    let all = tally.wait_all(&mut told, made.closed, |connection| assert_not_more_bytes(connection, MOST));
    let counters = tracer.counters();
    let of_table: &[_] = if has_table(&tracer) { &["kernel_table_full", "kernel_spilled"] } else { &[] };
    for name in ["kernel_overflowed", "kernel_rolled_up", "kernel_rolled_up_in_rest"].iter().chain(of_table) {
        assert!(counters[name] > 0, "{name}: all found room, which proves nothing: {counters:?}");
    }
    for name in
        ["anomalies", "connections_ring_full", "connections_close_not_seen", "kernel_closed_unclaimed"]
    {
        assert_eq!(counters[name], 0, "{name}: {counters:?}");
    }
    assert_eq!(counters["kernel_table_full"], counters["kernel_spilled"], "{counters:?}");
    let others = counters["kernel_claimed"] - adopted - made.closed;
    if others > 0 {
        assert!(
            (made.closed..=made.closed + others).contains(&(all.closed + all.rolled_up)),
            "{all:?} of {made:?}"
        );
        return None;
    }
    assert_eq!(all.closed + all.rolled_up, made.closed, "{all:?}");
    assert_eq!((all.sent_bytes, all.received_bytes), (made.sent_bytes, made.received_bytes), "{all:?}");
    Some(())
}

/// In the oldest dialect, where sockets have no cookies, there is one place for all slots.
fn has_table(tracer: &Tracer) -> bool {
    let capabilities = &tracer.collector.support().capabilities;
    let live = capabilities.iter().find(|state| state.capability == Capability::TcpLive);
    live.and_then(|state| state.served_by).is_some_and(|hook| hook.contains("bpf_get_socket_cookie"))
}
