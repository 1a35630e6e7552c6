//! UDP: datagrams and bytes per socket and peer, compared with what was sent and received and with the kernel.

use collect::Capability;
use connections::{Direction, OwnerSource, Protocol, State};

use crate::Test;
use crate::audit;
use crate::harness::{Outcome, Tracer, address, refuses_in_all};
use crate::peer::Peer;
use crate::udp_scene::{DatagramScene, Told, exchange, kernel_datagrams};
use crate::world::{LEFT_V4, NetNs, RIGHT_V4, RIGHT_V6, VethPair, run};

pub const TESTS: &[Test] = &[
    ("datagrams_and_bytes_are_exact_both_ways_over_ipv4", || exact_both_ways("0.0.0.0", RIGHT_V4)),
    ("datagrams_and_bytes_are_exact_both_ways_over_ipv6", || exact_both_ways("[::]", RIGHT_V6)),
    ("a_socket_bound_to_all_of_ipv6_that_speaks_ipv4_is_told_with_ipv4", mapped_is_ipv4),
    ("a_connected_socket_counts_like_an_unconnected_one", connected),
    ("each_socket_of_a_group_that_shares_a_port_counts_its_own", shared_port),
    ("a_multicast_datagram_counts_once_where_it_is_sent_and_once_for_each_socket_that_gets_it", multicast),
    ("a_broadcast_datagram_counts_once_where_it_is_sent_and_once_where_it_arrives", broadcast),
    ("datagrams_through_a_link_local_address_keep_its_scope", link_local),
    ("a_raw_socket_that_is_given_copies_of_datagrams_counts_none", raw_socket),
    ("without_udp_nothing_of_udp_is_told_or_loaded", switched_off),
    ("udp_is_counted_in_its_own_functions_unless_the_kernel_forbids_that", best_alternative),
];

/// Refused because programs may not attach there at all, and not because these are wrong.
fn best_alternative() -> Outcome {
    let tracer = Tracer::start();
    if refuses_in_all() {
        tracer.needs(Capability::Udp);
    }
    let mut capabilities = tracer.collector.support().capabilities.iter();
    let udp = capabilities.find(|state| state.capability == collect::Capability::Udp).expect("it is listed");
    assert!(udp.served_by.is_some(), "{udp:?}");
    let forbidden = udp.refused.iter().all(|refusal| refusal.reason.ends_with("-EPERM"));
    assert!(forbidden, "{udp:?}");
}

fn exact_both_ways(everywhere: &str, right: &str) -> Outcome {
    let mut scene = DatagramScene::bound(everywhere);
    let port = scene.port;
    let mut told = scene.tracer.client("a");
    let target = address(right, port);
    scene.client.ask(&format!("udp-open c {}", if target.is_ipv6() { "v6" } else { "v4" }));
    let (mut sent, mut port_of_client): (_, u16) = ((0, 0), 0);
    for bytes in [0, 1, 100, 1400] {
        let local = scene.client.ask(&format!("udp-send c {target} {bytes} 3"));
        assert_eq!(scene.server.ask("udp-echo s 3"), (3 * bytes).to_string());
        assert_eq!(scene.client.ask("udp-receive c 3"), (3 * bytes).to_string());
        sent = (sent.0 + 3 * bytes, sent.1 + 3);
        port_of_client = local.parse().expect("a port");
    }
    let is_whole = |told: &Told| told.sum.received_packets == sent.1;
    let near = Told::wait(&mut told, &scene.world.left, (port_of_client, port), is_whole);
    let far = Told::wait(&mut told, &scene.world.right, (port, port_of_client), is_whole);
    for end in [&near, &far] {
        let sum = end.sum;
        let counted = (sum.sent_bytes, sum.sent_packets, sum.received_bytes, sum.received_packets);
        assert_eq!(counted, (sent.0, sent.1, sent.0, sent.1));
        assert_eq!((end.connection.state, end.connection.failure), (State::Open, None));
        assert!(end.connection.facts.udp().expect("it is of UDP").assured);
    }
    assert_eq!(near.connection.tuple.remote, target);
    assert_eq!(far.connection.tuple.local, target);
    assert_eq!(near.connection.direction, Direction::Outgoing);
    assert_eq!(far.connection.direction, Direction::Incoming);
    let owner = |told: &Told| told.connection.owner.map(|owner| (owner.pid, owner.source));
    assert_eq!(owner(&near), Some((scene.client.pid(), OwnerSource::Send)));
    assert_eq!(owner(&far), Some((scene.server.pid(), OwnerSource::Send)));
    scene.client.ask("udp-close c");
    let closed = Told::wait_closed(&mut told, &scene.world.left, (port_of_client, port));
    assert_eq!(closed.sum, near.sum);
    let opened = closed.connection.opened_at.expect("it is not older than the tracer");
    assert!(closed.connection.closed_at.is_some_and(|at| at > opened));
    let kernel = kernel_datagrams(&scene.world.left);
    assert_eq!((kernel.sent, kernel.received), (sent.1, sent.1), "as the kernel counted them");
}

