//! TCP fast open: data in the SYN counts on both ends, accepted there or not.

use crate::Test;
use crate::harness::{Client, Outcome};
use crate::scene::{Scene, kernel_count, owner_pid, set};
use crate::world::{RIGHT_V4, VethPair};

pub const TESTS: &[Test] = &[
    ("data_in_the_syn_counts_on_both_ends", || data_in_the_syn(true)),
    ("data_in_a_syn_that_the_server_does_not_take_counts_once", || data_in_the_syn(false)),
];

/// The client puts data into the SYN without a cookie; the server takes it from there, or not.
fn data_in_the_syn(taken: bool) -> Outcome {
    let prepare = |world: &VethPair| {
        set(&world.left, "ipv4/tcp_fastopen", "0x5");
        set(&world.right, "ipv4/tcp_fastopen", if taken { "0x602" } else { "0" });
    };
    let mut scene = Scene::listening_with("tcp", prepare);
    let mut told = scene.tracer.client("a");
    scene.client.ask("open c tcp");
    let command = format!("fastopen c {RIGHT_V4}:{} 300", scene.port);
    let local: u16 = scene.client.ask(&command).parse().expect("a port");
    scene.server.ask("accept s");
    scene.server.ask("receive s 300");
    assert_eq!(kernel_count(&scene.world.right, "TCPFastOpenPassive"), u64::from(taken));
    let ends = [(&scene.world.left, local, 300, 0), (&scene.world.right, scene.port, 0, 300)];
    for (namespace, port, sent, received) in ends {
        told.wait("the data of the SYN", |told: &Client<'_>| {
            let (sum, _) = told.find(namespace, port)?;
            ((sum.sent_bytes, sum.received_bytes) == (sent, received)).then_some(())
        });
    }
    scene.server.transfer("s", &mut scene.client, "c", 40);
    scene.client.transfer("c", &mut scene.server, "s", 2000);
    scene.client.ask("close c");
    assert_eq!(scene.server.ask("end s"), "Ok(0)");
    scene.server.ask("close s");
    let (sum, near) = told.wait_closed(&scene.world.left, local);
    assert_eq!((sum.sent_bytes, sum.received_bytes, near.connection.failure), (2300, 40, None));
    assert_eq!(owner_pid(&near.connection), Some(scene.client.pid()));
    let (sum, far) = told.wait_closed(&scene.world.right, scene.port);
    assert_eq!((sum.sent_bytes, sum.received_bytes, far.connection.failure), (40, 2300, None));
    assert_eq!(owner_pid(&far.connection), Some(scene.server.pid()));
    if let (Some(near), Some(far)) = (near.connection.global_id, far.connection.global_id) {
        assert_eq!(near, far, "absent or alike, never different");
    }
}
