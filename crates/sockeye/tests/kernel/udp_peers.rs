//! UDP sockets with many peers, many sockets with one, and what becomes of both: closed, idle, beyond every bound.

use std::time::Duration;

use collect::{Capability, CollectLimits};
use connections::{Counters, Protocol};

use crate::harness::{Client, Outcome, address, scaled};
use crate::peer::Peer;
use crate::scene::filter_arriving;
use crate::udp_scene::{DatagramScene, Told, exchange, kernel_datagrams};
use crate::world::{LEFT_V4, NetNs, RIGHT_V4};
use crate::{Needing, Test, needs};

pub const TESTS: &[Test] = &[
    ("a_thousand_peers_of_one_socket_are_each_exact", thousand_peers),
    ("all_peers_of_a_socket_end_when_it_is_closed", peers_end_with_their_socket),
    ("ten_thousand_sockets_with_one_exchange_each_between_two_polls_are_all_counted", burst_between_polls),
    ("beyond_tiny_bounds_the_sums_of_all_peers_are_exact", beyond_tiny_bounds),
    ("a_full_ring_loses_no_closed_datagram_connection", full_ring),
];

pub const NEEDING: &[Needing] = &[
    ("an_idle_connection_ends_and_another_begins_with_the_next_datagram", needs::packet_filter, idle_ends),
    ("an_answered_connection_stays_longer_than_one_that_was_not", needs::packet_filter, assured_stays_longer),
];

/// So many sockets of the client send, one after the other, and the server answers each.
fn crowd_and_echo(client: &mut Peer, server: &mut Peer, port: u16, bytes: u64, count: u64) {
    let echo = format!("udp-echo s {count}");
    server.tell(&echo);
    client.ask(&format!("udp-crowd-ask {LEFT_V4} {RIGHT_V4}:{port} {bytes} {count}"));
    assert_eq!(server.answer(&echo), (bytes * count).to_string());
}

fn thousand_peers() -> Outcome {
    const PEERS: u64 = 1000;
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    let port = scene.port;
    crowd_and_echo(&mut scene.client, &mut scene.server, port, 33, PEERS);
    let of_server = Told::wait_all(&mut told, &scene.world.right, port, PEERS);
    assert_eq!(of_server.len() as u64, PEERS, "each once");
    for end in &of_server {
        let Counters { sent_bytes, received_bytes, sent_packets, received_packets, .. } = end.sum;
        assert_eq!((sent_bytes, received_bytes, sent_packets, received_packets), (33, 33, 1, 1), "{end:?}");
        assert_eq!(end.connection.owner.map(|owner| owner.pid), Some(scene.server.pid()));
    }
    let kernel = kernel_datagrams(&scene.world.right);
    assert_eq!((kernel.sent, kernel.received, kernel.refused), (PEERS, PEERS, 0));
    scene.client.ask("udp-crowd-end");
    let ended = |told: &Client<'_>| {
        let all = of_space(told, &scene.world.left);
        (all.iter().filter(|told| told.connection.closed_at.is_some()).count() as u64 == PEERS).then_some(all)
    };
    let of_clients = told.wait("the closes of the clients", ended);
    assert_eq!(sums(&of_clients).received_bytes, 33 * PEERS);
}

fn peers_end_with_their_socket() -> Outcome {
    const PEERS: u64 = 50;
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    let port = scene.port;
    scene.client.ask(&format!("udp-crowd {LEFT_V4} {RIGHT_V4}:{port} 5 {PEERS}"));
    scene.server.ask(&format!("udp-receive s {PEERS}"));
    Told::wait_all(&mut told, &scene.world.right, port, PEERS);
    scene.server.ask("udp-close s");
    let all = told.wait("the closes", |told| {
        let all = Told::all(told, &scene.world.right, port);
        all.iter().all(|told| told.connection.closed_at.is_some()).then_some(all)
    });
    assert_eq!((all.len() as u64, sums(&all).received_bytes), (PEERS, 5 * PEERS));
    let closed_at = all[0].connection.closed_at;
    let at_once = all.iter().all(|told| told.connection.closed_at == closed_at);
    // Without slots of sockets each has an end of its own.
    assert!(at_once || !scene.tracer.serves(Capability::UdpAdopted), "they ended in one moment");
    assert!(told.closes.values().all(|closes| *closes <= 1));
    // Without slots of sockets those of the clients, which live, are beside the table too. A pass counts before it tells.
    let live = if scene.tracer.serves(Capability::UdpAdopted) { 0 } else { PEERS };
    told.wait("their places", |_| (scene.tracer.counter("kernel_udp_peers_now") == live).then_some(()));
    assert_eq!(scene.tracer.counter("connections_close_not_seen"), 0);
}

