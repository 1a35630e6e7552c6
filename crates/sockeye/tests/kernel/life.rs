//! The ways a connection lives: on a socket that connects more than once, half-closed, never accepted, handed from
//! process to process, cut off by the death of its process, and through `io_uring`.

use connections::{Connection, FailureKind, OwnerSource, State};

use crate::harness::{Client, Outcome};
use crate::peer::Peer;
use crate::scene::{Scene, owner_pid, told_to, wait_failed};
use crate::world::{NetNs, RIGHT_V4};
use crate::{Needing, Test, needs};

pub const TESTS: &[Test] = &[
    ("a_socket_that_connects_three_times_is_three_connections", three_connects),
    ("a_disconnected_socket_that_connects_elsewhere_is_another_connection", connects_elsewhere),
    ("data_flows_both_ways_into_a_half_closed_connection_from_either_side", half_closed_by_the_server),
    ("a_connection_that_its_client_closes_before_it_is_accepted_is_told", closed_in_the_backlog),
    ("a_connection_that_its_listener_closes_before_it_is_accepted_is_told", dropped_with_the_listener),
    ("a_killed_client_with_unread_data_aborts_its_connection", killed_client),
    ("a_connection_belongs_to_the_child_that_serves_it", served_by_a_child),
    ("a_connection_that_was_told_of_its_acceptor_belongs_to_the_child_that_closes_it", handed_to_a_child),
    ("a_connected_socket_passed_to_another_process_stays_its_openers", passed_outgoing),
    ("an_accepted_socket_passed_to_another_process_is_its_closers", || passed_accepted(false)),
    ("an_accepted_socket_passed_on_after_it_was_told_is_its_closers", || passed_accepted(true)),
];

pub const NEEDING: &[Needing] =
    &[("connections_through_io_uring_are_exact_and_have_owners", needs::io_uring, through_io_uring)];

fn three_connects() -> Outcome {
    let mut scene = Scene::listening();
    let mut told = scene.tracer.client("a");
    scene.client.ask("open c tcp");
    for _ in 0..2 {
        assert_eq!(scene.client.attempt("c", RIGHT_V4, 1).0, 111);
        told.poll();
    }
    let (errno, local) = scene.client.attempt("c", RIGHT_V4, scene.port);
    assert_eq!(errno, 0);
    scene.server.ask("accept s");
    scene.client.transfer("c", &mut scene.server, "s", 77);
    close_both(&mut scene.client, &mut scene.server);
    let (sum, change) = told.wait_closed(&scene.world.left, local);
    assert_eq!((sum.sent_bytes, sum.received_bytes, change.connection.failure), (77, 0, None));
    let refused = told_to(&told, &scene.world.left, 1);
    assert_eq!(refused.len(), 2);
    for (sum, connection) in &refused {
        assert_eq!(connection.failure.map(|failure| failure.kind), Some(FailureKind::Refused));
        assert_eq!((sum.sent_bytes, owner_pid(connection)), (0, Some(scene.client.pid())));
        assert_eq!(connection.id.cookie, change.connection.id.cookie, "it is one socket");
    }
    let mut ids: Vec<_> = refused.iter().map(|(_, connection)| connection.id).collect();
    ids.push(change.connection.id);
    assert!(ids.is_sorted_by(|one, next| one < next), "each has an id of its own: {ids:?}");
    assert!(ids.iter().all(|id| told.closes.get(&id.to_string()) == Some(&1)));
}

/// The client closes, then the server.
fn close_both(client: &mut Peer, server: &mut Peer) {
    client.ask("close c");
    assert_eq!(server.ask("end s"), "Ok(0)");
    server.ask("close s");
}

fn connects_elsewhere() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 100);
    scene.server.transfer("s", &mut scene.client, "c", 31);
    scene.client.ask("disconnect c");
    let end = (&scene.world.left, scene.local);
    let (sum, first) = wait_failed(&mut told, end, FailureKind::Aborted, None);
    assert_eq!((sum.sent_bytes, sum.received_bytes), (100, 31));

    let mut elsewhere = Peer::start(&scene.world.right);
    let port = elsewhere.listen("0.0.0.0");
    let (errno, local) = scene.client.attempt("c", RIGHT_V4, port);
    assert_eq!(errno, 0);
    elsewhere.ask("accept s");
    scene.client.transfer("c", &mut elsewhere, "s", 55);
    let sent = |told: &Client<'_>| told.find(&scene.world.left, local).filter(|(sum, _)| sum.sent_bytes > 0);
    assert_eq!(told.wait("the bytes", sent).0.sent_bytes, 55);
    scene.client.ask("close c");
    elsewhere.ask("end s");
    elsewhere.ask("close s");
    let near = told.wait("the close", |told| closed_to(told, &scene.world.left, port));
    let far = told.wait("the other close", |told| closed_to(told, &scene.world.right, local));
    assert_eq!((near.total.sent_bytes, near.total.received_bytes, near.failure), (55, 0, None));
    assert_eq!((far.total.sent_bytes, far.total.received_bytes, far.failure), (0, 55, None));
    assert_eq!(near.id.cookie, first.id.cookie, "it is one socket");
    assert!(near.id > first.id && near.opened_at > first.closed_at);
    assert!(first.global_id.is_some() && near.global_id.is_some());
    assert!(near.global_id != first.global_id && near.global_id == far.global_id);
}

