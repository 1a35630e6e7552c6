//! Live connections: bytes, segments, ends, direction and owner, over a cable between two namespaces.

use connections::{Counters, Direction, OwnerSource, State};
use deltas::Change;

use crate::Test;
use crate::harness::{Client, Outcome, Tracer, address, kernel_counters, socket_words, tcp_facts};
use crate::peer::Peer;
use crate::world::{LEFT_V4, NetNs, RIGHT_V4, RIGHT_V6, VethPair};

pub const TESTS: &[Test] = &[
    ("sockets_are_read_in_place_where_the_kernel_can", best_alternative),
    ("live_counters_equal_those_of_the_kernel_over_ipv4", || counters_equal("0.0.0.0", RIGHT_V4)),
    ("live_counters_equal_those_of_the_kernel_over_ipv6", || counters_equal("::", RIGHT_V6)),
    ("ipv4_through_an_ipv6_socket_is_ipv4", mapped_is_ipv4),
    ("every_connection_is_in_its_own_namespace", namespaces_are_told_apart),
    ("retransmitted_bytes_count_once", loss_counts_once),
    ("facts_equal_those_of_the_kernel", facts_equal),
];

/// The kernel's own list of what programs may call says whether it can: a program that it refuses is a defect of ours.
fn best_alternative() -> Outcome {
    let types = std::fs::read("/sys/kernel/btf/vmlinux").expect("the kernel tells its types");
    let can = types.windows(15).any(|name| name == b"bpf_rdonly_cast");
    let tracer = Tracer::start();
    let mut capabilities = tracer.collector.support().capabilities.iter();
    let live =
        capabilities.find(|state| state.capability == collect::Capability::TcpLive).expect("it is listed");
    let in_place = live.served_by.is_some_and(|hook| hook.contains("bpf_rdonly_cast"));
    let switched_off = live.refused.iter().any(|refusal| refusal.reason.contains("collect.refuse"));
    assert_eq!(in_place, can && !switched_off, "{live:?}");
}

fn counters_equal(bound: &str, target: &str) -> Outcome {
    let world = VethPair::new();
    let tracer = Tracer::start();
    let (mut near, mut far) = (tracer.client("near"), tracer.client("far"));
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen(bound);
    let local = client.connect("c", target, port);
    server.ask("accept s");
    for (request, answer) in [(1, 1), (100_000, 70_000), (0, 5), (3_000_000, 10)] {
        client.transfer("c", &mut server, "s", request);
        server.transfer("s", &mut client, "c", answer);
        agree(&mut near, &world.left, local, port);
        agree(&mut far, &world.right, port, local);
    }
    let (_, opened) = near.wait_found(&world.left, local);
    assert_eq!(opened.connection.direction, Direction::Outgoing);
    assert_eq!(opened.connection.state, State::Established);
    assert_eq!(opened.connection.tuple.remote, address(target, port));
    let owner = opened.connection.owner.expect("the connecting process is known");
    assert_eq!((owner.pid, owner.source), (client.pid(), OwnerSource::Connect));
    assert_eq!(owner.uid, 0);
    let (_, accepted) = far.wait_found(&world.right, port);
    assert_eq!(accepted.connection.direction, Direction::Incoming);
    assert_eq!(accepted.connection.tuple.remote.port(), local);
    assert!(opened.connection.global_id.is_some(), "{opened:?}");
    assert_eq!(opened.connection.global_id, accepted.connection.global_id, "both ends name it alike");
    assert_eq!(accepted.connection.owner.map(|owner| owner.pid), Some(server.pid()));
}

/// The sum of all deltas lies between two readings of the kernel, which are equal when nothing moves.
fn agree(client: &mut Client<'_>, namespace: &NetNs, local: u16, remote: u16) {
    client.wait("agreement with the kernel", |client| {
        let before = kernel_counters(namespace, local, remote);
        let (sum, change) = client.find(namespace, local)?;
        let after = kernel_counters(namespace, local, remote);
        assert_eq!(sum, change.connection.total, "the sum of deltas is the total");
        (before == after && before == comparable(sum)).then_some(())
    });
}

/// What `ss` shows of the counters.
fn comparable(sum: Counters) -> Counters {
    let Counters { sent_bytes, received_bytes, sent_packets, received_packets, retransmits, .. } = sum;
    Counters {
        sent_bytes,
        received_bytes,
        sent_packets,
        received_packets,
        retransmits,
        ..Counters::default()
    }
}

fn mapped_is_ipv4() -> Outcome {
    let world = VethPair::new();
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("::");
    let local = client.connect("c", RIGHT_V4, port);
    server.ask("accept s");
    let (_, change) = told.wait_found(&world.right, port);
    assert_eq!(change.connection.tuple.local, address(RIGHT_V4, port));
    assert_eq!(change.connection.tuple.remote, address(LEFT_V4, local));
}

