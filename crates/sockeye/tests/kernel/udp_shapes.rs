//! Datagrams in every shape in which the kernel moves them, and those that do not arrive.

use collect::Capability;
use connections::{Direction, FailureKind, OwnerSource};

use crate::harness::{Outcome, Tracer, address};
use crate::peer::Peer;
use crate::scene::filter_arriving;
use crate::udp_scene::{DatagramScene, Told, exchange};
use crate::world::{LEFT_V4, RIGHT_V4, RIGHT_V6, VethPair, run};
use crate::{Needing, Test, needs};

pub const TESTS: &[Test] = &[
    ("the_largest_datagrams_count_once_over_a_link_that_splits_them", fragments),
    ("a_batch_that_the_kernel_splits_counts_as_its_datagrams_on_both_ends", || batches(false)),
    ("a_batch_that_the_receiver_takes_whole_counts_as_its_datagrams", || batches(true)),
    ("options_of_ipv4_are_no_payload", || more_headers(RIGHT_V4, "ipv4-options")),
    ("extension_headers_of_ipv6_are_no_payload", || more_headers(RIGHT_V6, "ipv6-header")),
    ("what_a_child_sends_through_its_parents_socket_is_the_childs", forked_sender),
    ("a_socket_that_only_receives_belongs_to_its_holder", only_receives),
    (
        "a_socket_that_only_receives_and_is_closed_between_two_polls_belongs_to_its_closer",
        received_and_closed,
    ),
    ("sockets_older_than_the_tracer_count_from_its_start", older_sockets),
    ("a_refused_datagram_is_a_failure_of_its_connection", refused),
    ("datagrams_that_a_full_queue_refuses_are_told_as_drops", drops),
    ("a_datagram_sent_into_a_tunnel_is_the_senders_and_counts_once", tunnel),
];

pub const NEEDING: &[Needing] = &[
    ("a_translated_address_is_told_as_the_process_wrote_it", needs::packet_filter, translated),
    ("an_unreachable_host_is_a_failure_of_its_connection", needs::packet_filter, unreachable),
];

pub const ELSEWHERE: &[Needing] =
    &[("what_a_socket_of_the_kernel_sends_belongs_to_the_kernel", needs::nfs, kernel_socket)];

fn kernel_socket() -> Outcome {
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    // Asks for a mount point, as a client of NFS does; nobody answers.
    scene.client.tell(&format!("udp-kernel {RIGHT_V4} {}", scene.port));
    let bytes: u64 = scene.server.ask("udp-receive s 1").parse().expect("a number");
    let far = Told::wait_all(&mut told, &scene.world.right, scene.port, 1);
    let local = far[0].connection.tuple.remote.port();
    let near = Told::wait(&mut told, &scene.world.left, (local, scene.port), |end| end.sum.sent_packets > 0);
    assert!(
        bytes > 0 && near.sum.sent_bytes >= bytes && near.sum.sent_bytes.is_multiple_of(bytes),
        "{near:?}"
    );
    let owner = near.connection.owner.expect("it is known");
    assert_eq!((owner.kernel, owner.pid, owner.source), (true, 0, OwnerSource::Send));
}

fn fragments() -> Outcome {
    for (right, bytes) in [(RIGHT_V4, 65_507), (RIGHT_V6, 65_487)] {
        let mut scene = DatagramScene::bound("[::]");
        let mut told = scene.tracer.client("a");
        let target = address(right, scene.port);
        let (client, server) = (&mut scene.client, &mut scene.server);
        client.ask(&format!("udp-open c {}", if target.is_ipv6() { "v6" } else { "v4" }));
        let mut local = 0;
        for _ in 0..3 {
            local = client.ask(&format!("udp-send c {target} {bytes} 1")).parse().expect("a port");
            assert_eq!(server.ask("udp-echo s 1"), bytes.to_string());
            assert_eq!(client.ask("udp-receive c 1"), bytes.to_string());
        }
        for (space, ports) in
            [(&scene.world.left, (local, scene.port)), (&scene.world.right, (scene.port, local))]
        {
            let end = Told::wait(&mut told, space, ports, |end| end.sum.received_packets == 3);
            assert_eq!((end.sum.sent_packets, end.sum.received_packets), (3, 3));
            assert_eq!((end.sum.sent_bytes, end.sum.received_bytes), (3 * bytes, 3 * bytes));
        }
    }
}

