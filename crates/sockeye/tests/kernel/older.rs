//! Sockets that are older than the tracer.

use collect::Capability;
use connections::{Direction, OwnerSource};

use crate::Test;
use crate::harness::{Outcome, Tracer};
use crate::peer::Peer;
use crate::world::{RIGHT_V4, VethPair};

pub const TESTS: &[Test] = &[
    ("bytes_from_before_the_tracer_are_never_told_as_new", before_is_apart),
    ("an_older_socket_that_closes_before_the_first_poll_is_told", closed_before_the_first_poll),
    ("an_older_socket_that_nobody_has_accepted_is_followed", not_accepted_yet),
];

fn before_is_apart() -> Outcome {
    let world = VethPair::new();
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("0.0.0.0");
    let local = client.connect("c", RIGHT_V4, port);
    server.ask("accept s");
    client.transfer("c", &mut server, "s", 100_000);
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    let (sum, change) = told.wait_found(&world.left, local);
    assert!(change.connection.pre_existing);
    assert_eq!((sum.sent_bytes, change.connection.before.sent_bytes), (0, 100_000));
    assert_eq!(change.connection.opened_at, None);
    assert_eq!(change.connection.direction, Direction::Outgoing);
    let owner = change.connection.owner.expect("found by its descriptor");
    assert_eq!((owner.pid, owner.source), (client.pid(), OwnerSource::Descriptor));
    let (_, accepted) = told.wait_found(&world.right, port);
    assert_eq!(accepted.connection.direction, Direction::Incoming);
    assert_eq!(accepted.connection.owner.map(|owner| owner.pid), Some(server.pid()));

    client.ask("send c 5000");
    server.ask("send s 70");
    server.ask("receive s 5000");
    client.ask("receive c 70");
    client.ask("close c");
    server.ask("end s");
    server.ask("close s");
    let (sum, change) = told.wait_closed(&world.left, local);
    assert_eq!((sum.sent_bytes, sum.received_bytes), (5000, 70));
    assert_eq!(sum, change.connection.total);
    let (sum, _) = told.wait_closed(&world.right, port);
    assert_eq!((sum.sent_bytes, sum.received_bytes), (70, 5000));
}

fn closed_before_the_first_poll() -> Outcome {
    let world = VethPair::new();
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("0.0.0.0");
    let local = client.connect("c", RIGHT_V4, port);
    server.ask("accept s");
    client.ask("send c 1000");
    server.ask("receive s 1000");
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    client.ask("send c 23");
    server.ask("receive s 23");
    server.kill();
    client.ask("end c");
    client.ask("close c");
    let (sum, change) = told.wait_closed(&world.left, local);
    assert_eq!((sum.sent_bytes, change.connection.before.sent_bytes), (23, 1000));
    let (sum, _) = told.wait_closed(&world.right, port);
    assert_eq!(sum.received_bytes, 23);
}

fn not_accepted_yet() -> Outcome {
    let world = VethPair::new();
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("0.0.0.0");
    let local = client.connect("c", RIGHT_V4, port);
    client.ask("send c 500");
    let tracer = Tracer::start();
    tracer.needs(Capability::TcpAdopted);
    let mut told = tracer.client("a");
    let (_, change) = told.wait_found(&world.right, port);
    assert_eq!(change.connection.before.received_bytes, 500);
    assert_eq!(change.connection.tuple.remote.port(), local);
    client.ask("send c 11");
    server.ask("accept s");
    server.ask("receive s 511");
    told.wait("the new bytes", |told| {
        told.find(&world.right, port).filter(|(sum, _)| sum.received_bytes == 11)
    });
}
