//! DNS over TCP: messages out of segments.

use connections::{ConnectionId, KernelTime, LookupOutcome, Payload, Protocol};
use context::DnsLimits;
use hickory_proto::rr::RecordType;

use crate::fixtures::{Socket, World, address, answer, at, query, wire};

/// Shortly before the numbers of a connection begin again.
const FIRST: u32 = u32::MAX - 20;

fn tcp() -> Socket {
    Socket::asking(Protocol::Tcp, 40_000, 7)
}

fn framed(message: &[u8]) -> Vec<u8> {
    let length = u16::try_from(message.len()).expect("it fits");
    [&length.to_be_bytes()[..], message].concat()
}

fn segment(sequence: u32, payload: Payload) -> Payload {
    Payload { tcp_sequence: Some(sequence), ..payload }
}

/// Queries for `0.test` and so on, and the bytes of their answers.
fn asked(world: &mut World, count: u16) -> Vec<u8> {
    let names: Vec<_> = (0..count).map(|number| format!("{number}.test")).collect();
    let queries = names.iter().zip(1..).map(|(name, id)| framed(&wire(&query(id, name, RecordType::A))));
    world.take(&segment(FIRST, tcp().sends(queries.collect::<Vec<_>>().concat(), 10)));
    assert_eq!(world.dns.counts().queries, u64::from(count));
    let to = |number| format!("192.0.2.{number}");
    let answers = names.iter().zip(1..).map(|(name, id)| {
        let records = vec![address(name, &to(id), 300), address(name, "198.51.100.1", 300)];
        framed(&wire(&answer(id, name, records)))
    });
    answers.collect::<Vec<_>>().concat()
}

/// What the connection receives: the bytes from `from` to `to` of all.
fn received(all: &[u8], from: usize, to: usize) -> Payload {
    let sequence = FIRST.wrapping_add(u32::try_from(from).expect("few"));
    segment(sequence, tcp().gets(all[from..to].to_vec(), 40))
}

#[test]
fn messages_may_begin_and_end_anywhere_in_segments() {
    for size in [1, 2, 3, 7, 50, 500] {
        let mut world = World::new();
        let all = asked(&mut world, 3);
        for from in (0..all.len()).step_by(size) {
            world.take(&received(&all, from, all.len().min(from + size)));
        }
        let ended = world.ended();
        assert_eq!(
            ended.iter().map(|lookup| &*lookup.domain).collect::<Vec<_>>(),
            ["0.test", "1.test", "2.test"]
        );
        assert_eq!((ended[0].pid, world.names_of("192.0.2.3", 7)), (7, vec!["2.test".to_owned()]), "{size}");
    }
}

#[test]
fn segments_may_come_twice_overlap_and_overtake_one_another() {
    let mut world = World::new();
    let all = asked(&mut world, 3);
    let end = all.len();
    for (from, to) in [(0, 10), (0, 10), (5, 20), (40, end), (30, 45), (0, 5), (20, 31)] {
        assert_eq!(world.ended().len(), 0);
        world.take(&received(&all, from, to));
    }
    assert_eq!(world.ended().len(), 3);
    // Once more, and then another message.
    world.take(&received(&all, 20, end));
    assert_eq!((world.ended().len(), world.dns.counts().unmatched), (0, 0));
    let more = framed(&wire(&query(9, "more.test", RecordType::A)));
    world.take(&segment(FIRST.wrapping_add(1_000), tcp().sends(more, 50)));
    assert_eq!(world.dns.counts().tcp_lost, 0);
}

#[test]
fn of_a_message_that_is_cut_that_serves_which_is_there_and_so_do_those_that_follow() {
    let mut world = World::new();
    let all = asked(&mut world, 3);
    let third = all.len() / 3;
    // All but the last bytes of the first message, of which some come with the second.
    let mut first = received(&all, 0, third - 4);
    first.bytes.truncate(third - 10);
    world.take(&first);
    assert_eq!(world.ended().len(), 1);
    assert_eq!(world.dns.counts().cut, 1);
    world.take(&received(&all, third - 4, 2 * third));
    assert_eq!(world.ended().len(), 1);
    assert_eq!(world.names_of("198.51.100.1", 7), ["1.test"]);
    world.take(&received(&all, 2 * third, all.len()));
    assert_eq!(world.names_of("198.51.100.1", 7), ["2.test", "1.test"]);
    assert_eq!(world.dns.counts().tcp_lost, 0);
}

#[test]
fn a_connection_is_given_up_when_it_is_not_known_where_the_next_message_begins() {
    let mut world = World::new();
    let all = asked(&mut world, 2);
    let half = all.len() / 2;
    let mut first = received(&all, 0, half + 10);
    first.bytes.truncate(half - 10);
    world.take(&first);
    assert_eq!(world.dns.counts().tcp_lost, 1);
    // Until its next segment.
    world.take(&received(&all, half, all.len()));
    assert_eq!(world.names_of("192.0.2.2", 7), ["1.test"]);
}