fn batches(whole: bool) -> Outcome {
    // Five datagrams of 1000 bytes and one of 500.
    const BYTES: u64 = 5500;
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    if whole {
        scene.server.ask("udp-set s coalesce");
    }
    scene.client.ask("udp-open c v4");
    scene.client.ask("udp-set c segment=1000");
    let target = address(RIGHT_V4, scene.port);
    let local: u16 = scene.client.ask(&format!("udp-send c {target} {BYTES} 2")).parse().expect("a port");
    scene.server.ask(if whole { "udp-receive s 2" } else { "udp-receive s 12" });
    let near =
        Told::wait(&mut told, &scene.world.left, (local, scene.port), |end| end.sum.sent_bytes > BYTES);
    let far =
        Told::wait(&mut told, &scene.world.right, (scene.port, local), |end| end.sum.received_bytes > BYTES);
    assert_eq!((near.sum.sent_packets, near.sum.sent_bytes), (12, 2 * BYTES));
    assert_eq!((far.sum.received_packets, far.sum.received_bytes), (12, 2 * BYTES));
}

fn more_headers(right: &str, option: &str) -> Outcome {
    let mut scene = DatagramScene::bound("[::]");
    let mut told = scene.tracer.client("a");
    let target = address(right, scene.port);
    scene.client.ask(&format!("udp-open c {}", if target.is_ipv6() { "v6" } else { "v4" }));
    scene.client.ask(&format!("udp-set c {option}"));
    // Also in fragments.
    for bytes in [100, 4000] {
        scene.client.ask(&format!("udp-send c {target} {bytes} 2"));
        assert_eq!(scene.server.ask("udp-receive s 2"), (2 * bytes).to_string());
    }
    let local = scene.client.ask(&format!("udp-send c {target} 0 1")).parse().expect("a port");
    let near = Told::wait(&mut told, &scene.world.left, (local, scene.port), |end| end.sum.sent_packets == 5);
    let far =
        Told::wait(&mut told, &scene.world.right, (scene.port, local), |end| end.sum.received_packets == 5);
    assert_eq!((near.sum.sent_bytes, far.sum.received_bytes), (8200, 8200));
}

fn forked_sender() -> Outcome {
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    let target = address(RIGHT_V4, scene.port);
    let local = exchange(&mut scene.client, &mut scene.server, target, 10, 1);
    let ports = (local, scene.port);
    let owner = |end: &Told| end.connection.owner.map(|owner| (owner.pid, owner.source));
    let near = Told::wait(&mut told, &scene.world.left, ports, |end| end.sum.received_packets == 1);
    assert_eq!(owner(&near), Some((scene.client.pid(), OwnerSource::Send)));
    let child: u32 = scene.client.ask(&format!("udp-fork c {target} 30 4")).parse().expect("a pid");
    let near = Told::wait(&mut told, &scene.world.left, ports, |end| end.sum.sent_packets == 5);
    assert_eq!(near.sum.sent_bytes, 130);
    assert_eq!(owner(&near), Some((child, OwnerSource::Send)));
}

fn only_receives() -> Outcome {
    let mut scene = DatagramScene::bound("0.0.0.0");
    scene.tracer.needs(Capability::UdpOwner);
    let mut told = scene.tracer.client("a");
    scene.client.ask("udp-open c v4");
    let command = format!("udp-send c {RIGHT_V4}:{} 10 1", scene.port);
    let local = scene.client.ask(&command).parse().expect("a port");
    let owned = |end: &Told| end.connection.owner.is_some();
    let far = Told::wait(&mut told, &scene.world.right, (scene.port, local), owned);
    let owner = far.connection.owner.expect("waited for");
    assert_eq!((owner.pid, owner.source), (scene.server.pid(), OwnerSource::Descriptor));
}

fn received_and_closed() -> Outcome {
    let mut scene = DatagramScene::bound("0.0.0.0");
    scene.tracer.needs(Capability::UdpOwner);
    let mut told = scene.tracer.client("a");
    told.poll();
    scene.client.ask("udp-open c v4");
    let command = format!("udp-send c {RIGHT_V4}:{} 10 1", scene.port);
    let local = scene.client.ask(&command).parse().expect("a port");
    scene.server.ask("udp-receive s 1");
    let pid = scene.server.pid();
    scene.server.ask("udp-close s");
    let far = Told::wait_closed(&mut told, &scene.world.right, (scene.port, local));
    let owner = far.connection.owner.expect("somebody closed it");
    assert_eq!(owner.pid, pid);
}

