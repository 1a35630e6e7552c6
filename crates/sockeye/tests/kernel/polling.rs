//! Connections without programs in the kernel: what polling sees, to the byte, and what it says that it cannot see.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use collect::{Capability, CollectLimits};
use connections::{Connection, Direction, FailureKind, OwnerSource, Protocol};

use crate::Test;
use crate::crowd::Crowd;
use crate::harness::{Client, Outcome, Tracer, scaled};
use crate::peer::Peer;
use crate::scene::{Scene, set, until};
use crate::stress::{ADDRESSES, wide_space};
use crate::tally::{Tally, assert_bytes};
use crate::world::{NetNs, RIGHT_V4, RIGHT_V6, VethPair};

pub const TESTS: &[Test] = &[
    ("polling_tells_forty_thousand_short_connections_once_and_to_the_byte", forty_thousand),
    ("polling_follows_namespaces_that_are_older_and_younger_than_the_tracer", namespaces_old_and_young),
    ("polling_tells_no_fin_as_a_byte_whoever_closes_first", no_fin_is_a_byte),
    ("polling_tells_nothing_twice_while_an_end_waits_for_the_other", half_closed_names_are_no_connections),
    ("polling_keeps_a_connection_that_was_reset_until_its_process_closes_it", reset_and_held),
    ("polling_knows_what_was_before_it", before_is_apart),
    ("polling_lists_udp_without_counting_it", udp_is_not_counted),
    ("polling_counts_the_ends_that_the_kernel_had_no_room_to_tell", overflow_is_counted),
    ("polling_tells_a_refused_connect", refused),
    ("polling_says_of_each_capability_what_is_missing", degradations),
];

/// All closed connections of a namespace.
fn closed<'a>(told: &'a Client<'_>, namespace: &NetNs) -> Vec<&'a Connection> {
    let netns = namespace.inode();
    let connections = told.told.values().map(|(_, change)| &change.connection);
    connections
        .filter(|connection| connection.closed_at.is_some() && connection.tuple.netns == netns)
        .collect()
}

fn forty_thousand() -> Outcome {
    const MOST: u64 = 100;
    const THREADS: u64 = 2;
    const ROUNDS: u64 = 20;
    const PER_SECOND: u64 = 10_000;
    let count = scaled(40_000) / (THREADS * ROUNDS);
    let space = wide_space();
    let tracer = Tracer::polling();
    let mut told = tracer.client("a");
    let mut tally = Tally::of([&space]);
    let judge = |connection: &Connection| {
        assert_bytes(connection, MOST);
        assert_eq!(connection.failure, None, "{connection:?}");
    };
    let mut crowd = Crowd::new([&space, &space], &ADDRESSES, 2, MOST);
    tally.add(&told.clean_answer(), judge);
    let (began, mut opened_within) = (Instant::now(), Duration::ZERO);
    for round in 1..=ROUNDS {
        crowd.visit("close", count);
        opened_within = began.elapsed();
        // Not faster than that; each round is also in the middle of a poll.
        let due = Duration::from_micros(round * count * THREADS * 1_000_000 / PER_SECOND);
        while began.elapsed() < due {
            tally.add(&told.clean_answer(), judge);
        }
    }
    let each = count * THREADS * ROUNDS;
    println!("{each} connections in {opened_within:?}");
    tally.wait_closed(&mut told, 2 * each, judge);
    let (near, far, sums) = (crowd.done, crowd.attended_all(), tally.of_namespace(&space));
    assert_eq!((near.connections, far.connections, sums.closed), (each, each, 2 * each));
    assert_eq!((sums.sent_bytes, sums.received_bytes), (near.wrote + far.wrote, near.read + far.read));
    assert_eq!(tracer.counter("kernel_ends_lost"), 0);
}

