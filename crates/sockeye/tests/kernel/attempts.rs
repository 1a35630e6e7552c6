//! Calls of connect() that fail before anything is sent, followed when that is asked for.

use collect::{Capability, CollectLimits};
use connections::{Connection, Counters, Failure, FailureKind, State};

use crate::Test;
use crate::harness::{Client, Outcome, Tracer};
use crate::peer::Peer;
use crate::scene::owner_pid;
use crate::world::NetNs;

pub const TESTS: &[Test] = &[
    ("a_connect_without_a_route_is_told_when_its_socket_is_closed", without_a_route),
    ("a_connect_that_begins_is_told_once_and_only_as_what_it_becomes", that_begins),
    ("without_being_asked_for_connects_without_a_route_are_not_followed", not_asked_for),
    ("failed_connects_on_open_sockets_are_bounded_and_counted", bounded),
];

/// Nobody routes to this one (RFC 5737), for lack of a default route.
const NOWHERE: &str = "192.0.2.1";
const NOWHERE_V6: &str = "2001:db8::1";
const ENETUNREACH: u16 = 101;

fn following(connect_attempts: u32) -> Tracer {
    let tracer = Tracer::with(CollectLimits {
        tcp_slots: 65_536,
        follow_attempts: true,
        connect_attempts,
        ..CollectLimits::default()
    });
    tracer.needs(Capability::TcpAttempts);
    tracer
}

fn told_here(told: &Client<'_>, space: &NetNs) -> Vec<Connection> {
    let here = told.told.values().map(|(_, change)| change.connection);
    here.filter(|connection| connection.tuple.netns == space.inode()).collect()
}

fn without_a_route() -> Outcome {
    let space = NetNs::new();
    let tracer = following(100);
    let mut told = tracer.client("a");
    let mut peer = Peer::start(&space);
    for (name, address) in [("v4", NOWHERE), ("v6", NOWHERE_V6)] {
        peer.ask(&format!("open {name} {}", if name == "v4" { "tcp" } else { "tcp6" }));
        assert_eq!(peer.attempt(name, address, 443).0, ENETUNREACH);
        // A second call tells the first.
        assert_eq!(peer.attempt(name, address, 444).0, ENETUNREACH);
        peer.ask(&format!("close {name}"));
    }
    let failed = told.wait("four failed connects", |told| {
        Some(told_here(told, &space)).filter(|connections| connections.len() == 4)
    });
    let mut remotes: Vec<String> = failed.iter().map(|failed| failed.tuple.remote.to_string()).collect();
    remotes.sort();
    let expected = ["192.0.2.1:443", "192.0.2.1:444", "[2001:db8::1]:443", "[2001:db8::1]:444"];
    assert_eq!(remotes, expected);
    for connection in &failed {
        assert_eq!(connection.failure, Some(Failure { kind: FailureKind::Unreachable, errno: None }));
        assert_eq!((connection.state, connection.total), (State::Closed, Counters::default()));
        assert_eq!(owner_pid(connection), Some(peer.pid()));
    }
    told.poll();
    assert!(failed.iter().all(|failed| told.closes.get(&failed.id.to_string()) == Some(&1)));
}

fn that_begins() -> Outcome {
    let space = NetNs::new();
    let tracer = following(100);
    let mut told = tracer.client("a");
    let mut peer = Peer::start(&space);
    let port = peer.listen("127.0.0.1");
    peer.connect("c", "127.0.0.1", port);
    peer.ask("accept s");
    peer.ask(&format!("refused {}:1", "127.0.0.1"));
    peer.ask("close c");
    peer.ask("close s");
    told.wait("three closes", |told| {
        let closed = told_here(told, &space).into_iter().filter(|told| told.closed_at.is_some());
        (closed.count() == 3).then_some(())
    });
    told.poll();
    let kinds = told_here(&told, &space).into_iter().filter_map(|connection| connection.failure);
    assert_eq!(kinds.map(|failure| failure.kind).collect::<Vec<_>>(), [FailureKind::Refused]);
}

fn not_asked_for() -> Outcome {
    let space = NetNs::new();
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    let mut peer = Peer::start(&space);
    peer.ask("open c tcp");
    assert_eq!(peer.attempt("c", NOWHERE, 443).0, ENETUNREACH);
    peer.ask("close c");
    assert!(told.poll().coverage.complete());
    assert_eq!(told_here(&told, &space), []);
}

fn bounded() -> Outcome {
    let space = NetNs::new();
    let tracer = following(2);
    let mut told = tracer.client("a");
    let mut peer = Peer::start(&space);
    for socket in 0..5 {
        peer.ask(&format!("open {socket} tcp"));
        assert_eq!(peer.attempt(&socket.to_string(), NOWHERE, 443).0, ENETUNREACH);
    }
    for socket in 0..5 {
        peer.ask(&format!("close {socket}"));
    }
    told.wait("two of them", |told| (told_here(told, &space).len() == 2).then_some(()));
    // Others on this host may call connect() too.
    assert!(tracer.counter("kernel_attempts_full") >= 3);
    let coverage = tracer.client("b").poll().coverage;
    assert!(coverage.untracked >= 3 && !coverage.complete(), "{coverage:?}");
}