fn older_sockets() -> Outcome {
    let world = VethPair::new();
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    server.ask("udp-bind s 0.0.0.0:5300");
    client.ask("udp-open c v4");
    let local: u16 = client.ask(&format!("udp-connect c {RIGHT_V4}:5300")).parse().expect("a port");
    client.ask("udp-send c - 1000 3");
    server.ask("udp-echo s 3");
    client.ask("udp-receive c 3");
    let tracer = Tracer::start();
    tracer.needs(Capability::Udp);
    tracer.needs(Capability::UdpAdopted);
    let mut told = tracer.client("a");
    client.ask("udp-send c - 20 2");
    server.ask("udp-echo s 2");
    client.ask("udp-receive c 2");
    let near = Told::wait(&mut told, &world.left, (local, 5300), |end| end.sum.received_packets == 2);
    let far = Told::wait(&mut told, &world.right, (5300, local), |end| end.sum.sent_packets == 2);
    for end in [&near, &far] {
        assert_eq!((end.sum.sent_bytes, end.sum.received_bytes), (40, 40), "not what was before");
        assert!(end.connection.pre_existing);
        assert_eq!(end.connection.opened_at, None);
    }
    assert_eq!(near.connection.direction, Direction::Outgoing, "it is connected");
    assert_eq!(far.connection.direction, Direction::Unknown, "who began was not seen");
    assert_eq!(far.connection.owner.map(|owner| owner.pid), Some(server.pid()));
    // A socket that is new is known to be.
    let local = exchange(&mut client, &mut server, address(RIGHT_V4, 5300), 10, 1);
    let new = Told::wait(&mut told, &world.left, (local, 5300), |end| end.sum.received_packets == 1);
    assert!(!new.connection.pre_existing && new.connection.opened_at.is_some());
}

fn refused() -> Outcome {
    const NOBODY: u16 = 4999;
    const ECONNREFUSED: u16 = 111;
    let mut scene = DatagramScene::bound("0.0.0.0");
    scene.tracer.needs(Capability::UdpFailures);
    let mut told = scene.tracer.client("a");
    scene.client.ask("udp-open c v4");
    let local: u16 = scene.client.ask(&format!("udp-connect c {RIGHT_V4}:{NOBODY}")).parse().expect("a port");
    scene.client.ask("udp-send c - 10 1");
    assert_eq!(scene.client.ask("udp-error c"), ECONNREFUSED.to_string());
    let failed = |end: &Told| end.connection.failure.is_some();
    let near = Told::wait(&mut told, &scene.world.left, (local, NOBODY), failed);
    assert_eq!(near.connection.closed_at, None, "a failure ends nothing");
    let failure = near.connection.failure.expect("waited for");
    assert_eq!((failure.kind, failure.errno), (FailureKind::Refused, Some(ECONNREFUSED)));
    scene.client.ask("udp-close c");
    let near = Told::wait_closed(&mut told, &scene.world.left, (local, NOBODY));
    assert_eq!(near.connection.failure, Some(failure));
    let (failed_at, closed_at) = (near.connection.failed_at, near.connection.closed_at);
    assert!(
        failed_at.is_some_and(|at| at >= near.connection.opened_at.expect("seen")) && failed_at < closed_at
    );
    // One that is not connected is told only if it asked to be.
    scene.client.ask("udp-open d v4");
    scene.client.ask("udp-set d errors");
    let command = format!("udp-send d {RIGHT_V4}:{NOBODY} 10 1");
    let local: u16 = scene.client.ask(&command).parse().expect("a port");
    Told::wait(&mut told, &scene.world.left, (local, NOBODY), failed);
}

fn unreachable() -> Outcome {
    let mut scene = DatagramScene::bound("0.0.0.0");
    scene.tracer.needs(Capability::UdpFailures);
    let mut told = scene.tracer.client("a");
    filter_arriving(&scene.world.right, "udp dport 5300 reject with icmp type host-unreachable");
    scene.client.ask("udp-open c v4");
    scene.client.ask("udp-set c errors");
    let command = format!("udp-connect c {RIGHT_V4}:{}", scene.port);
    let local: u16 = scene.client.ask(&command).parse().expect("a port");
    scene.client.ask("udp-send c - 10 1");
    let failed = |end: &Told| end.connection.failure.is_some();
    let near = Told::wait(&mut told, &scene.world.left, (local, scene.port), failed);
    assert_eq!(near.connection.failure.map(|failure| failure.kind), Some(FailureKind::Unreachable));
}

