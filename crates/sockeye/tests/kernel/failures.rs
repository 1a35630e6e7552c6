//! Connections that fail for want of an answer: connects that are refused, rejected or unheard, and established
//! ones that time out. Each with its kind, error number, owner, bytes, and the time that it took.

use std::time::Instant;

use connections::{Connection, FailureKind, State};

use crate::harness::{Outcome, Tracer, tcp_facts};
use crate::peer::Peer;
use crate::scene::{
    Scene, back_off_from_the_start, filter_arriving, lived_ms, owner_pid, set, told_to, wait_failed,
};
use crate::world::{NetNs, RIGHT_V4};
use crate::{Needing, Test, needs};

pub const TESTS: &[Test] = &[("a_connect_that_finds_no_port_is_unreachable_not_abandoned", no_port_left)];

pub const NEEDING: &[Needing] = &[
    ("a_connect_rejected_by_icmp_is_refused", needs::packet_filter, rejected),
    ("a_connect_to_a_host_that_a_router_cannot_reach_is_unreachable", needs::packet_filter, unreachable),
    ("a_connect_that_nobody_answers_times_out", needs::packet_filter, unanswered),
    ("a_connect_given_up_before_the_answer_is_abandoned", needs::packet_filter, abandoned),
    ("data_that_nobody_acknowledges_times_the_connection_out", needs::packet_filter, retransmitted),
    ("a_connection_whose_peer_stops_answering_keepalives_times_out", needs::packet_filter, keepalive),
    ("a_connection_times_out_when_its_user_said", needs::packet_filter, user_time_out),
    ("a_connection_cut_by_a_router_is_unreachable", needs::packet_filter, cut_by_a_router),
    ("a_close_that_nobody_acknowledges_is_no_orderly_end", needs::packet_filter, unacknowledged_close),
];

const ETIMEDOUT: u16 = 110;

fn rejected() -> Outcome {
    let (connection, errno) = failing_connect("reject with icmp type port-unreachable", FailureKind::Refused);
    assert_eq!(errno, 111);
    // The first SYN is answered while the socket is in use, so that it may take a second one.
    assert!(lived_ms(&connection) < 1500, "{connection:?}");
}

fn unreachable() -> Outcome {
    let (connection, errno) =
        failing_connect("reject with icmp type host-unreachable", FailureKind::Unreachable);
    assert_eq!(errno, 113);
    assert!(lived_ms(&connection) < 1500, "{connection:?}");
}

fn unanswered() -> Outcome {
    let (connection, errno) = failing_connect("drop", FailureKind::TimedOut);
    assert_eq!(errno, ETIMEDOUT);
    assert!((2900..5000).contains(&lived_ms(&connection)), "1 s and 2 s: {connection:?}");
    assert_eq!((connection.total.sent_packets, connection.total.retransmits), (2, 1));
    assert_eq!(connection.total.received_packets, 0);
}

/// A connect that ends as the rule on the other end makes it.
fn failing_connect(rule: &str, kind: FailureKind) -> (Connection, u16) {
    let mut scene = Scene::listening();
    let mut told = scene.tracer.client("a");
    few_tries(&scene.world.left);
    filter_arriving(&scene.world.right, &format!("tcp dport {} {rule}", scene.port));
    scene.client.ask("open c tcp");
    let begin = Instant::now();
    let (errno, local) = scene.client.attempt("c", RIGHT_V4, scene.port);
    let took = begin.elapsed().as_millis();
    let (_, connection) = wait_failed(&mut told, (&scene.world.left, local), kind, Some(errno));
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
    assert_eq!((connection.established_at, connection.state), (None, State::Closed));
    assert!(u128::from(lived_ms(&connection)) <= took);
    assert_eq!((connection.total.sent_bytes, connection.total.received_bytes), (0, 0));
    assert_eq!(told_to(&told, &scene.world.right, local).len(), 0, "the other end never had it");
    (connection, errno)
}

/// What nobody answers is given up soon.
fn few_tries(namespace: &NetNs) {
    set(namespace, "ipv4/tcp_syn_retries", "1");
    back_off_from_the_start(namespace);
    set(namespace, "ipv4/tcp_retries2", "1");
    set(namespace, "ipv4/tcp_orphan_retries", "1");
}

fn abandoned() -> Outcome {
    let mut scene = Scene::unanswered();
    let (mut told, local) = (scene.tracer.client("a"), scene.local);
    let (_, change) = told.wait_found(&scene.world.left, local);
    assert_eq!(change.connection.state, State::SynSent);
    scene.client.ask("close c");
    let (sum, connection) = wait_failed(&mut told, (&scene.world.left, local), FailureKind::Abandoned, None);
    assert!(sum.sent_packets >= 1);
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
}