fn namespaces_are_told_apart() -> Outcome {
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    let spaces = [NetNs::new(), NetNs::new(), NetNs::new()];
    let mut peers: Vec<Peer> = spaces.iter().map(Peer::start).collect();
    for (space, peer) in spaces.iter().zip(&mut peers) {
        let port = peer.listen("127.0.0.1");
        let local = peer.connect("c", "127.0.0.1", port);
        peer.ask("accept s");
        peer.ask("send c 1234");
        peer.ask("receive s 1234");
        let sent = |client: &Client<'_>| client.find(space, local).filter(|(sum, _)| sum.sent_bytes == 1234);
        let (_, change) = told.wait("the bytes", sent);
        assert_eq!(change.connection.owner.map(|owner| owner.pid), Some(peer.pid()));
    }
}

fn loss_counts_once() -> Outcome {
    const BYTES: u64 = 2_000_000;
    let world = VethPair::new();
    // A full window bursts into a short queue at 50 Mbit/s: some is lost before it leaves, and the kernel's
    // bytes_sent counts it twice although it is no retransmission.
    let shape =
        ["qdisc", "add", "dev", "cable", "root", "tbf", "rate", "50mbit", "burst", "5kb", "limit", "20kb"];
    world.left.inside(|| crate::world::run("tc", &shape));
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("0.0.0.0");
    let local = client.connect("c", RIGHT_V4, port);
    server.ask("accept s");
    for round in 1..=3 {
        client.transfer("c", &mut server, "s", usize::try_from(BYTES).expect("it fits"));
        let sent = |(sum, _): &(Counters, Change)| sum.sent_bytes == round * BYTES;
        let (sum, change) = told.wait("the bytes sent", |told| told.find(&world.left, local).filter(sent));
        assert_eq!(sum.received_bytes, 0);
        let kernel = kernel_counters(&world.left, local, port);
        assert_eq!(sum.retransmits, kernel.retransmits);
        assert!(kernel.sent_bytes > sum.sent_bytes || kernel.retransmits > 0, "nothing was lost: {change:?}");
        let received = |(sum, _): &(Counters, Change)| sum.received_bytes == round * BYTES;
        told.wait("the bytes received", |told| told.find(&world.right, port).filter(received));
    }
    client.ask("close c");
    let (sum, _) = told.wait_closed(&world.left, local);
    assert_eq!(sum.sent_bytes, 3 * BYTES);
}

fn facts_equal() -> Outcome {
    let world = VethPair::new();
    // A receive buffer that does not grow, so that the window closes.
    let buffer = || std::fs::write("/proc/sys/net/ipv4/tcp_rmem", "4096 65536 65536");
    world.right.inside(buffer).expect("the namespace has its own");
    let tracer = Tracer::start();
    let mut told = tracer.client("a");
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("0.0.0.0");
    let local = client.connect("c", RIGHT_V4, port);
    server.ask("accept s");
    client.transfer("c", &mut server, "s", 3_000_000);
    // More than the other end will take: part is under way, the rest waits, and the window closes.
    client.tell("send c 9000000");
    told.wait("the closed window", |told| {
        let tcp = tcp_facts(&told.find(&world.left, local)?.1.connection);
        let held_up = tcp.rwnd_limited_us.is_some_and(|time| time > 0);
        (tcp.unsent_bytes > 0 && held_up && tcp.unacknowledged_bytes == 0).then_some(())
    });
    // A new client is told everything, whether it has changed or not.
    let mut fresh = tracer.client("b");
    let before = socket_words(&world.left, local, port);
    fresh.poll();
    let after = socket_words(&world.left, local, port);
    let tcp = tcp_facts(&fresh.find(&world.left, local).expect("it lives").1.connection);
    let number = |words: &str, name: &str| -> f64 {
        let prefix = format!("{name}:");
        let word = words.split_whitespace().find_map(|word| word.strip_prefix(&prefix)).unwrap_or("0");
        let digits = word.split(['/', '(', 'm']).next().unwrap_or_default();
        digits.parse().unwrap_or_else(|_| panic!("{name} of {words}"))
    };
    let between = |name: &str, value: f64, slack: f64| {
        let (low, high) = (number(&before, name) - slack, number(&after, name) + slack);
        assert!((low..=high).contains(&value), "{name}: {value} is not in {low}..{high}");
    };
    let milliseconds = |us: Option<u64>| us.expect("the length of a jiffy is known") as f64 / 1000.0;
    between("cwnd", f64::from(tcp.cwnd_packets), 0.0);
    between("rtt", f64::from(tcp.srtt_us.expect("sampled")) / 1000.0, 0.001);
    between("minrtt", f64::from(tcp.min_rtt_us.expect("sampled")) / 1000.0, 0.001);
    between("notsent", f64::from(tcp.unsent_bytes), 0.0);
    between("busy", milliseconds(tcp.busy_us), 1.0);
    between("rwnd_limited", milliseconds(tcp.rwnd_limited_us), 1.0);
    server.ask("receive s 9000000");
    client.answer("send c 9000000");
}
