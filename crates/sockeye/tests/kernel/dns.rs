//! Messages of name servers over UDP: copied byte for byte at every socket that they pass, and nothing else.

use std::net::{IpAddr, SocketAddr, UdpSocket};

use collect::{Capability, CollectLimits};
use connections::{Payload, Protocol};

use crate::dns_tap::Tap;
use crate::harness::{Outcome, address};
use crate::peer::Peer;
use crate::world::{LEFT_V4, NetNs, RIGHT_V4, RIGHT_V6, VethPair, run};
use crate::{Needing, Test, needs};

pub const TESTS: &[Test] = &[
    ("a_question_and_its_answer_are_copied_at_both_ends_over_ipv4", || copied("0.0.0.0", RIGHT_V4, false)),
    ("a_question_and_its_answer_are_copied_at_both_ends_over_ipv6", || copied("::", RIGHT_V6, false)),
    ("a_name_server_bound_to_all_of_ipv6_is_told_with_ipv4", || copied("::", RIGHT_V4, false)),
    ("questions_of_a_connected_socket_are_copied_too", || copied("0.0.0.0", RIGHT_V4, true)),
    ("of_a_message_of_any_size_at_most_1232_bytes_are_copied", sizes),
    ("of_a_batch_the_first_message_is_copied", batch),
    ("messages_of_other_ports_are_not_copied", other_ports),
    ("a_question_names_the_process_that_sent_it", sender),
    ("messages_that_find_the_ring_full_are_counted", full_ring),
    ("a_message_of_a_peer_without_room_is_of_no_connection", without_room),
    ("messages_come_before_the_close_of_their_connection", before_close),
    ("without_dns_nothing_is_copied", || switched_off(CollectLimits { follow_dns: false, ..Tap::small() })),
    ("without_udp_nothing_is_copied", || switched_off(CollectLimits { follow_udp: false, ..Tap::small() })),
    ("without_ports_nothing_is_copied", || switched_off(CollectLimits { dns_ports: [0; 8], ..Tap::small() })),
];

pub const NEEDING: &[Needing] =
    &[("a_translated_question_has_the_ends_that_its_process_had_written", needs::packet_filter, translated)];

const DNS: u16 = 53;

/// A message of so many bytes that is like no other.
pub fn message(mark: u8, bytes: usize) -> Vec<u8> {
    (0..bytes).map(|place| u8::try_from(place * 7 % 251).expect("below 251").wrapping_add(mark)).collect()
}

fn socket(namespace: &NetNs, address: &str, port: u16) -> UdpSocket {
    let ip: IpAddr = address.parse().expect("an address");
    namespace.inside(|| UdpSocket::bind((ip, port))).expect("the port is free")
}

/// For questions to this address.
fn client(world: &VethPair, server: SocketAddr) -> UdpSocket {
    socket(&world.left, if server.is_ipv6() { "::" } else { "0.0.0.0" }, 0)
}

/// Sends one and takes it at the other socket.
fn pass(from: &UdpSocket, to: &UdpSocket, target: SocketAddr, message: &[u8]) -> SocketAddr {
    from.send_to(message, target).expect("it can be sent");
    let mut buffer = vec![0; 65_536];
    let (bytes, sender) = to.recv_from(&mut buffer).expect("it comes");
    assert_eq!(&buffer[..bytes], message);
    sender
}

fn copied(everywhere: &str, right: &str, connect: bool) -> Outcome {
    let world = VethPair::new();
    let tap = Tap::with(Tap::small());
    assert!(tap.state(Capability::Dns).served_by.is_some(), "{:?}", tap.state(Capability::Dns));
    let target = address(right, DNS);
    let (server, client) = (socket(&world.right, everywhere, DNS), client(&world, target));
    let (question, answer) = (message(1, 40), message(2, 300));
    if connect {
        client.connect(target).expect("UDP connects at once");
    }
    let from = pass(&client, &server, target, &question);
    pass(&server, &client, from, &answer);
    let local_port = client.local_addr().expect("it is bound").port();
    for (namespace, asks) in [(&world.left, true), (&world.right, false)] {
        let all = tap.of(namespace);
        let bytes: Vec<_> = all.iter().map(|payload| (payload.bytes.as_slice(), payload.sent)).collect();
        assert_eq!(bytes, [(question.as_slice(), asks), (answer.as_slice(), !asks)]);
        for payload in &all {
            let tuple = payload.tuple;
            assert_eq!((tuple.protocol, payload.tcp_sequence), (Protocol::Udp, None));
            let (near, far) = if asks { (tuple.local, tuple.remote) } else { (tuple.remote, tuple.local) };
            assert_eq!(near.port(), local_port);
            assert_eq!((near.is_ipv4(), far), (target.is_ipv4(), target));
            let id = payload.connection.expect("there was room");
            assert_eq!(tap.heard().connections.get(&id), Some(&tuple), "the id is that of the events");
            assert_eq!(payload.sender_pid, if payload.sent { std::process::id() } else { 0 });
            assert_eq!(usize::try_from(payload.whole_bytes), Ok(payload.bytes.len()));
        }
    }
    let [asked, answered] = [&world.left, &world.right].map(|namespace| tap.of(namespace)[0].at);
    assert!(asked < answered, "the question is sent before it comes");
    let counts = tap.counts();
    assert_eq!((counts.malformed, counts.payloads_lost), (0, 0));
}

