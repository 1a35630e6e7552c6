//! Any bytes, in any order, over UDP and TCP: nothing panics and every bound holds; and what another library writes is read
//! as it was meant.

#[path = "fixtures/bounds.rs"]
mod bounds;
mod fixtures;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use connections::{LookupOutcome, Payload, Protocol};

use fixtures::{Socket, World, address, alias, answer, query, wire};
use hickory_proto::op::Message;
use hickory_proto::rr::{Name, RData, Record, RecordType};
use proptest::prelude::*;

fn names() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["a.test", "B.test", "c.d.e.test", "x.test"]).prop_map(str::to_owned)
}

fn addresses() -> impl Strategy<Value = String> {
    prop::sample::select(vec!["192.0.2.1", "192.0.2.2", "::", "::ffff:192.0.2.1", "2001:db8::1", "::1"])
        .prop_map(str::to_owned)
}

fn records() -> impl Strategy<Value = Record> {
    prop_oneof![
        (names(), addresses(), any::<u32>()).prop_map(|(owner, to, ttl)| address(&owner, &to, ttl)),
        (names(), names(), any::<u32>()).prop_map(|(owner, of, ttl)| alias(&owner, &of, ttl)),
    ]
}

/// Messages, whole or damaged, and bytes that are none.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let asked = (0_u16..3, names()).prop_map(|(id, name)| wire(&query(id, &name, RecordType::A)));
    let answered = (0_u16..3, names(), prop::collection::vec(records(), 0..8))
        .prop_map(|(id, name, records)| wire(&answer(id, &name, records)));
    let message = prop_oneof![asked, answered];
    let changes = prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..4);
    let damaged = (message.clone(), changes).prop_map(|(mut bytes, changes)| {
        for (place, value) in changes {
            let place = place.index(bytes.len());
            bytes[place] = value;
        }
        bytes
    });
    prop_oneof![2 => message, 2 => damaged, 1 => prop::collection::vec(any::<u8>(), 0..200)]
}

fn payloads() -> impl Strategy<Value = Payload> {
    let place = (0_u16..3, prop::option::of(prop_oneof![0_u32..300, any::<u32>()]), any::<bool>());
    let rest = (
        any::<bool>(),
        0_u64..40_000,
        prop_oneof![4 => Just(0), 1 => 0_u32..100, 1 => any::<u32>()],
        0_u32..3,
    );
    (bytes(), place, rest).prop_map(|(bytes, (port, tcp_sequence, framed), (sent, time, missing, pid))| {
        let protocol = if tcp_sequence.is_some() { Protocol::Tcp } else { Protocol::Udp };
        let length = u16::try_from(bytes.len()).expect("it fits").to_be_bytes();
        let is_framed = framed && tcp_sequence.is_some();
        let bytes = if is_framed { [&length[..], &bytes].concat() } else { bytes };
        let payload = Socket::asking(protocol, 40_000 + port, pid).sends(bytes, time);
        let whole_bytes = payload.whole_bytes.saturating_add(missing);
        Payload { sent, whole_bytes, tcp_sequence, ..payload }
    })
}

fn label() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![3 => "[a-zA-Z0-9_-]{1,20}".prop_map(String::into_bytes), 1 => prop::collection::vec(any::<u8>(), 1..12)]
}

/// The name as this crate writes it, by the rules alone.
fn written(labels: &[Vec<u8>]) -> String {
    let escaped = |byte: &u8| match byte {
        b'.' => r"\.".to_owned(),
        b'\\' => r"\\".to_owned(),
        0x21..=0x7e => char::from(byte.to_ascii_lowercase()).to_string(),
        _ => format!("\\{byte:03}"),
    };
    let labels = labels.iter().map(|label| label.iter().map(escaped).collect::<String>());
    labels.collect::<Vec<_>>().join(".")
}

fn addresses_in(message: &Message) -> Vec<IpAddr> {
    let address = |record: &Record| match &record.data {
        RData::A(a) => Some(IpAddr::V4(a.0)),
        RData::AAAA(aaaa) => Some(IpAddr::V6(aaaa.0).to_canonical()),
        _ => None,
    };
    message.answers.iter().filter_map(address).collect()
}