fn no_port_left() -> Outcome {
    let space = NetNs::new();
    set(&space, "ipv4/ip_local_port_range", "40000 40000");
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    let (mut server, mut client) = (Peer::start(&space), Peer::start(&space));
    server.ask("listen-at 127.0.0.1:5000");
    assert_eq!(client.connect("c", "127.0.0.1", 5000), 40000, "the only port");
    client.ask("open d tcp");
    assert_eq!(client.attempt("d", "127.0.0.1", 5000).0, 99, "EADDRNOTAVAIL");
    let failed = told.wait("the failure", |told| {
        let mut failed = told_to(told, &space, 5000);
        failed.retain(|(_, connection)| connection.closed_at.is_some());
        failed.pop()
    });
    let (sum, connection) = failed;
    let failure = connection.failure.expect("it failed");
    assert_eq!((failure.kind, failure.errno), (FailureKind::Unreachable, None));
    assert_eq!((sum.sent_packets, connection.tuple.local.port()), (0, 0), "nothing left this host");
    assert_eq!(owner_pid(&connection), Some(client.pid()));
    assert!(lived_ms(&connection) < 1000);
}

fn retransmitted() -> Outcome {
    let (connection, silent_ms) = time_out_established(&["send c 100"]);
    assert_eq!(connection.total.sent_bytes, 100);
    assert!(connection.total.retransmits >= 1, "{connection:?}");
    // Counted by the kernel since 6.7.
    let counts_rtos = tcp_facts(&connection).counts_rtos;
    assert_eq!(connection.total.rtos >= 1, counts_rtos, "{connection:?}");
    assert!(silent_ms >= 400, "two time-outs of at least 200 ms: {silent_ms} ms");
}

fn keepalive() -> Outcome {
    let (connection, silent_ms) = time_out_established(&["set c keepalive"]);
    assert_eq!(connection.total.sent_bytes, 0, "a probe is no payload");
    assert!(silent_ms >= 1500, "1 s until the probe, 1 s until its answer is missed: {silent_ms} ms");
}

fn user_time_out() -> Outcome {
    let (connection, silent_ms) = time_out_established(&["set c user-timeout", "send c 7"]);
    assert_eq!(connection.total.sent_bytes, 7);
    assert!(silent_ms >= 450, "{silent_ms} ms");
}

/// The cable is cut, then the client does as told; answers its connection and how long it was kept without an
/// answer.
fn time_out_established(commands: &[&str]) -> (Connection, u64) {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    // A user's time-out must come before this one.
    set(&scene.world.left, "ipv4/tcp_retries2", if commands.len() > 1 { "9" } else { "1" });
    filter_arriving(&scene.world.right, "drop");
    let connected = Instant::now();
    for command in commands {
        scene.client.ask(command);
    }
    let end = (&scene.world.left, scene.local);
    let (_, connection) = wait_failed(&mut told, end, FailureKind::TimedOut, Some(ETIMEDOUT));
    let most = connected.elapsed().as_millis();
    assert!(connection.established_at.is_some());
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
    let closed = connection.closed_at.expect("it is closed");
    let silent_ms = closed.nanoseconds_since(connection.established_at.expect("seen")) / 1_000_000;
    assert!(most < 6000 && silent_ms <= lived_ms(&connection));
    let (_, far) = told.wait_found(&scene.world.right, scene.port);
    assert_eq!(far.connection.closed_at, None, "the other end knows nothing");
    (connection, silent_ms)
}

fn cut_by_a_router() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    few_tries(&scene.world.left);
    filter_arriving(&scene.world.right, "reject with icmp type host-unreachable");
    scene.client.ask("send c 100");
    let end = (&scene.world.left, scene.local);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Unreachable, Some(113));
    assert_eq!(sum.sent_bytes, 100);
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
}

fn unacknowledged_close() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    few_tries(&scene.world.left);
    scene.client.transfer("c", &mut scene.server, "s", 1000);
    filter_arriving(&scene.world.right, "drop");
    scene.client.ask("send c 30");
    scene.client.ask("close c");
    let end = (&scene.world.left, scene.local);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::TimedOut, Some(ETIMEDOUT));
    assert_eq!(sum.sent_bytes, 1030);
    assert_eq!(owner_pid(&connection), Some(scene.client.pid()));
}