fn burst_between_polls() -> Outcome {
    let count = scaled(10_000);
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    told.poll();
    let port = scene.port;
    let echo = format!("udp-echo s {count}");
    scene.server.tell(&echo);
    let answered = scene.client.ask(&format!("udp-burst {RIGHT_V4}:{port} 40 {count}"));
    assert_eq!(answered, (40 * count).to_string());
    scene.server.answer(&echo);
    let closed = |told: &Client<'_>| {
        let all = of_space(told, &scene.world.left);
        (all.iter().filter(|told| told.connection.closed_at.is_some()).count() as u64 >= count).then_some(all)
    };
    let near = told.wait("the closes", closed);
    assert_eq!(near.len() as u64, count, "each once");
    let one = |end: &Told| {
        let Counters { sent_bytes, received_bytes, sent_packets, received_packets, .. } = end.sum;
        (sent_bytes, received_bytes, sent_packets, received_packets) == (40, 40, 1, 1)
    };
    assert!(near.iter().all(one));
    let far = sums(&of_space(&told, &scene.world.right));
    assert_eq!((far.received_packets, far.sent_packets), (count, count));
    assert!(told.closes.values().all(|closes| *closes <= 1));
}

fn beyond_tiny_bounds() -> Outcome {
    const PEERS: u64 = 300;
    let limits = CollectLimits { tcp_slots: 4096, udp_slots: 8, udp_peers: 16, ..CollectLimits::default() };
    let mut scene = DatagramScene::bound_with("0.0.0.0", limits);
    let mut told = scene.tracer.client("a");
    let mut rolled_up = RolledUp::default();
    for _ in 0..3 {
        crowd_and_echo(&mut scene.client, &mut scene.server, scene.port, 21, PEERS);
        rolled_up.poll(&mut told, &[&scene.world.left, &scene.world.right]);
    }
    assert!(scene.tracer.counter("kernel_udp_rolled_up") > 0, "all found room, which proves nothing");
    assert!(scene.tracer.counter("kernel_udp_peers_now") <= 16);
    let (near, far) = (of_space(&told, &scene.world.left), of_space(&told, &scene.world.right));
    let all = sums(&near).plus(sums(&far)).plus(rolled_up.sum);
    let datagrams = 2 * 3 * PEERS;
    // Each was sent once and arrived once, and so did its answer.
    assert_eq!((all.sent_packets, all.received_packets), (datagrams, datagrams), "{rolled_up:?}");
    assert_eq!((all.sent_bytes, all.received_bytes), (21 * datagrams, 21 * datagrams));
    assert!(told.clean_answer().coverage.complete(), "what is rolled up is not lost");
}

