//! Connections that open and close between two polls.

use crate::Test;
use crate::harness::{Outcome, Tracer};
use crate::peer::Peer;
use crate::world::{RIGHT_V4, VethPair};

pub const TESTS: &[Test] =
    &[("connections_opened_and_closed_between_two_polls_are_all_told", ten_thousand_between_polls)];

fn ten_thousand_between_polls() -> Outcome {
    const COUNT: usize = 10_000;
    const BYTES: u64 = 17;
    let world = VethPair::new();
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("0.0.0.0");
    told.poll();
    let serving = std::thread::spawn(move || {
        let received = server.ask(&format!("serve {COUNT}"));
        (server, received)
    });
    client.ask(&format!("churn {COUNT} {BYTES} {RIGHT_V4}:{port}"));
    let (server, received) = serving.join().expect("the server served");
    assert_eq!(received, (COUNT as u64 * BYTES).to_string());
    let (left, right) = (world.left.inode(), world.right.inode());
    told.wait("all closes", |told| {
        let closed = told.told.values().filter(|(_, change)| {
            let connection = &change.connection;
            connection.closed_at.is_some() && [left, right].contains(&connection.tuple.netns)
        });
        (closed.count() == 2 * COUNT).then_some(())
    });
    for (sum, change) in told.told.values() {
        let connection = &change.connection;
        assert_eq!(*sum, connection.total);
        assert_eq!(connection.failure, None, "{connection:?}");
        let pid = connection.owner.map(|owner| owner.pid);
        if connection.tuple.netns == left {
            let expected = (BYTES, 0, Some(client.pid()));
            assert_eq!((sum.sent_bytes, sum.received_bytes, pid), expected, "{connection:?}");
        } else if connection.tuple.netns == right {
            let expected = (0, BYTES, Some(server.pid()));
            assert_eq!((sum.sent_bytes, sum.received_bytes, pid), expected, "{connection:?}");
        }
    }
    assert!(told.closes.values().all(|closes| *closes <= 1), "each is told as closed once");
    let coverage = told.poll().coverage;
    assert!(coverage.complete(), "{coverage:?}");
}