fn drops() -> Outcome {
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    scene.server.ask("udp-set s room=4096");
    scene.client.ask("udp-open c v4");
    let command = format!("udp-send c {RIGHT_V4}:{} 1000 200", scene.port);
    let local = scene.client.ask(&command).parse().expect("a port");
    let far =
        Told::wait(&mut told, &scene.world.right, (scene.port, local), |end| end.sum.received_packets == 200);
    let table =
        scene.world.right.inside(|| std::fs::read_to_string("/proc/thread-self/net/udp")).expect("readable");
    let port = format!(":{:04X}", scene.port);
    let line = table.lines().find(|line| line.contains(&port)).expect("the kernel lists the socket");
    let drops: u64 = line.split_whitespace().last().expect("the last word").parse().expect("a number");
    assert!(drops > 100, "{line}");
    assert_eq!(far.connection.facts.udp().expect("it is of UDP").drops, drops);
    scene.server.ask("udp-close s");
    let far = Told::wait_closed(&mut told, &scene.world.right, (scene.port, local));
    assert_eq!(far.connection.facts.udp().expect("it is of UDP").drops, drops);
}

/// The kernel wraps what the process sends into datagrams of its own, which go around their socket: they are nobody's.
fn tunnel() -> Outcome {
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    for (space, local, remote, inner) in [
        (&scene.world.left, LEFT_V4, RIGHT_V4, "10.8.0.1/24"),
        (&scene.world.right, RIGHT_V4, LEFT_V4, "10.8.0.2/24"),
    ] {
        space.ip(&[
            "link", "add", "tunnel", "type", "vxlan", "id", "7", "local", local, "remote", remote, "dstport",
            "4789",
        ]);
        space.ip(&["address", "add", inner, "dev", "tunnel"]);
        space.ip(&["link", "set", "tunnel", "up"]);
    }
    let target = address("10.8.0.2", scene.port);
    let local = exchange(&mut scene.client, &mut scene.server, target, 600, 5);
    let near =
        Told::wait(&mut told, &scene.world.left, (local, scene.port), |end| end.sum.received_packets == 5);
    assert_eq!((near.sum.sent_packets, near.sum.sent_bytes, near.sum.received_bytes), (5, 3000, 3000));
    assert_eq!(near.connection.tuple.remote, target);
    for space in [&scene.world.left, &scene.world.right] {
        assert_eq!(Told::all(&told, space, 4789).len(), 0);
    }
}

fn translated() -> Outcome {
    const ELSEWHERE: &str = "10.77.0.1";
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    let rules = format!(
        "add table ip test; \
         add chain ip test leaving {{ type nat hook output priority -100; }}; \
         add rule ip test leaving ip daddr {ELSEWHERE} udp dport 53 dnat to {RIGHT_V4}:{}; \
         add chain ip test left {{ type nat hook postrouting priority 100; }}; \
         add rule ip test left meta l4proto udp oifname cable masquerade to :40000-40010",
        scene.port
    );
    scene.world.left.inside(|| run("nft", &[&rules]));
    scene.world.left.ip(&["route", "add", "default", "via", RIGHT_V4]);
    let target = address(ELSEWHERE, 53);
    let local = exchange(&mut scene.client, &mut scene.server, target, 25, 4);
    let near = Told::wait(&mut told, &scene.world.left, (local, 53), |end| end.sum.received_packets == 4);
    assert_eq!((near.sum.sent_packets, near.sum.sent_bytes, near.sum.received_bytes), (4, 100, 100));
    assert_eq!(near.connection.tuple.remote, target);
    assert_eq!(near.connection.tuple.local, address(LEFT_V4, local));
    assert_eq!(Told::all(&told, &scene.world.left, local).len(), 1, "both ways are one connection");
    assert_eq!(scene.tracer.counter("kernel_udp_foreign"), 0);
    // The other end sees the translated one.
    let seen = Told::wait_all(&mut told, &scene.world.right, scene.port, 1);
    assert!((40_000..=40_010).contains(&seen[0].connection.tuple.remote.port()));
}