proptest! {
    #[test]
    fn any_payloads_keep_to_the_bounds(payloads in prop::collection::vec(payloads(), 0..60)) {
        let limits = bounds::small();
        let mut world = World::with(&limits);
        for payload in payloads {
            world.take(&payload);
            let ended = u64::try_from(world.ended.len()).expect("few");
            bounds::check(&world.dns, &world.names, &limits, ended);
        }
    }

    #[test]
    fn segments_of_any_size_in_any_order_are_the_same_messages(
        count in 1_usize..6,
        first in any::<u32>(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..12),
        order in prop::collection::vec(any::<prop::sample::Index>(), 0..40),
    ) {
        let asked: Vec<_> = (0..count).map(|number| format!("{number}.test")).collect();
        let framed = asked.iter().flat_map(|name| {
            let message = wire(&query(1, name, RecordType::A));
            [&u16::try_from(message.len()).expect("short").to_be_bytes()[..], &message].concat()
        });
        let all: Vec<u8> = framed.collect();
        let mut ends: Vec<_> = cuts.iter().map(|cut| cut.index(all.len())).chain([0, all.len()]).collect();
        ends.sort_unstable();
        let segments: Vec<_> = ends.windows(2).map(|ends| (ends[0], ends[1])).collect();
        let picked = order.iter().map(|pick| segments[pick.index(segments.len())]);
        let mut world = World::new();
        // The first one says where it begins; in the end none is missing.
        for (from, to) in [segments[0]].into_iter().chain(picked.take(30)).chain(segments.iter().copied()) {
            let sequence = first.wrapping_add(u32::try_from(from).expect("few"));
            let payload = Socket::asking(Protocol::Tcp, 40_000, 7).sends(all[from..to].to_vec(), 10);
            world.take(&Payload { tcp_sequence: Some(sequence), ..payload });
        }
        let counts = world.dns.counts();
        prop_assert_eq!((counts.queries, counts.messages), (u64::try_from(count).expect("few"), counts.queries));
        prop_assert_eq!(counts.tcp_lost, 0);
    }

    #[test]
    fn any_bytes_are_read_to_an_end(id in 0_u16..3, mut bytes in prop::collection::vec(any::<u8>(), 0..2000)) {
        let mut world = World::new();
        let asked = query(id, "a.test", RecordType::A);
        // A head and a question that fit, so that the rest is read.
        let mut head = wire(&asked.clone().into_response());
        head[6..12].copy_from_slice(&[0xff; 6]);
        head.append(&mut bytes);
        world.take(&Socket::udp().sends(wire(&asked), 10));
        world.take(&Socket::udp().gets(head, 20));
        prop_assert_eq!(world.ended().len(), 1);
    }

    #[test]
    fn what_another_library_writes_is_read_as_it_was_meant(
        labels in prop::collection::vec(label(), 1..6),
        v4 in prop::collection::vec(1_u32.., 0..5),
        v6 in prop::collection::vec(1_u128.., 0..5),
        aliases in prop::collection::vec(label(), 0..4),
        id in any::<u16>(),
    ) {
        let asked = Name::from_labels(labels.iter().map(Vec::as_slice)).expect("short labels");
        let mut message = Message::query();
        message.metadata.id = id;
        message.add_query(hickory_proto::op::Query::query(asked.clone(), RecordType::A));
        let mut world = World::new();
        world.take(&Socket::udp().sends(wire(&message), 10));

        let mut reply = message.into_response();
        let mut owner = asked;
        for (number, label) in aliases.iter().enumerate() {
            let of = Name::from_labels([label.as_slice(), format!("{number}").as_bytes()]).expect("short labels");
            let data = RData::CNAME(hickory_proto::rr::rdata::CNAME(of.clone()));
            reply.add_answer(Record::from_rdata(owner, 300, data));
            owner = of;
        }
        let v4 = v4.into_iter().map(|bits| RData::A(Ipv4Addr::from_bits(bits).into()));
        let v6 = v6.into_iter().map(|bits| RData::AAAA(Ipv6Addr::from_bits(bits).into()));
        reply.add_answers(v4.chain(v6).map(|data| Record::from_rdata(owner.clone(), 300, data)));
        let bytes = wire(&reply);
        world.take(&Socket::udp().gets(bytes.clone(), 20));

        let ended = world.ended();
        let outcome = LookupOutcome::Answered { rcode: 0, latency_ns: 10_000_000 };
        prop_assert_eq!(ended[0].outcome, outcome);
        prop_assert_eq!(&*ended[0].domain, &written(&labels));
        let mut expected = vec![written(&labels)];
        if let Some((label, number)) = aliases.last().zip(aliases.len().checked_sub(1)) {
            expected.push(written(&[label.clone(), number.to_string().into_bytes()]));
        }
        for address in addresses_in(&Message::from_vec(&bytes).expect("it was written by the same library")) {
            prop_assert_eq!(world.names_of(&address.to_string(), 7), expected.clone());
        }
    }
}
