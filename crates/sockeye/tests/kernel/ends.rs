//! How connections end: half-closed, reset from either side, refused, and orderly.

use connections::{Failure, FailureKind, State};

use crate::Test;
use crate::harness::{Outcome, kernel_counters};
use crate::scene::{Scene, lived_ms};
use crate::world::RIGHT_V4;

pub const TESTS: &[Test] = &[
    ("final_counters_hold_every_byte_and_no_fin", orderly),
    ("a_half_closed_connection_lives_on_and_goes_on_counting", half_closed),
    ("a_reset_is_told_on_both_ends_with_its_cause", reset),
    ("a_reset_connection_that_its_owner_keeps_open_is_told_all_the_same", reset_and_kept),
    ("a_refused_connect_is_told_as_a_failure", refused),
];

fn orderly() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 300_000);
    scene.server.transfer("s", &mut scene.client, "c", 1);
    let near = kernel_counters(&scene.world.left, scene.local, scene.port);
    let far = kernel_counters(&scene.world.right, scene.port, scene.local);
    scene.client.ask("close c");
    scene.server.ask("end s");
    scene.server.ask("close s");
    let ends = [
        (&scene.world.left, scene.local, near, 300_000, 1),
        (&scene.world.right, scene.port, far, 1, 300_000),
    ];
    for (namespace, port, before, sent, received) in ends {
        let (sum, change) = told.wait_closed(namespace, port);
        assert_eq!((sum.sent_bytes, sum.received_bytes), (sent, received));
        assert_eq!(change.connection.failure, None);
        // The close takes a FIN and an acknowledgement each way, and an acknowledgement may have been delayed.
        let (more, _) = sum.since(before);
        assert!((1..=3).contains(&more.sent_packets), "{more:?}");
        assert!((1..=3).contains(&more.received_packets), "{more:?}");
    }
}

fn half_closed() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.ask("send c 10");
    scene.client.ask("finish c");
    scene.server.ask("receive s 10");
    scene.server.ask("end s");
    let near = told.wait("FIN_WAIT2", |told| {
        told.find(&scene.world.left, scene.local)
            .filter(|(_, change)| change.connection.state == State::FinWait2)
    });
    assert_eq!((near.0.sent_bytes, near.1.connection.closed_at), (10, None));
    let (_, far) = told.wait_found(&scene.world.right, scene.port);
    assert_eq!(far.connection.state, State::CloseWait);
    assert_eq!(far.connection.total.received_bytes, 10, "the FIN is no byte");
    scene.server.ask("send s 5000");
    scene.client.ask("receive c 5000");
    told.wait("the bytes after the half-close", |told| {
        told.find(&scene.world.left, scene.local).filter(|(sum, _)| sum.received_bytes == 5000)
    });
    scene.server.ask("close s");
    scene.client.ask("end c");
    scene.client.ask("close c");
    let (sum, change) = told.wait_closed(&scene.world.left, scene.local);
    assert_eq!((sum.sent_bytes, sum.received_bytes), (10, 5000));
    assert_eq!(change.connection.failure, None);
}

fn reset() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.ask("send c 4000");
    scene.server.ask("receive s 4000");
    scene.client.ask("reset c");
    scene.server.ask("end s");
    scene.server.ask("close s");
    let (sum, near) = told.wait_closed(&scene.world.left, scene.local);
    assert_eq!(sum.sent_bytes, 4000, "SO_LINGER 0 zeroes the socket, not the record");
    assert_eq!(near.connection.failure, Some(Failure { kind: FailureKind::Aborted, errno: None }));
    let (sum, far) = told.wait_closed(&scene.world.right, scene.port);
    assert_eq!(sum.received_bytes, 4000);
    assert_eq!(far.connection.failure, Some(Failure { kind: FailureKind::Reset, errno: Some(104) }));
    assert_eq!(far.connection.owner.map(|owner| owner.pid), Some(scene.server.pid()), "its closer owns it");
}

fn reset_and_kept() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.ask("send c 40");
    scene.server.ask("receive s 40");
    scene.client.ask("reset c");
    scene.server.ask("end s");
    // The server keeps the dead socket open.
    let (sum, far) = told.wait_closed(&scene.world.right, scene.port);
    assert_eq!(sum.received_bytes, 40);
    assert_eq!(far.connection.failure.map(|failure| failure.kind), Some(FailureKind::Reset));
    scene.server.ask("close s");
    told.poll();
    let id = far.connection.id.to_string();
    assert_eq!(told.closes.get(&id), Some(&1), "its late close tells nothing again");
}

fn refused() -> Outcome {
    let mut scene = Scene::connected();
    let mut told = scene.tracer.client("a");
    scene.client.ask(&format!("refused {RIGHT_V4}:1"));
    let change = told.wait("the refused connect", |told| {
        told.told.values().map(|(_, change)| *change).find(|change| {
            let tuple = &change.connection.tuple;
            tuple.netns == scene.world.left.inode() && tuple.remote.port() == 1
        })
    });
    let connection = change.connection;
    assert_eq!(connection.failure, Some(Failure { kind: FailureKind::Refused, errno: Some(111) }));
    assert_eq!(connection.owner.map(|owner| owner.pid), Some(scene.client.pid()));
    assert_eq!((connection.established_at, connection.state), (None, State::Closed));
    assert!(lived_ms(&connection) < 1000, "the answer came at once");
}
