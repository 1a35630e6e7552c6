//! Messages that are cut, broken, or something else than a query and its answer.

use connections::{LookupOutcome, Payload};
use hickory_proto::op::{Edns, Message, OpCode, Query, ResponseCode};
use hickory_proto::rr::{DNSClass, RecordType};

use crate::fixtures::{Socket, World, address, alias, answer, name, query, wire};

fn rcode(world: &mut World) -> Option<u16> {
    let ended = world.ended();
    ended.first().map(|lookup| match lookup.outcome {
        LookupOutcome::Answered { rcode, .. } => rcode,
        LookupOutcome::TimedOut => panic!("it was answered"),
    })
}

/// Asks for a.test, and takes this answer.
fn answered(world: &mut World, change: impl FnOnce(Payload) -> Payload, message: &Message) {
    let socket = Socket::udp();
    world.take(&socket.sends(wire(&query(1, "a.test", RecordType::A)), 10));
    world.take(&change(socket.gets(wire(message), 20)));
}

/// The payload, of which only the first bytes were copied.
fn cut_to(length: usize) -> impl FnOnce(Payload) -> Payload {
    move |mut payload| {
        payload.bytes.truncate(length);
        payload
    }
}

fn two_addresses() -> Message {
    answer(1, "a.test", vec![address("a.test", "192.0.2.1", 300), address("a.test", "192.0.2.2", 300)])
}

#[test]
fn of_a_cut_answer_that_serves_which_is_there() {
    let mut world = World::new();
    let length = wire(&two_addresses()).len();
    answered(&mut world, cut_to(length - 1), &two_addresses());
    assert_eq!(rcode(&mut world), Some(0));
    assert_eq!(world.names_of("192.0.2.1", 7), ["a.test"]);
    assert!(world.names_of("192.0.2.2", 7).is_empty());
    let counts = world.dns.counts();
    assert_eq!((counts.cut, counts.malformed), (1, 0));

    // No more than its question.
    let mut world = World::new();
    let question = wire(&query(1, "a.test", RecordType::A)).len();
    answered(&mut world, cut_to(question), &two_addresses());
    assert_eq!(rcode(&mut world), Some(0));

    // Less.
    answered(&mut world, cut_to(question - 1), &two_addresses());
    assert_eq!(rcode(&mut world), None);
    assert_eq!(world.dns.counts().malformed, 1);
}

#[test]
fn an_answer_from_which_its_sender_left_something_out_is_cut() {
    let mut world = World::new();
    let mut message = two_addresses();
    message.metadata.truncation = true;
    answered(&mut world, |payload| payload, &message);
    assert_eq!(rcode(&mut world), Some(0));
    assert_eq!(world.dns.counts().cut, 1);
    assert_eq!(world.names_of("192.0.2.2", 7), ["a.test"]);
}

#[test]
fn a_whole_answer_that_cannot_be_read_names_nothing() {
    let mut world = World::new();
    let shorten = |mut payload: Payload| {
        payload.bytes.pop();
        Payload { whole_bytes: payload.whole_bytes - 1, ..payload }
    };
    answered(&mut world, shorten, &two_addresses());
    assert_eq!(rcode(&mut world), Some(0));
    assert_eq!(world.dns.counts().malformed, 1);
    assert!(world.names_of("192.0.2.1", 7).is_empty());
}

#[test]
fn a_response_code_has_its_extended_bits() {
    let mut world = World::new();
    let mut message = answer(1, "a.test", vec![]);
    message.metadata.response_code = ResponseCode::NXDomain;
    answered(&mut world, |payload| payload, &message);
    assert_eq!(rcode(&mut world), Some(3));

    message.metadata.response_code = ResponseCode::BADVERS;
    message.set_edns(Edns::new());
    answered(&mut world, |payload| payload, &message);
    assert_eq!(rcode(&mut world), Some(16));
}

#[test]
fn an_answer_that_is_an_error_names_nothing() {
    let mut world = World::new();
    let mut message = two_addresses();
    message.metadata.response_code = ResponseCode::ServFail;
    answered(&mut world, |payload| payload, &message);
    assert_eq!(rcode(&mut world), Some(2));
    assert!(world.names_of("192.0.2.1", 7).is_empty());
}

#[test]
fn only_standard_queries_with_one_question_of_the_internet_are_taken() {
    let mut world = World::new();
    let socket = Socket::udp();
    let mut two = query(1, "a.test", RecordType::A);
    two.add_query(Query::query(name("b.test"), RecordType::A));
    let mut none = query(1, "a.test", RecordType::A);
    none.queries.clear();
    let mut chaos = query(1, "version.bind", RecordType::TXT);
    chaos.queries[0].set_query_class(DNSClass::CH);
    let mut update = query(1, "a.test", RecordType::SOA);
    update.metadata.op_code = OpCode::Update;
    for message in [two, none, chaos, update] {
        world.take(&socket.sends(wire(&message), 10));
    }
    // Bytes that are longer written than a name may be.
    let mut long = vec![0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    (0..3).for_each(|_| long.extend([&[63][..], &[0xff; 63]].concat()));
    long.extend([0, 0, 1, 0, 1]);
    world.take(&socket.sends(long, 10));
    let counts = world.dns.counts();
    assert_eq!((counts.messages, counts.other, counts.queries), (5, 5, 0));
}

#[test]
fn every_type_of_question_is_looked_up() {
    let mut world = World::new();
    let socket = Socket::udp();
    for (kind, number) in [(RecordType::AAAA, 28), (RecordType::HTTPS, 65), (RecordType::ANY, 255)] {
        let asked = query(1, ".", kind);
        world.take(&socket.sends(wire(&asked), 10));
        world.take(&socket.gets(wire(&asked.into_response()), 20));
        let ended = world.ended();
        assert_eq!((ended[0].query_type, &*ended[0].domain), (number, "."));
    }
}

#[test]
fn no_more_records_are_looked_at_than_the_bound() {
    let mut world = World::new();
    let ranks = |count: u16| (0..count).map(|number| format!("10.1.{}.{}", number >> 8, number & 0xff));
    let records = ranks(1000).map(|to| address("a.test", &to, 300)).collect();
    answered(&mut world, |payload| payload, &answer(1, "a.test", records));
    assert_eq!(rcode(&mut world), Some(0));
    assert_eq!((world.names.counts().addresses, world.dns.counts().cut), (512, 1));
}

#[test]
fn no_longer_chain_is_followed_than_the_bound() {
    for (length, names) in [(16, 1), (17, 0)] {
        let mut world = World::new();
        let link = |number| if number == 0 { "a.test".to_owned() } else { format!("{number}.test") };
        let mut records: Vec<_> = (0..length).map(|from| alias(&link(from), &link(from + 1), 300)).collect();
        records.push(address(&link(length), "192.0.2.1", 300));
        answered(&mut world, |payload| payload, &answer(1, "a.test", records));
        assert_eq!(world.names.counts().addresses, names, "{length}");
    }
}
