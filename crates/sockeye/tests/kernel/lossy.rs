//! A cable that loses packets: what is sent again counts once, on both ends, at every moment.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use collect::CollectLimits;
use connections::Counters;

use crate::crowd::{Crowd, Work};
use crate::harness::{DEADLINE, Outcome, Tracer, kernel_counters, scaled};
use crate::peer::Peer;
use crate::scene::filter_arriving;
use crate::tally::{Tally, assert_bytes};
use crate::world::{NetNs, RIGHT_V4, RIGHT_V6, VethPair};
use crate::{Needing, needs};

pub const NEEDING: &[Needing] = &[
    ("bytes_are_exact_with_two_percent_of_packets_lost", needs::packet_filter, exact),
    (
        "live_counters_stay_between_two_readings_of_the_kernel_while_packets_are_lost",
        needs::packet_filter,
        between_two_readings,
    ),
];

/// A cable that loses two packets of a hundred, both ways.
pub fn lossy_cable() -> VethPair {
    let world = VethPair::new();
    for end in [&world.left, &world.right] {
        filter_arriving(end, "meta l4proto tcp numgen random mod 100 < 2 drop");
    }
    world
}

fn exact() -> Outcome {
    const MOST: u64 = 300_000;
    const THREADS: u64 = 10;
    let world = lossy_cable();
    let tracer = Tracer::with(CollectLimits::default());
    let mut told = tracer.client("a");
    let mut tally = Tally::of([&world.left, &world.right]);
    let judge = |connection: &connections::Connection| {
        assert_bytes(connection, MOST);
        assert_eq!(connection.failure, None, "{connection:?}");
    };
    let rounds = scaled(160) / (4 * THREADS);
    let ways = [(RIGHT_V4, "close"), (RIGHT_V4, "finish"), (RIGHT_V6, "close"), (RIGHT_V6, "finish")];
    let work = Work::begin(ways.map(|(address, way)| {
        let mut crowd = Crowd::new([&world.left, &world.right], &[address], 10, MOST);
        Box::new(move || {
            crowd.visit(way, rounds.max(1));
            crowd
        }) as Box<dyn FnOnce() -> Crowd + Send>
    }));
    while !work.ended_within(Duration::from_millis(20)) {
        let delta = told.clean_answer();
        tally.add(&delta, judge);
    }
    let crowds = work.results();
    let count: u64 = crowds.iter().map(|crowd| crowd.done.connections).sum();
    tally.wait_closed(&mut told, 2 * count, judge);
    let (near, far) = (tally.of_namespace(&world.left), tally.of_namespace(&world.right));
    let wrote: u64 = crowds.iter().map(|crowd| crowd.done.wrote).sum();
    let read: u64 = crowds.iter().map(|crowd| crowd.done.read).sum();
    assert_eq!((near.closed, near.sent_bytes, near.received_bytes), (count, wrote, read));
    let attended: Vec<_> = crowds.into_iter().map(|mut crowd| crowd.attended_all()).collect();
    let wrote: u64 = attended.iter().map(|done| done.wrote).sum();
    let read: u64 = attended.iter().map(|done| done.read).sum();
    assert_eq!((far.closed, far.sent_bytes, far.received_bytes), (count, wrote, read));
    assert!(near.retransmits > 0 && far.retransmits > 0, "nothing was lost: {near:?} {far:?}");
}

fn between_two_readings() -> Outcome {
    for (bound, target) in [("0.0.0.0", RIGHT_V4), ("::", RIGHT_V6)] {
        let world = lossy_cable();
        let (client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
        let port = server.listen(bound);
        live(&world, client, server, (target, port));
    }
}

fn live(world: &VethPair, mut client: Peer, mut server: Peer, (target, port): (&str, u16)) {
    const BYTES: usize = 2_000_000;
    let readings = scaled(20).max(5);
    let tracer = Tracer::with(CollectLimits::default());
    let local = client.connect("c", target, port);
    server.ask("accept s");
    let enough = Arc::new(AtomicBool::new(false));
    let stop = Arc::clone(&enough);
    let work = Work::begin([Box::new(move || {
        let mut bytes = 0;
        while !stop.load(Ordering::Relaxed) {
            client.transfer("c", &mut server, "s", BYTES);
            server.transfer("s", &mut client, "c", BYTES);
            bytes += BYTES as u64;
        }
        (client, server, bytes)
    }) as Box<dyn FnOnce() -> (Peer, Peer, u64) + Send>]);
    let mut told = tracer.client("a");
    let begin = Instant::now();
    let mut moved = 0;
    let ends: [(&NetNs, u16, u16); 2] = [(&world.left, local, port), (&world.right, port, local)];
    while moved < readings {
        assert!(begin.elapsed() < DEADLINE, "hardly anything moved between two readings: {moved}");
        for (namespace, near, far) in ends {
            let before = kernel_counters(namespace, near, far);
            told.poll();
            let (sum, change) = told.find(namespace, near).expect("it lives");
            let after = kernel_counters(namespace, near, far);
            assert_eq!(sum, change.connection.total, "the sum of deltas is the total");
            assert_between(before, sum, after);
            moved += u64::from(before != after);
        }
    }
    enough.store(true, Ordering::Relaxed);
    let (_client, _server, bytes) = work.results().pop().expect("it is one");
    let mut retransmits = 0;
    for (namespace, near, _) in ends {
        let (sum, _) = told.wait("all bytes", |told| {
            told.find(namespace, near)
                .filter(|(sum, _)| (sum.sent_bytes, sum.received_bytes) == (bytes, bytes))
        });
        retransmits += sum.retransmits;
    }
    assert!(retransmits > 0, "nothing was lost");
}

/// In every field that both have.
fn assert_between(before: Counters, told: Counters, after: Counters) {
    let fields: [fn(&Counters) -> u64; 5] = [
        |counters| counters.sent_bytes,
        |counters| counters.received_bytes,
        |counters| counters.sent_packets,
        |counters| counters.received_packets,
        |counters| counters.retransmits,
    ];
    for field in fields {
        let inside = (field(&before)..=field(&after)).contains(&field(&told));
        assert!(inside, "{told:?} is not between {before:?} and {after:?}");
    }
}