/// The one closed connection to this remote port.
fn closed_to(told: &Client<'_>, namespace: &NetNs, remote_port: u16) -> Option<Connection> {
    let mut found = told_to(told, namespace, remote_port);
    found.retain(|(_, connection)| connection.closed_at.is_some());
    let (sum, connection) = found.pop()?;
    assert_eq!(sum, connection.total, "the sum of deltas is the total");
    Some(connection)
}

fn half_closed_by_the_server() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 10);
    scene.server.transfer("s", &mut scene.client, "c", 20);
    scene.server.ask("finish s");
    assert_eq!(scene.client.ask("end c"), "Ok(0)");
    for sent in [100_010, 200_010] {
        scene.client.transfer("c", &mut scene.server, "s", 100_000);
        let (_, near) = told.wait("the bytes sent", |told| {
            told.find(&scene.world.left, scene.local).filter(|(sum, _)| sum.sent_bytes == sent)
        });
        let (_, far) = told.wait("the bytes received", |told| {
            told.find(&scene.world.right, scene.port).filter(|(sum, _)| sum.received_bytes == sent)
        });
        assert_eq!(near.connection.state, State::CloseWait);
        assert_eq!(far.connection.state, State::FinWait2);
        assert_eq!((near.connection.total.received_bytes, far.connection.total.sent_bytes), (20, 20));
    }
    scene.client.ask("close c");
    assert_eq!(scene.server.ask("end s"), "Ok(0)");
    scene.server.ask("close s");
    let (sum, near) = told.wait_closed(&scene.world.left, scene.local);
    assert_eq!((sum.sent_bytes, sum.received_bytes, near.connection.failure), (200_010, 20, None));
    let (sum, far) = told.wait_closed(&scene.world.right, scene.port);
    assert_eq!((sum.sent_bytes, sum.received_bytes, far.connection.failure), (20, 200_010, None));
    assert!(near.connection.global_id.is_some());
    assert_eq!(near.connection.global_id, far.connection.global_id);
}

fn closed_in_the_backlog() -> Outcome {
    let mut scene = Scene::listening();
    let mut told = scene.tracer.client("a");
    let local = scene.client.connect("c", RIGHT_V4, scene.port);
    scene.client.ask("send c 10");
    scene.client.ask("close c");
    let (sum, change) = told.wait_closed(&scene.world.left, local);
    assert_eq!((sum.sent_bytes, change.connection.failure), (10, None));
    let (_, waiting) = told.wait("the close of the client", |told| {
        told.find(&scene.world.right, scene.port)
            .filter(|(_, change)| change.connection.state == State::CloseWait)
    });
    assert_eq!(waiting.connection.total.received_bytes, 10);
    assert_eq!(waiting.connection.owner.map(|owner| owner.source), Some(OwnerSource::Listener));
    scene.server.ask("unlisten");
    let end = (&scene.world.right, scene.port);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Aborted, None);
    assert_eq!((sum.received_bytes, owner_pid(&connection)), (10, Some(scene.server.pid())));
    assert_eq!(connection.tuple.remote.port(), local);
}

fn dropped_with_the_listener() -> Outcome {
    let mut scene = Scene::listening();
    let mut told = scene.tracer.client("a");
    let local = scene.client.connect("c", RIGHT_V4, scene.port);
    scene.client.ask("send c 10");
    told.wait("the bytes", |told| {
        told.find(&scene.world.right, scene.port).filter(|(sum, _)| sum.received_bytes == 10)
    });
    scene.server.ask("unlisten");
    let answer = scene.client.ask("end c");
    assert!(answer.contains("ConnectionReset"), "{answer}");
    let end = (&scene.world.right, scene.port);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Aborted, None);
    assert_eq!((sum.received_bytes, owner_pid(&connection)), (10, Some(scene.server.pid())));
    let end = (&scene.world.left, local);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Reset, Some(104));
    assert_eq!((sum.sent_bytes, owner_pid(&connection)), (10, Some(scene.client.pid())));
}

fn killed_client() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 99);
    scene.server.ask("send s 30");
    told.wait("the bytes", |told| {
        told.find(&scene.world.left, scene.local).filter(|(sum, _)| sum.received_bytes == 30)
    });
    let pid = scene.client.pid();
    scene.client.kill();
    let end = (&scene.world.left, scene.local);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Aborted, None);
    assert_eq!((sum.sent_bytes, sum.received_bytes), (99, 30));
    assert_eq!(owner_pid(&connection), Some(pid));
    let answer = scene.server.ask("end s");
    assert!(answer.contains("ConnectionReset"), "{answer}");
    scene.server.ask("close s");
    let end = (&scene.world.right, scene.port);
    let (sum, connection) = wait_failed(&mut told, end, FailureKind::Reset, Some(104));
    assert_eq!((sum.sent_bytes, sum.received_bytes), (30, 99));
    assert_eq!(owner_pid(&connection), Some(scene.server.pid()));
}

