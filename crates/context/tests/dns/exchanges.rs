//! Queries, their answers, and who asks.

use connections::{ConnectionId, KernelTime, Lookup, LookupOutcome, Payload, Protocol};
use context::DnsLimits;
use hickory_proto::rr::RecordType;

use crate::fixtures::{Socket, World, address, answer, at, query, wire};

fn outcomes(ended: Vec<Lookup>) -> Vec<LookupOutcome> {
    ended.into_iter().map(|lookup| lookup.outcome).collect()
}

fn ask(socket: Socket, id: u16, milliseconds: u64) -> Payload {
    socket.sends(wire(&query(id, "a.test", RecordType::A)), milliseconds)
}

fn reply(socket: Socket, id: u16, milliseconds: u64) -> Payload {
    socket.gets(wire(&answer(id, "a.test", vec![address("a.test", "192.0.2.1", 300)])), milliseconds)
}

const ANSWERED_AFTER_30_MS: LookupOutcome = LookupOutcome::Answered { rcode: 0, latency_ns: 30_000_000 };

#[test]
fn an_answer_belongs_to_its_query_and_to_who_asked() {
    let mut world = World::new();
    let socket = Socket::udp();
    let connection = Some(ConnectionId { cookie: 5, claimed_at: KernelTime(6) });
    world.take(&Payload { connection, ..ask(socket, 1, 10) });
    assert_eq!(world.ended(), []);
    world.take(&reply(socket, 1, 40));
    let expected = Lookup {
        connection,
        tuple: socket.tuple,
        pid: 7,
        domain: "a.test".into(),
        query_type: 1,
        outcome: ANSWERED_AFTER_30_MS,
    };
    assert_eq!(world.ended(), [expected]);
    assert_eq!(world.names_of("192.0.2.1", 0), ["a.test"]);
    let counts = world.dns.counts();
    assert_eq!((counts.messages, counts.queries, counts.answers, counts.pending), (2, 1, 1, 0));
}

#[test]
fn an_answer_without_a_query_says_nothing() {
    let mut world = World::new();
    let socket = Socket::udp();
    world.take(&reply(socket, 1, 40));
    // The same question from elsewhere, with another number, in another namespace, for something else.
    world.take(&ask(Socket::asking(Protocol::Udp, 40_001, 7), 1, 41));
    world.take(&ask(socket, 2, 41));
    let mut elsewhere = socket;
    elsewhere.tuple.netns = 2;
    world.take(&ask(elsewhere, 1, 41));
    world.take(&socket.sends(wire(&query(1, "a.test", RecordType::AAAA)), 41));
    world.take(&socket.sends(wire(&query(1, "b.test", RecordType::A)), 41));
    world.take(&reply(socket, 1, 42));
    assert_eq!(world.ended(), []);
    assert_eq!(world.dns.counts().unmatched, 2);
    assert!(world.names_of("192.0.2.1", 0).is_empty());
}

#[test]
fn a_second_answer_says_nothing() {
    let mut world = World::new();
    let socket = Socket::udp();
    world.take(&ask(socket, 1, 10));
    world.take(&reply(socket, 1, 40));
    world.take(&reply(socket, 1, 41));
    assert_eq!(world.ended().len(), 1);
    assert_eq!(world.dns.counts().unmatched, 1);
}

#[test]
fn case_makes_no_difference() {
    let mut world = World::new();
    let socket = Socket::udp();
    world.take(&socket.sends(wire(&query(1, "A.tESt.", RecordType::A)), 10));
    world.take(&reply(socket, 1, 40));
    assert_eq!(world.ended()[0].domain.as_ref(), "a.test");
}

#[test]
fn a_repeated_query_keeps_the_first_time() {
    let mut world = World::new();
    let socket = Socket::udp();
    world.take(&ask(Socket { pid: 0, ..socket }, 1, 10));
    world.take(&ask(socket, 1, 30));
    world.take(&reply(socket, 1, 40));
    let ended = world.ended();
    assert_eq!((ended[0].outcome, ended[0].pid), (ANSWERED_AFTER_30_MS, 7));
    let counts = world.dns.counts();
    assert_eq!((counts.queries, counts.repeated), (1, 1));
}