fn mapped_is_ipv4() -> Outcome {
    let mut scene = DatagramScene::bound("[::]");
    let mut told = scene.tracer.client("a");
    let target = address(RIGHT_V4, scene.port);
    let local = exchange(&mut scene.client, &mut scene.server, target, 50, 2);
    let far =
        Told::wait(&mut told, &scene.world.right, (scene.port, local), |told| told.sum.sent_packets == 2);
    assert_eq!(far.connection.tuple.local, address(RIGHT_V4, scene.port));
    assert_eq!(far.connection.tuple.remote, address(LEFT_V4, local));
    assert_eq!((far.sum.received_bytes, far.sum.sent_bytes), (100, 100));
}

fn connected() -> Outcome {
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    scene.client.ask("udp-open c v4");
    let command = format!("udp-connect c {RIGHT_V4}:{}", scene.port);
    let local: u16 = scene.client.ask(&command).parse().expect("a port");
    scene.client.ask("udp-send c - 700 5");
    scene.server.ask("udp-echo s 5");
    scene.client.ask("udp-receive c 5");
    let near =
        Told::wait(&mut told, &scene.world.left, (local, scene.port), |told| told.sum.received_packets == 5);
    assert_eq!((near.sum.sent_bytes, near.sum.received_bytes), (3500, 3500));
    assert_eq!(near.connection.direction, Direction::Outgoing);
}

fn shared_port() -> Outcome {
    const CLIENTS: u64 = 60;
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    let port: u16 = scene.server.ask(&format!("udp-share one {RIGHT_V4}:0")).parse().expect("a port");
    scene.server.ask(&format!("udp-share two {RIGHT_V4}:{port}"));
    scene.client.ask(&format!("udp-crowd {LEFT_V4} {RIGHT_V4}:{port} 10 {CLIENTS}"));
    let all = Told::wait_all(&mut told, &scene.world.right, port, CLIENTS);
    let cookies: std::collections::BTreeSet<u64> = all.iter().map(|told| told.connection.id.cookie).collect();
    assert_eq!(cookies.len(), 2, "the kernel gives each socket some of {CLIENTS}");
    let mut counted: Vec<usize> = cookies
        .iter()
        .map(|cookie| all.iter().filter(|told| told.connection.id.cookie == *cookie).count())
        .collect();
    // Each socket holds as many datagrams as were counted for it.
    let mut queued = |name: &str| scene.server.ask(&format!("udp-queue {name}")).parse().expect("a number");
    let mut held: Vec<usize> = vec![queued("one"), queued("two")];
    counted.sort_unstable();
    held.sort_unstable();
    assert_eq!(held, counted);
}

fn multicast() -> Outcome {
    const GROUP: &str = "239.9.9.9";
    let mut scene = DatagramScene::bound("0.0.0.0");
    let DatagramScene { world, tracer, client, server, .. } = &mut scene;
    let mut told = tracer.client("a");
    world.left.ip(&["route", "add", "224.0.0.0/4", "dev", "cable"]);
    let port: u16 = server.ask("udp-share one 0.0.0.0:0").parse().expect("a port");
    server.ask(&format!("udp-share two 0.0.0.0:{port}"));
    for name in ["one", "two"] {
        server.ask(&format!("udp-set {name} join={GROUP},{RIGHT_V4}"));
    }
    client.ask("udp-open c v4");
    let local: u16 = client.ask(&format!("udp-send c {GROUP}:{port} 300 4")).parse().expect("a port");
    for name in ["one", "two"] {
        assert_eq!(server.ask(&format!("udp-receive {name} 4")), "1200");
    }
    let near = Told::wait(&mut told, &world.left, (local, port), |told| told.sum.sent_packets == 4);
    assert_eq!((near.sum.sent_bytes, near.sum.received_bytes), (1200, 0), "sent once, not once per receiver");
    assert_eq!(near.connection.tuple.remote, address(GROUP, port));
    let far = Told::wait_all(&mut told, &world.right, port, 2);
    for end in &far {
        assert_eq!((end.sum.received_packets, end.sum.received_bytes), (4, 1200));
        assert_eq!(end.connection.tuple.local, address(GROUP, port));
        assert_eq!(end.connection.direction, Direction::Incoming);
    }
}