fn namespaces_old_and_young() -> Outcome {
    let older = VethPair::new();
    let tracer = Tracer::polling();
    let younger = VethPair::new();
    let mut told = tracer.client("a");
    for (world, address) in
        [(&older, RIGHT_V4), (&older, RIGHT_V6), (&younger, RIGHT_V4), (&younger, RIGHT_V6)]
    {
        let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
        let port = server.listen("::");
        let local = client.connect("c", address, port);
        server.ask("accept s");
        client.transfer("c", &mut server, "s", 1234);
        let (sum, change) = told.wait("an owner", |told| {
            told.find(&world.left, local).filter(|(_, change)| change.connection.owner.is_some())
        });
        let connection = change.connection;
        assert_eq!((sum.sent_bytes, sum.received_bytes), (1234, 0));
        assert_eq!(connection.direction, Direction::Outgoing);
        assert_eq!(connection.tuple.remote.ip().to_string(), address);
        let owner = connection.owner.expect("it was waited for");
        assert_eq!((owner.pid, owner.source), (client.pid(), OwnerSource::Descriptor));
        let (_, accepted) = told.wait("the owner of the other end", |told| {
            let of_server = |change: &deltas::Change| {
                change.connection.owner.is_some_and(|owner| owner.source == OwnerSource::Descriptor)
            };
            told.find(&world.right, port).filter(|(_, change)| of_server(change))
        });
        assert_eq!(accepted.connection.direction, Direction::Incoming);
        assert_eq!(accepted.connection.owner.map(|owner| owner.pid), Some(server.pid()));
        client.ask("close c");
        server.ask("end s");
        server.ask("close s");
        let (sum, change) = told.wait_closed(&world.left, local);
        assert_eq!((sum.sent_bytes, sum.received_bytes, change.connection.failure), (1234, 0, None));
        // It was seen while it lived, so its owner is known.
        assert_eq!(change.connection.owner.map(|owner| owner.pid), Some(client.pid()));
        told.wait("the close of the other end", |told| {
            let here = closed(told, &world.right);
            here.iter().any(|connection| connection.total.received_bytes == 1234).then_some(())
        });
    }
    assert!(told.closes.values().all(|closes| *closes <= 1), "each is told as closed once");
}

/// Who closes, in which order, and whether the other reads to the end before it closes; before and after a look.
fn no_fin_is_a_byte() -> Outcome {
    let world = VethPair::new();
    let tracer = Tracer::polling();
    let mut told = tracer.client("a");
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("0.0.0.0");
    let orders: [&[&str]; 5] = [
        &["c close", "s end", "s close"],
        &["s close", "c end", "c close"],
        &["c close", "s close"],
        &["c finish", "s end", "s close", "c end", "c close"],
        &["s finish", "c end", "c close", "s close"],
    ];
    for order in orders {
        for is_looked_at in [false, true] {
            let local = client.connect("c", RIGHT_V4, port);
            server.ask("accept s");
            client.transfer("c", &mut server, "s", 1000);
            server.transfer("s", &mut client, "c", 70);
            let mut ended = Instant::now();
            for step in order {
                let (who, verb) = step.split_once(' ').expect("two words");
                let peer = if who == "c" { &mut client } else { &mut server };
                let waits_for_fin = [("c close", "c finish"), ("s close", "s finish")];
                if waits_for_fin.iter().any(|(close, finish)| step == close && order.contains(finish)) {
                    // One that waits for the other's FIN and closes sooner after it is told to have received a byte more.
                    until("its process to have kept it", || ended.elapsed() > Duration::from_millis(1100));
                }
                peer.ask(&format!("{verb} {who}"));
                ended = Instant::now();
                if is_looked_at {
                    told.poll();
                }
            }
            let (sum, change) = told.wait_closed(&world.left, local);
            let told_of = format!("{order:?}, looked at: {is_looked_at}: {:?}", change.connection);
            assert_eq!((sum.sent_bytes, sum.received_bytes), (1000, 70), "{told_of}");
            assert_eq!(change.connection.direction, Direction::Outgoing, "{told_of}");
            let other = told.wait("the other end", |told| {
                let mut here = closed(told, &world.right).into_iter();
                here.find(|connection| connection.tuple.remote.port() == local).copied()
            });
            let total = other.total;
            assert_eq!((total.sent_bytes, total.received_bytes), (70, 1000), "{told_of} {other:?}");
            assert_eq!(other.direction, Direction::Incoming, "{told_of} {other:?}");
        }
    }
}

