//! MPTCP: its subflows are TCP connections, the first the process's own, further ones the kernel's.

use connections::{Connection, Counters, OwnerSource};

use crate::harness::{Client, Outcome, kernel_counters, socket_words};
use crate::scene::{Scene, kernel_count, owner_pid, told_to, until};
use crate::world::{NetNs, RIGHT_V4, VethPair, run};
use crate::{Needing, needs};

pub const NEEDING: &[Needing] = &[
    ("the_subflow_of_an_mptcp_connection_is_told_with_what_it_carried", needs::mptcp, one_subflow),
    ("a_subflow_that_the_kernel_opens_belongs_to_the_kernel", needs::mptcp, opened_by_the_kernel),
];

fn connected(prepare: impl FnOnce(&VethPair)) -> Scene {
    let mut scene = Scene::listening_with("mptcp", |world| {
        prepare(world);
        for namespace in [&world.left, &world.right] {
            namespace.ip(&["mptcp", "limits", "set", "subflow", "4", "add_addr_accepted", "4"]);
        }
    });
    scene.client.ask("open c mptcp");
    let (errno, local) = scene.client.attempt("c", RIGHT_V4, scene.port);
    assert_eq!(errno, 0);
    scene.local = local;
    scene.server.ask("accept s");
    let words = socket_words(&scene.world.left, scene.local, scene.port);
    assert!(words.contains("mptcp"), "no fallback to TCP: {words}");
    scene
}

fn one_subflow() -> Outcome {
    let mut scene = connected(|_| ());
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 300_000);
    scene.server.transfer("s", &mut scene.client, "c", 70_000);
    let ends = [
        (&scene.world.left, scene.local, scene.port, (300_000, 70_000)),
        (&scene.world.right, scene.port, scene.local, (70_000, 300_000)),
    ];
    let bytes = |sum: &Counters| (sum.sent_bytes, sum.received_bytes);
    for (namespace, local, remote, _) in ends {
        told.wait("agreement with the kernel", |told: &Client<'_>| {
            let (sum, _) = told.find(namespace, local)?;
            (bytes(&sum) == bytes(&kernel_counters(namespace, local, remote))).then_some(())
        });
    }
    scene.client.ask("close c");
    assert_eq!(scene.server.ask("end s"), "Ok(0)");
    scene.server.ask("close s");
    let [(near, opened), (far, accepted)] = ends.map(|(namespace, local, _, payload)| {
        let (sum, change) = told.wait_closed(namespace, local);
        assert_eq!(change.connection.failure, None, "{:?}", change.connection);
        // What MPTCP itself sends again, after a time-out of its own, is payload of the subflow once more.
        let again = kernel_count(&scene.world.left, "MPTCPRetrans")
            + kernel_count(&scene.world.right, "MPTCPRetrans");
        assert!(sum.sent_bytes >= payload.0 && sum.received_bytes >= payload.1, "{sum:?}");
        assert!(again > 0 || bytes(&sum) == payload, "{sum:?} without a retransmission");
        (sum, change.connection)
    });
    assert_eq!((near.sent_bytes, near.received_bytes), (far.received_bytes, far.sent_bytes));
    if let (Some(near), Some(far)) = (opened.global_id, accepted.global_id) {
        assert_eq!(near, far, "absent or alike, never different");
    }
    let owner = opened.owner.expect("the connecting process is known");
    assert_eq!((owner.pid, owner.source, owner.kernel), (scene.client.pid(), OwnerSource::Connect, false));
    assert_eq!(owner_pid(&accepted), Some(scene.server.pid()));
}

fn opened_by_the_kernel() -> Outcome {
    let mut scene = connected(|world| {
        world.left.ip(&["address", "add", "10.9.0.11/24", "dev", "cable"]);
        world.left.ip(&["mptcp", "endpoint", "add", "10.9.0.11", "dev", "cable", "subflow"]);
    });
    let mut told = scene.tracer.client("a");
    scene.client.transfer("c", &mut scene.server, "s", 1000);
    scene.server.transfer("s", &mut scene.client, "c", 1000);
    let joined = || run("ss", &["-tnHO", "state", "established", "src", "10.9.0.11"]);
    until("the second subflow", || !scene.world.left.inside(joined).is_empty());
    let port = scene.port;
    let second = told.wait("the second subflow", |told| from(told, &scene.world.left, port, "10.9.0.11"));
    let owner = second.owner.expect("it has one");
    assert_eq!((owner.kernel, owner.source), (true, OwnerSource::Connect), "{owner:?}");
}

/// The connection to this remote port from this address.
fn from(told: &Client<'_>, namespace: &NetNs, remote_port: u16, local: &str) -> Option<Connection> {
    let mut found = told_to(told, namespace, remote_port);
    found.retain(|(_, connection)| connection.tuple.local.ip().to_string() == local);
    found.pop().map(|(_, connection)| connection)
}