fn sizes() -> Outcome {
    const SIZES: [usize; 14] = [0, 1, 127, 128, 129, 511, 512, 513, 1231, 1232, 1233, 1472, 1473, 20_000];
    let world = VethPair::new();
    let tap = Tap::with(Tap::small());
    let target = address(RIGHT_V4, DNS);
    let (server, client) = (socket(&world.right, "0.0.0.0", DNS), client(&world, target));
    for bytes in SIZES {
        pass(&client, &server, target, &message(3, bytes));
    }
    for namespace in [&world.left, &world.right] {
        let all = tap.of(namespace);
        let copied: Vec<_> = all.iter().map(|payload| payload.bytes.clone()).collect();
        let expected: Vec<_> =
            SIZES.iter().filter(|bytes| **bytes > 0).map(|bytes| message(3, 1232.min(*bytes))).collect();
        assert!(copied == expected, "{:?}", copied.iter().map(Vec::len).collect::<Vec<_>>());
        let whole: Vec<_> = all.iter().map(|payload| usize::try_from(payload.whole_bytes)).collect();
        assert_eq!(whole, SIZES[1..].iter().map(|bytes| Ok(*bytes)).collect::<Vec<_>>());
    }
}

fn batch() -> Outcome {
    let world = VethPair::new();
    let tap = Tap::with(Tap::small());
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    server.ask(&format!("udp-bind s 0.0.0.0:{DNS}"));
    client.ask("udp-open c v4");
    client.ask("udp-set c segment=100");
    client.ask(&format!("udp-send c {RIGHT_V4}:{DNS} 250 1"));
    server.ask("udp-receive s 3");
    let lengths = |namespace| -> Vec<_> {
        tap.of(namespace).iter().map(|payload| (payload.bytes.len(), payload.whole_bytes)).collect()
    };
    let (sent, came) = (lengths(&world.left), lengths(&world.right));
    if by_packets(&tap) {
        assert_eq!(sent, [(100, 100)]);
        assert_eq!(came.first(), Some(&(100, 100)));
    } else {
        // The kernel keeps a batch in pages, which a program at a function cannot read.
        let known = sent.len() as u64 + came.len() as u64;
        assert!(known + tap.counts().payloads_lost >= 2, "{sent:?} {came:?}");
    }
}

fn by_packets(tap: &Tap) -> bool {
    tap.state(Capability::Dns).served_by.is_some_and(|hook| hook.starts_with("cgroup_skb"))
}

fn other_ports() -> Outcome {
    let world = VethPair::new();
    let ports = [0, 5300, 0, 1053, 0, 0, 0, 65_535];
    let tap = Tap::with(CollectLimits { dns_ports: ports, ..Tap::small() });
    for port in [53, 1053, 1054, 5300, 5301, 65_535] {
        let target = address(RIGHT_V4, port);
        pass(&client(&world, target), &socket(&world.right, "0.0.0.0", port), target, b"a message");
    }
    let ports = |namespace, port_of: fn(&Payload) -> u16| -> Vec<_> {
        tap.of(namespace).iter().map(port_of).collect()
    };
    assert_eq!(ports(&world.left, |payload| payload.tuple.remote.port()), [1053, 5300, 65_535]);
    assert_eq!(ports(&world.right, |payload| payload.tuple.local.port()), [1053, 5300, 65_535]);
}

fn sender() -> Outcome {
    let world = VethPair::new();
    let tap = Tap::with(Tap::small());
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    server.ask(&format!("udp-bind s 0.0.0.0:{DNS}"));
    client.ask("udp-open c v4");
    client.ask(&format!("udp-send c {RIGHT_V4}:{DNS} 40 1"));
    let forked = client.ask(&format!("udp-fork c {RIGHT_V4}:{DNS} 41 1"));
    server.ask("udp-echo s 2");
    client.ask("udp-receive c 2");
    let pids = |namespace| -> Vec<_> {
        tap.of(namespace).iter().map(|payload| (payload.sent, payload.sender_pid)).collect()
    };
    let forked = forked.parse().expect("a number");
    assert_eq!(pids(&world.left), [(true, client.pid()), (true, forked), (false, 0), (false, 0)]);
    let mut at_server = pids(&world.right);
    at_server.sort_unstable();
    assert_eq!(at_server, [(false, 0), (false, 0), (true, server.pid()), (true, server.pid())]);
}