/// The kernel keeps the name of an end that closed first in `FIN_WAIT_2` while the other does not close.
fn half_closed_names_are_no_connections() -> Outcome {
    let Scene { world, tracer, mut client, mut server, local, .. } = Scene::polled();
    let mut told = tracer.client("a");
    client.ask("send c 10");
    server.ask("receive s 10");
    client.ask("close c");
    told.wait_closed(&world.left, local);
    until("the name in FIN_WAIT_2", || {
        let listed = world.left.inside(|| crate::world::run("ss", &["-tnH", "state", "fin-wait-2"]));
        listed.contains(&format!(":{local} "))
    });
    for _ in 0..5 {
        told.poll();
    }
    assert_eq!(told.find_all(&world.left, local).len(), 1, "{:#?}", told.find_all(&world.left, local));
    server.ask("close s");
}

fn reset_and_held() -> Outcome {
    let Scene { world, tracer, mut client, mut server, local, port } = Scene::polled();
    let mut told = tracer.client("a");
    client.transfer("c", &mut server, "s", 500);
    told.wait_found(&world.left, local);
    server.ask("reset s");
    until("the end of the connection", || {
        crate::harness::socket_words(&world.left, local, port).trim().is_empty()
    });
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(5) {
        told.poll();
        let (_, change) = told.find(&world.left, local).expect("it was told");
        assert_eq!(change.connection.closed_at, None, "its process has it still: {:?}", change.connection);
    }
    client.ask("close c");
    let (sum, _) = told.wait_closed(&world.left, local);
    assert_eq!(sum.sent_bytes, 500);
    for _ in 0..3 {
        told.poll();
    }
    assert_eq!(told.find_all(&world.left, local).len(), 1, "it is told once");
}

fn before_is_apart() -> Outcome {
    let world = VethPair::new();
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("0.0.0.0");
    let local = client.connect("c", RIGHT_V4, port);
    server.ask("accept s");
    client.transfer("c", &mut server, "s", 100_000);
    let ended = client.connect("d", RIGHT_V4, port);
    server.ask("accept e");
    client.transfer("d", &mut server, "e", 4000);
    server.ask("reset e");
    until("the reset", || crate::harness::socket_words(&world.left, ended, port).trim().is_empty());
    // The kernel tells the age of the last packet in its ticks: it has to be older than the start by some.
    let reset = Instant::now();
    until("some ticks", || reset.elapsed() > Duration::from_millis(500));
    let tracer = Tracer::polling();
    let mut told = tracer.client("a");
    let (sum, change) = told.wait_found(&world.left, local);
    let connection = change.connection;
    assert!(connection.pre_existing);
    assert_eq!((sum.sent_bytes, connection.before.sent_bytes, connection.opened_at), (0, 100_000, None));
    assert_eq!(connection.direction, Direction::Outgoing);
    assert_eq!(connection.owner.map(|owner| owner.pid), Some(client.pid()));
    client.transfer("c", &mut server, "s", 77);
    client.ask("close c");
    let (sum, change) = told.wait_closed(&world.left, local);
    assert_eq!((sum.sent_bytes, change.connection.before.sent_bytes), (77, 100_000));
    // It ended before the tracer began, and is closed only now.
    client.ask("close d");
    let (sum, change) = told.wait_closed(&world.left, ended);
    assert!(change.connection.pre_existing, "{:?}", change.connection);
    assert_eq!((sum.sent_bytes, change.connection.before.sent_bytes), (0, 4000));
}