/// The connection tracking of this namespace, which is the tracer's, forgets soon; as before when dropped.
struct ShortTimeouts([(&'static str, String); 2]);

impl ShortTimeouts {
    fn set(idle_s: u32, assured_s: u32) -> Self {
        let names = ["nf_conntrack_udp_timeout", "nf_conntrack_udp_timeout_stream"];
        // Connection tracking may be a module, which a rule that needs it loads.
        filter_arriving(&NetNs::new(), "ct state new accept");
        let before =
            names.map(|name| (name, std::fs::read_to_string(path(name)).expect("tracking is there")));
        for (name, seconds) in names.into_iter().zip([idle_s, assured_s]) {
            std::fs::write(path(name), seconds.to_string()).expect("root may");
        }
        Self(before)
    }
}

impl Drop for ShortTimeouts {
    fn drop(&mut self) {
        for (name, before) in &self.0 {
            let _ = std::fs::write(path(name), before);
        }
    }
}

fn path(name: &str) -> String {
    format!("/proc/sys/net/netfilter/{name}")
}

fn idle_ends() -> Outcome {
    let _timeouts = ShortTimeouts::set(1, 1);
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    let port = scene.port;
    let ports = (exchange(&mut scene.client, &mut scene.server, address(RIGHT_V4, port), 10, 2), port);
    // One in the slot of its socket, and one beside the table.
    let target = address(RIGHT_V4, port);
    let other: u16 = scene.client.ask("udp-open d v4").parse().map(|_: u16| 0).expect("a port");
    assert_eq!(other, 0);
    let other: u16 = scene.client.ask(&format!("udp-send d {target} 7 1")).parse().expect("a port");
    scene.server.ask("udp-echo s 1");
    let ended = |told: &mut Client<'_>, remote| Told::wait_closed(told, &scene.world.right, (port, remote));
    let first = ended(&mut told, ports.0);
    let second = ended(&mut told, other);
    for (end, bytes) in [(&first, 20), (&second, 7)] {
        assert_eq!((end.sum.sent_bytes, end.sum.received_bytes), (bytes, bytes));
        let lasted = end.connection.closed_at.zip(end.connection.opened_at).expect("both are known");
        let lasted = Duration::from_nanos(lasted.0.nanoseconds_since(lasted.1));
        assert!((900..5000).contains(&lasted.as_millis()), "{lasted:?}");
    }
    scene.client.ask(&format!("udp-send c {target} 3 1"));
    scene.server.ask("udp-receive s 1");
    let again = Told::wait(&mut told, &scene.world.right, (port, ports.0), |end| end.sum.received_bytes == 3);
    assert_ne!(again.connection.id, first.connection.id);
    assert!(told.closes.values().all(|closes| *closes <= 1));
}

fn assured_stays_longer() -> Outcome {
    let _timeouts = ShortTimeouts::set(1, 60);
    let mut scene = DatagramScene::bound("0.0.0.0");
    let mut told = scene.tracer.client("a");
    let (port, target) = (scene.port, address(RIGHT_V4, scene.port));
    let assured = exchange(&mut scene.client, &mut scene.server, target, 10, 1);
    scene.client.ask(&format!("udp-send c {target} 10 1"));
    scene.server.ask("udp-receive s 1");
    scene.client.ask("udp-open d v4");
    let other: u16 = scene.client.ask(&format!("udp-send d {target} 7 1")).parse().expect("a port");
    Told::wait_closed(&mut told, &scene.world.right, (port, other));
    let stays = Told::wait(&mut told, &scene.world.right, (port, assured), |_| true);
    assert_eq!(stays.connection.closed_at, None);
    assert!(stays.connection.facts.udp().expect("it is of UDP").assured);
}

fn full_ring() -> Outcome {
    let count = scaled(1_000);
    let limits =
        CollectLimits { tcp_slots: 4096, ring_bytes: 4096, overflow_records: 4, ..CollectLimits::default() };
    let mut scene = DatagramScene::bound_with("0.0.0.0", limits);
    let mut told = scene.tracer.client("a");
    crowd_and_echo(&mut scene.client, &mut scene.server, scene.port, 40, count);
    // All at once: the ring holds 15.
    scene.client.ask("udp-crowd-end");
    let near = told.wait("the closes", |told| {
        let all = of_space(told, &scene.world.left);
        (all.iter().filter(|told| told.connection.closed_at.is_some()).count() as u64 >= count).then_some(all)
    });
    assert_eq!((near.len() as u64, sums(&near).sent_bytes), (count, 40 * count));
    assert!(scene.tracer.counter("kernel_udp_left") > 0, "the ring was never full, which proves nothing");
    assert!(told.closes.values().all(|closes| *closes <= 1));
}

/// Everything that was told of UDP in this namespace.
fn of_space(client: &Client<'_>, namespace: &NetNs) -> Vec<Told> {
    let netns = namespace.inode();
    let all = client.told.values();
    let here = all.filter(|(_, change)| {
        let tuple = change.connection.tuple;
        tuple.protocol == Protocol::Udp && tuple.netns == netns
    });
    here.map(|(sum, change)| Told { sum: *sum, connection: change.connection }).collect()
}

fn sums(all: &[Told]) -> Counters {
    all.iter().fold(Counters::default(), |sum, told| sum.plus(told.sum))
}

/// What was told in roll-ups of UDP, of these namespaces or of the rest.
#[derive(Debug, Default)]
struct RolledUp {
    sum: Counters,
}

impl RolledUp {
    fn poll(&mut self, client: &mut Client<'_>, namespaces: &[&NetNs]) {
        let netns: Vec<u32> = namespaces.iter().map(|namespace| namespace.inode()).collect();
        for (_, rollup) in client.poll().roll_ups.iter() {
            let here = rollup.key.common.is_none_or(|common| netns.contains(&common.netns));
            if rollup.key.protocol == Protocol::Udp && here {
                self.sum = self.sum.plus(rollup.total);
            }
        }
    }
}