#[test]
fn a_query_without_an_answer_times_out_once() {
    let mut world = World::new();
    let socket = Socket::udp();
    world.take(&ask(socket, 1, 10));
    world.dns.expire(at(15_010), &mut world.ended);
    assert_eq!(world.ended(), []);
    world.dns.expire(at(15_011), &mut world.ended);
    world.dns.expire(at(40_000), &mut world.ended);
    assert_eq!(outcomes(world.ended()), [LookupOutcome::TimedOut]);
    assert_eq!((world.dns.counts().timed_out, world.dns.counts().pending), (1, 0));
}

#[test]
fn a_query_times_out_also_when_only_other_packets_pass() {
    let mut world = World::new();
    world.take(&ask(Socket::udp(), 1, 10));
    world.take(&ask(Socket::asking(Protocol::Udp, 40_001, 7), 1, 15_011));
    assert_eq!(outcomes(world.ended()), [LookupOutcome::TimedOut]);
}

#[test]
fn an_answer_after_the_time_out_counts_as_a_time_out_once() {
    let mut world = World::new();
    let socket = Socket::udp();
    world.take(&ask(socket, 1, 10));
    world.take(&reply(socket, 1, 15_011));
    assert_eq!(outcomes(world.ended()), [LookupOutcome::TimedOut]);
    // The same where the query stands behind one that passed later.
    world.take(&ask(Socket::asking(Protocol::Udp, 40_001, 7), 1, 30_000));
    world.take(&ask(socket, 1, 20_000));
    world.take(&reply(socket, 1, 35_001));
    assert_eq!(outcomes(world.ended()), [LookupOutcome::TimedOut]);
    assert!(world.names_of("192.0.2.1", 0).is_empty());
    assert_eq!(world.dns.counts().timed_out, 2);
}

#[test]
fn the_oldest_query_makes_room_and_is_no_time_out() {
    let mut world = World::with(&DnsLimits { pending: 2, ..DnsLimits::default() });
    let socket = Socket::udp();
    for id in 1..=3 {
        world.take(&ask(socket, id, 10));
    }
    for id in 1..=3 {
        world.take(&reply(socket, id, 40));
    }
    assert_eq!(outcomes(world.ended()), [ANSWERED_AFTER_30_MS, ANSWERED_AFTER_30_MS]);
    let counts = world.dns.counts();
    assert_eq!((counts.pending_full, counts.unmatched, counts.timed_out), (1, 1, 0));
}

#[test]
fn an_exchange_with_a_server_on_this_host_counts_once() {
    let mut world = World::new();
    let socket = Socket::udp();
    let server = socket.other_end();
    let (asked, replied) = (ask(socket, 1, 10), reply(socket, 1, 40));
    world.take(&asked);
    world.take(&server.gets(asked.bytes, 10));
    world.take(&server.sends(replied.bytes.clone(), 40));
    world.take(&replied);
    assert_eq!(world.ended().iter().map(|lookup| lookup.pid).collect::<Vec<_>>(), [7]);
    assert_eq!(world.dns.counts().served, 2);
}

#[test]
fn between_two_servers_the_one_that_sends_the_query_asks() {
    let mut world = World::new();
    let socket = Socket::asking(Protocol::Udp, 53, 7);
    let server = socket.other_end();
    let (asked, replied) = (ask(socket, 1, 10), reply(socket, 1, 40));
    world.take(&asked);
    world.take(&server.gets(asked.bytes, 10));
    world.take(&server.sends(replied.bytes.clone(), 40));
    world.take(&replied);
    assert_eq!(world.ended().iter().map(|lookup| lookup.tuple).collect::<Vec<_>>(), [socket.tuple]);
    assert_eq!((world.dns.counts().served, world.dns.counts().queries), (2, 1));
}

#[test]
fn the_address_of_a_socket_may_be_chosen_after_its_query() {
    let mut world = World::new();
    let socket = Socket::udp();
    let mut open = socket;
    open.tuple.local.set_ip([0, 0, 0, 0].into());
    world.take(&ask(open, 1, 10));
    world.take(&reply(socket, 1, 40));
    assert_eq!(world.ended()[0].tuple, socket.tuple);
}

#[test]
fn only_ports_of_name_servers_are_looked_at() {
    let limits = DnsLimits { ports: vec![5353, 8053], ..DnsLimits::default() };
    let mut world = World::with(&limits);
    let mut socket = Socket::udp();
    world.take(&ask(socket, 1, 10));
    assert_eq!(world.dns.counts().queries, 0);
    socket.tuple.remote.set_port(8053);
    world.take(&ask(socket, 1, 10));
    assert_eq!(world.dns.counts().queries, 1);
}