fn udp_is_not_counted() -> Outcome {
    let world = NetNs::new();
    let tracer = Tracer::polling();
    let mut told = tracer.client("a");
    let (receiver, port, sender, local) = world.inside(|| {
        let receiver = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        let port = receiver.local_addr().expect("it is bound").port();
        let sender = std::net::UdpSocket::bind("127.0.0.1:0").expect("a port is free");
        sender.connect(("127.0.0.1", port)).expect("loopback is up");
        let local = sender.local_addr().expect("it is bound").port();
        (receiver, port, sender, local)
    });
    sender.send(&[7; 100]).expect("loopback is up");
    let (sum, change) = told.wait("the owner", |told| {
        told.find(&world, local).filter(|(_, change)| change.connection.owner.is_some())
    });
    let connection = change.connection;
    assert_eq!((connection.tuple.protocol, connection.tuple.remote.port()), (Protocol::Udp, port));
    assert!(!connection.facts.counted().traffic && sum.sent_bytes == 0);
    assert_eq!(connection.owner.map(|owner| owner.pid), Some(std::process::id()));
    assert!(told.find(&world, port).is_none(), "a socket without a peer is no connection");
    drop(sender);
    let (_, change) = told.wait_closed(&world, local);
    assert_eq!(change.connection.failure, None);
    let coverage = told.poll().coverage;
    assert_eq!(coverage.losses.close_not_seen.connections, 0, "{coverage:?}");
    drop(receiver);
}

/// Nobody takes ends while the sink is busy.
fn overflow_is_counted() -> Outcome {
    const THREADS: u64 = 2;
    const COUNT: u64 = 2000;
    let space = wide_space();
    let limits = CollectLimits { ring_bytes: 64 << 10, ..CollectLimits::default() };
    let (tracer, busy) = Tracer::polling_busily(limits);
    let mut told = tracer.client("a");
    let mut crowd = Crowd::new([&space, &space], &ADDRESSES, 2, 1);
    let mut tally = Tally::of([&space]);
    told.clean_answer();
    busy.store(true, Ordering::SeqCst);
    crowd.visit("close", COUNT);
    busy.store(false, Ordering::SeqCst);
    let ends = 2 * THREADS * COUNT;
    let began = Instant::now();
    let mut was_complete = true;
    loop {
        let delta = told.answer();
        was_complete &= delta.coverage.complete();
        tally.add(&delta, |_| ());
        let (closed, lost) = (tally.closed(), tracer.counter("kernel_ends_lost"));
        // The kernel counts an end of UDP that it had no room to tell with the others.
        if lost > 0 && (ends..ends + 3).contains(&(closed + lost)) {
            assert!(tracer.counter("kernel_ends_overflowed") > 0);
            assert!(!was_complete, "an answer says that something is missing");
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(20), "{closed} told, {lost} lost of {ends}");
    }
}

fn refused() -> Outcome {
    let world = VethPair::new();
    set(&world.left, "ipv4/tcp_syn_retries", "1");
    let tracer = Tracer::polling();
    let mut told = tracer.client("a");
    let mut client = Peer::start(&world.left);
    client.ask("open c tcp");
    let local: u16 = client.ask(&format!("start c {RIGHT_V4}:1")).parse().expect("a port");
    until("the refusal", || crate::harness::socket_words(&world.left, local, 1).trim().is_empty());
    client.ask("close c");
    let (_, change) = told.wait_closed(&world.left, local);
    assert_eq!(change.connection.failure.map(|failure| failure.kind), Some(FailureKind::Refused));
    assert_eq!(change.connection.direction, Direction::Outgoing);
}

fn degradations() -> Outcome {
    let tracer = Tracer::polling();
    let support = tracer.collector.support();
    assert!(support.programs.is_empty());
    let state = |capability| {
        let mut states = support.capabilities.iter();
        states.find(|state| state.capability == capability).expect("all are told")
    };
    for capability in [Capability::TcpLive, Capability::TcpClosed, Capability::TcpOwner, Capability::Udp] {
        let state = state(capability);
        assert!(state.served_by.is_some() && state.degradation.is_some(), "{state:?}");
        assert!(!state.refused.is_empty(), "{state:?}");
    }
    for capability in [Capability::Processes, Capability::Dns, Capability::UdpFailures] {
        let state = state(capability);
        assert!(state.served_by.is_none() && state.degradation.is_some(), "{state:?}");
    }
}