#[test]
fn a_query_whose_answer_may_have_been_missed_is_no_time_out() {
    let mut world = World::new();
    asked(&mut world, 1);
    let nonsense = vec![0xff; 40];
    world.take(&segment(FIRST, tcp().gets(nonsense, 20)));
    assert_eq!(world.dns.counts().tcp_lost, 1);
    // What is asked from then on can be answered.
    let next = framed(&wire(&query(8, "b.test", RecordType::A)));
    let length = framed(&wire(&query(1, "0.test", RecordType::A))).len();
    let sequence = FIRST.wrapping_add(u32::try_from(length).expect("few"));
    world.take(&segment(sequence, tcp().sends(next, 30)));
    world.dns.expire(at(60_000), &mut world.ended);
    let ended = world.ended();
    assert_eq!(ended.iter().map(|lookup| &*lookup.domain).collect::<Vec<_>>(), ["b.test"]);
    assert_eq!((world.dns.counts().unknown, world.dns.counts().timed_out), (1, 1));
}

#[test]
fn a_query_whose_answer_is_still_coming_is_no_time_out() {
    // The beginning of an answer, and one that stands behind a hole.
    for (from, to) in [(0, 20), (20, 40)] {
        let mut world = World::new();
        let all = asked(&mut world, 1);
        world.take(&received(&all, 0, 0));
        world.take(&received(&all, from, to));
        world.dns.expire(at(60_000), &mut world.ended);
        assert_eq!((world.ended().len(), world.dns.counts().unknown), (0, 1));
    }
}

#[test]
fn a_query_over_tcp_times_out_when_nothing_was_missed() {
    let mut world = World::new();
    asked(&mut world, 1);
    world.dns.expire(at(60_000), &mut world.ended);
    assert_eq!(world.ended()[0].outcome, LookupOutcome::TimedOut);
}

/// A connection that has received the beginning of something, and what it receives later.
fn with_beginning() -> (World, Vec<u8>) {
    let mut world = World::new();
    world.take(&received(&framed(&[0; 20]), 0, 5));
    (world, vec![0; 200_000])
}

#[test]
fn behind_a_hole_no_more_waits_than_the_bounds() {
    // Many small segments.
    let (mut world, all) = with_beginning();
    (100..420).step_by(10).for_each(|from| world.take(&received(&all, from, from + 1)));
    assert_eq!(world.dns.counts().tcp_lost, 0);
    world.take(&received(&all, 420, 421));
    assert_eq!(world.dns.counts().tcp_lost, 1);
    // Large ones.
    let (mut world, all) = with_beginning();
    world.take(&received(&all, 100, 60_100));
    assert_eq!(world.dns.counts().tcp_lost, 0);
    world.take(&received(&all, 70_000, 75_533));
    assert_eq!(world.dns.counts().tcp_lost, 1);
    // Large ones, beside the message that is not complete.
    let mut world = World::new();
    let head = [&[0xff, 0xff][..], &all[..30_000]].concat();
    world.take(&received(&head, 0, 10_000));
    world.take(&received(&all, 40_000, 90_000));
    assert_eq!(world.dns.counts().tcp_lost, 0);
    world.take(&received(&head, 10_000, 30_000));
    assert_eq!(world.dns.counts().tcp_lost, 1);
    // For long.
    let (mut world, all) = with_beginning();
    let late = |milliseconds| Payload { at: at(milliseconds), ..received(&all, 100, 101) };
    world.take(&late(1_000));
    world.take(&late(6_000));
    assert_eq!(world.dns.counts().tcp_lost, 0);
    world.take(&late(6_001));
    assert_eq!(world.dns.counts().tcp_lost, 1);
}

#[test]
fn behind_a_hole_that_stays_the_connection_begins_anew() {
    let mut world = World::new();
    let all = asked(&mut world, 2);
    let half = all.len() / 2;
    world.take(&received(&all, 0, 10));
    world.take(&received(&all, half + 1, half + 2));
    world.take(&Payload { at: at(10_000), ..received(&all, half, all.len()) });
    assert_eq!((world.ended().len(), world.dns.counts().tcp_lost), (1, 1));
}

#[test]
fn a_segment_far_away_begins_anew() {
    let mut world = World::new();
    let all = asked(&mut world, 2);
    world.take(&received(&all, 0, 10));
    world.take(&segment(FIRST.wrapping_add(1 << 30), received(&all, 0, all.len())));
    assert_eq!((world.ended().len(), world.dns.counts().tcp_lost), (2, 1));
}

#[test]
fn another_connection_with_the_same_ends_begins_anew() {
    let mut world = World::new();
    let all = asked(&mut world, 1);
    let of = |cookie, payload| {
        let connection = Some(ConnectionId { cookie, claimed_at: KernelTime(1) });
        Payload { connection, ..payload }
    };
    world.take(&of(1, received(&all, 0, 10)));
    world.take(&of(2, received(&all, 0, all.len())));
    assert_eq!((world.ended().len(), world.dns.counts().tcp_lost), (1, 0));
}

#[test]
fn the_connection_that_was_longest_silent_makes_room() {
    let mut world = World::with(&DnsLimits { tcp_connections: 2, ..DnsLimits::default() });
    let bytes = framed(&wire(&query(1, "a.test", RecordType::A)));
    for port in 1..=3 {
        let socket = Socket::asking(Protocol::Tcp, port, 7);
        world.take(&segment(1, socket.sends(bytes.clone(), 10)));
    }
    assert_eq!((world.dns.counts().queries, world.dns.counts().tcp_dropped), (3, 1));
}