fn served_by_a_child() -> Outcome {
    let mut scene = Scene::listening();
    let mut told = scene.tracer.client("a");
    scene.client.connect("c", RIGHT_V4, scene.port);
    scene.server.ask("accept s");
    let child = hand_to_a_child(&mut scene.client, &mut scene.server);
    wait_descriptor(&mut told, (&scene.world.right, scene.port), child);
    scene.client.ask("close c");
    let (sum, change) = told.wait_closed(&scene.world.right, scene.port);
    assert_eq!((sum.sent_bytes, sum.received_bytes), (1, 1));
    assert_eq!(owner_pid(&change.connection), Some(child));
}

/// Socket `s` moves to a child of the server, which answers one byte; the server keeps nothing of it.
fn hand_to_a_child(client: &mut Peer, server: &mut Peer) -> u32 {
    let child = server.ask("hand s").parse().expect("a pid");
    client.ask("ping c 1");
    child
}

fn handed_to_a_child() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    let server = scene.server.pid();
    wait_descriptor(&mut told, (&scene.world.right, scene.port), server);
    let child = hand_to_a_child(&mut scene.client, &mut scene.server);
    scene.client.ask("close c");
    let (_, change) = told.wait_closed(&scene.world.right, scene.port);
    assert_eq!(owner_pid(&change.connection), Some(child), "the server was told while it held the socket");
}

/// Waits until the process that holds the socket is told as its owner.
fn wait_descriptor(told: &mut Client<'_>, end: (&NetNs, u16), pid: u32) {
    assert_eq!(told_descriptor(told, end), pid);
}

/// The process that is told to hold the socket, once one is.
fn told_descriptor(told: &mut Client<'_>, end: (&NetNs, u16)) -> u32 {
    let owner = told.wait("the live owner", |told| {
        let (_, change) = told.find(end.0, end.1)?;
        change.connection.owner.filter(|owner| owner.source == OwnerSource::Descriptor)
    });
    owner.pid
}

fn passed_outgoing() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    let mut other = Peer::start(&scene.world.left);
    pass(&mut scene.client, "c", &mut other);
    other.transfer("c", &mut scene.server, "s", 10);
    let opener = (Some(scene.client.pid()), Some(OwnerSource::Connect));
    let owner = |connection: &Connection| (owner_pid(connection), connection.owner.map(|owner| owner.source));
    let (_, change) = told.wait_found(&scene.world.left, scene.local);
    assert_eq!(owner(&change.connection), opener);
    other.ask("close c");
    let (sum, change) = told.wait_closed(&scene.world.left, scene.local);
    assert_eq!((sum.sent_bytes, owner(&change.connection)), (10, opener));
}

/// `told_before`: the acceptor was told as the owner before it passed the socket on.
fn passed_accepted(told_before: bool) -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    let end = (&scene.world.right, scene.port);
    if told_before {
        wait_descriptor(&mut told, end, scene.server.pid());
    }
    let mut other = Peer::start(&scene.world.right);
    pass(&mut scene.server, "s", &mut other);
    scene.client.transfer("c", &mut other, "s", 10);
    if !told_before {
        // On a slow machine the search may have come before the socket was passed on.
        let holders = [scene.server.pid(), other.pid()];
        assert!(holders.contains(&told_descriptor(&mut told, end)), "none of {holders:?}");
    }
    other.ask("close s");
    scene.client.ask("end c");
    scene.client.ask("close c");
    let (sum, change) = told.wait_closed(end.0, end.1);
    assert_eq!((sum.received_bytes, owner_pid(&change.connection)), (10, Some(other.pid())));
}

/// The socket moves from one process to another of the same namespace.
fn pass(from: &mut Peer, name: &str, to: &mut Peer) {
    to.ask("gate");
    from.ask(&format!("pass {name} {}", to.pid()));
    to.ask(&format!("take {name}"));
    from.ask(&format!("close {name}"));
}

fn through_io_uring() -> Outcome {
    const BYTES: u64 = 100_000;
    let mut scene = Scene::listening();
    let mut told = scene.tracer.client("a");
    let serve = format!("uring-serve {BYTES}");
    scene.server.tell(&serve);
    scene.client.ask(&format!("uring-connect {RIGHT_V4}:{} {BYTES}", scene.port));
    let local: u16 = scene.server.answer(&serve).parse().expect("a port");
    let ends = [
        (&scene.world.left, local, OwnerSource::Connect, scene.client.pid()),
        (&scene.world.right, scene.port, OwnerSource::Close, scene.server.pid()),
    ];
    let mut names = Vec::new();
    for (namespace, port, source, pid) in ends {
        let (sum, change) = told.wait_closed(namespace, port);
        assert_eq!((sum.sent_bytes, sum.received_bytes), (BYTES, BYTES));
        let owner = change.connection.owner.expect("it has an owner");
        assert_eq!((owner.pid, owner.source, owner.kernel), (pid, source, false));
        assert_eq!(change.connection.failure, None);
        names.extend(change.connection.global_id);
    }
    assert!(names.len() == 2 && names[0] == names[1], "{names:?}");
}