fn broadcast() -> Outcome {
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    scene.client.ask("udp-open c v4");
    scene.client.ask("udp-set c broadcast");
    let command = format!("udp-send c 10.9.0.255:{} 200 3", scene.port);
    let local: u16 = scene.client.ask(&command).parse().expect("a port");
    scene.server.ask("udp-echo s 3");
    scene.client.ask("udp-receive c 3");
    // The answers come from an address of their own.
    let all = Told::wait_all(&mut told, &scene.world.left, local, 2);
    let (called, answers): (Vec<_>, Vec<_>) = all.into_iter().partition(|told| told.sum.sent_packets > 0);
    let of = |told: &[Told]| {
        let [told] = told else { panic!("one connection: {told:?}") };
        // Without slots of sockets it is not known that this one had called.
        let is_known = told.sum.sent_packets > 0 || scene.tracer.serves(Capability::UdpAdopted);
        assert!(!is_known || told.connection.direction == Direction::Outgoing, "{told:?}");
        (told.connection.tuple.remote, told.sum.sent_bytes, told.sum.received_bytes)
    };
    assert_eq!(of(&called), (address("10.9.0.255", scene.port), 600, 0));
    assert_eq!(of(&answers), (address(RIGHT_V4, scene.port), 0, 600), "the socket had called");
}

fn link_local() -> Outcome {
    let mut scene = DatagramScene::bound("[::]");
    let mut told = scene.tracer.client("a");
    let of = |namespace: &NetNs, what: &[&str]| run("ip", &[&["-n", namespace.name(), "-o"], what].concat());
    let interface = of(&scene.world.left, &["link", "show", "cable"]);
    let interface = interface.split(':').next().and_then(|index| index.parse().ok()).expect("an index");
    let address = of(&scene.world.right, &["-6", "address", "show", "dev", "cable", "scope", "link"]);
    let address = address.split_whitespace().find_map(|word| word.strip_suffix("/64")).expect("an address");
    let right = address.parse().expect("of IPv6");
    scene.client.ask("udp-open c v6");
    let target = std::net::SocketAddrV6::new(right, scene.port, 0, interface);
    let local: u16 = scene.client.ask(&format!("udp-send c {target} 9 2")).parse().expect("a port");
    let near =
        Told::wait(&mut told, &scene.world.left, (local, scene.port), |told| told.sum.sent_packets == 2);
    assert_eq!(near.connection.tuple.remote.to_string(), target.to_string());
}

fn raw_socket() -> Outcome {
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    let raw = || {
        use rustix::net::{AddressFamily, SocketType, ipproto, socket};
        socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::UDP)).expect("root may")
    };
    let _raw = scene.world.right.inside(raw);
    let target = address(RIGHT_V4, scene.port);
    let local = exchange(&mut scene.client, &mut scene.server, target, 10, 7);
    let far =
        Told::wait(&mut told, &scene.world.right, (scene.port, local), |told| told.sum.sent_packets == 7);
    assert_eq!((far.sum.received_packets, far.sum.received_bytes), (7, 70));
    assert_eq!(Told::all(&told, &scene.world.right, scene.port).len(), 1);
}

fn switched_off() -> Outcome {
    let world = VethPair::new();
    let tracer = Tracer::with(collect::CollectLimits { follow_udp: false, ..audit::limits() });
    let names: Vec<&str> =
        tracer.collector.support().programs.iter().map(|(name, _)| name.as_str()).collect();
    assert!(names.iter().all(|name| !name.contains("udp") && !name.contains("cgroup")), "{names:?}");
    let mut told = tracer.client("a");
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port: u16 = server.ask("udp-bind s 0.0.0.0:0").parse().expect("a port");
    client.ask("udp-open c v4");
    client.ask(&format!("udp-send c {RIGHT_V4}:{port} 10 1"));
    server.ask("udp-receive s 1");
    told.poll();
    assert!(told.told.values().all(|(_, change)| change.connection.tuple.protocol != Protocol::Udp));
    let audited = audit::wait_audit(&mut told, "an audit after the datagram", |_| true);
    assert_eq!(audited.not_counted(), 0, "what is not followed is not missing: {audited:?}");
}