fn full_ring() -> Outcome {
    const MESSAGES: usize = 300;
    // Less than a page: a page, which has room for 18.
    let world = VethPair::new();
    let tap = Tap::with(CollectLimits { payload_ring_bytes: 1, ..Tap::small() });
    let target = address(RIGHT_V4, DNS);
    let (server, client) = (socket(&world.right, "0.0.0.0", DNS), client(&world, target));
    let held = tap.heard();
    for _ in 0..MESSAGES {
        pass(&client, &server, target, &message(4, 100));
    }
    drop(held);
    let told = tap.of(&world.left).len() + tap.of(&world.right).len();
    let lost = usize::try_from(tap.counts().payloads_lost).expect("a few");
    assert!((18..=4 * 18).contains(&told), "{told} were told");
    assert!(lost >= 2 * MESSAGES - told, "{lost} were counted as lost");
    assert_eq!(tap.counts().malformed, 0);
    pass(&client, &server, target, &message(5, 100));
    assert_eq!(tap.of(&world.left).last().map(|last| last.bytes.clone()), Some(message(5, 100)));
    // What the datagrams are counted by has nothing to do with it.
    let datagrams =
        tap.heard().connections.values().filter(|tuple| tuple.netns == world.left.inode()).count();
    assert_eq!(datagrams, 1);
}

fn without_room() -> Outcome {
    const CLIENTS: usize = 40;
    let world = VethPair::new();
    let tap = Tap::with(CollectLimits { udp_peers: 4, ..Tap::small() });
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    server.ask(&format!("udp-bind s 0.0.0.0:{DNS}"));
    client.ask(&format!("udp-crowd {LEFT_V4} {RIGHT_V4}:{DNS} 30 {CLIENTS}"));
    server.ask(&format!("udp-receive s {CLIENTS}"));
    let all = tap.of(&world.right);
    assert_eq!(all.len(), CLIENTS);
    let (named, nameless): (Vec<_>, Vec<_>) = all.iter().partition(|payload| payload.connection.is_some());
    assert!((1..=5).contains(&named.len()), "{}", named.len());
    let heard = tap.heard();
    for payload in named {
        let id = payload.connection.expect("these have one");
        assert_eq!(heard.connections.get(&id), Some(&payload.tuple));
    }
    assert!(nameless.iter().all(|payload| payload.tuple.local.port() == DNS));
}

fn before_close() -> Outcome {
    let world = VethPair::new();
    let tap = Tap::with(Tap::small());
    let target = address(RIGHT_V4, DNS);
    let server = socket(&world.right, "0.0.0.0", DNS);
    for _ in 0..200 {
        let client = client(&world, target);
        let from = pass(&client, &server, target, &message(6, 30));
        pass(&server, &client, from, &message(7, 200));
    }
    assert_eq!(tap.of(&world.left).len(), 400);
    assert_eq!(tap.heard().late, 0);
}

fn translated() -> Outcome {
    const ELSEWHERE: &str = "10.77.0.1";
    const BEHIND: u16 = 5300;
    let world = VethPair::new();
    let tap = Tap::with(Tap::small());
    let rules = format!(
        "add table ip test; \
         add chain ip test leaving {{ type nat hook output priority -100; }}; \
         add rule ip test leaving ip daddr {ELSEWHERE} udp dport 53 dnat to {RIGHT_V4}:{BEHIND}"
    );
    world.left.inside(|| run("nft", &[&rules]));
    world.left.ip(&["route", "add", "default", "via", RIGHT_V4]);
    let target = address(ELSEWHERE, DNS);
    let (server, client) = (socket(&world.right, "0.0.0.0", BEHIND), client(&world, target));
    let from = pass(&client, &server, target, &message(8, 40));
    pass(&server, &client, from, &message(9, 50));
    let ends: Vec<_> =
        tap.of(&world.left).iter().map(|payload| (payload.tuple.local, payload.tuple.remote)).collect();
    assert_eq!(ends, [(from, target), (from, target)]);
    assert!(tap.of(&world.right).is_empty(), "there the port is no name server's");
}

fn switched_off(limits: CollectLimits) -> Outcome {
    let world = VethPair::new();
    let tap = Tap::with(limits);
    let target = address(RIGHT_V4, DNS);
    pass(&client(&world, target), &socket(&world.right, "0.0.0.0", DNS), target, b"a message");
    assert!(tap.of(&world.left).is_empty() && tap.of(&world.right).is_empty());
    assert_eq!(tap.state(Capability::Dns).served_by, None);
    assert_eq!(tap.state(Capability::Dns).degradation, None);
    assert_eq!(tap.counts().payloads, 0);
}
