//! What came of lookups of names: where it stands in both dialects, and that each is told once.

use std::io;

use connections::{Connection, ContainerId, Counters, KernelTime, Owner, Protocol, State};
use deltas::{Change, Delta, LookupSum, View};
use encode::{Answer, native};
use serde_json::{Value, json};

use crate::world::{self, change, owner};

fn asked(cookie: u64, local: &str) -> Change {
    let mut connection = world::connection(cookie, local, "10.0.0.2:53");
    connection.tuple.protocol = Protocol::Udp;
    let delta = Counters { sent_bytes: 30, ..Counters::default() };
    change(Connection { owner: Some(owner("dig")), total: delta, ..connection }, delta)
}

/// One that lived for a moment.
fn short(cookie: u64, local: &str) -> Change {
    let mut change = asked(cookie, local);
    change.connection.state = State::Closed;
    change.connection.opened_at = Some(KernelTime(world::FROM));
    change.connection.closed_at = Some(KernelTime(world::FROM + 5));
    change
}

fn sum(through: &Connection, domain: &str, answers: u64) -> LookupSum {
    LookupSum {
        connection: Some(through.id),
        tuple: through.tuple,
        pid: 812,
        domain: domain.into(),
        query_type: 1,
        timed_out: 0,
        success_latency_ns: 5000,
        failure_latency_ns: 0,
        by_rcode: vec![(0, answers)],
    }
}

fn json(write: impl Fn(&mut Vec<u8>, &Answer<'_>) -> io::Result<()>, delta: &Delta) -> Value {
    serde_json::from_str(&world::written(write, delta)).expect("it is JSON")
}

fn answers_told(lookups: &Value) -> u64 {
    let lookups = lookups.as_array().into_iter().flatten();
    lookups.map(|sum| sum["responses"]["NOERROR"].as_u64().expect("a count")).sum()
}

#[test]
fn lookups_without_a_connection_in_the_answer_are_told_to_who_wants_lookups() {
    let (here, gone) = (asked(1, "10.0.0.1:4000"), asked(2, "10.0.0.1:4001"));
    let lookups = vec![sum(&here.connection, "a.example", 1), sum(&gone.connection, "a.example", 2)].into();
    let delta = Delta { changes: vec![here].into(), lookups, ..world::empty_delta() };
    let told = |fields: &str| {
        let fields = native::Fields::parse(fields).expect("fields");
        let answer = json(|out, answer| native::write_delta(out, answer, native::Form::Json, fields), &delta);
        (answers_told(&answer["connections"][0]["lookups"]), answers_told(&answer["lookups"]))
    };
    assert_eq!(told(&native::Fields::allowed()), (1, 2));
    assert_eq!(told("lookups"), (1, 2), "what is not told now is not told later");
    assert_eq!(told("local,delta"), (0, 0));
}

#[test]
fn the_reference_has_all_lookups_of_one_key_with_it_each_domain_and_type_once() {
    let one = asked(1, "10.0.0.1:4000");
    let through_nobody = LookupSum { connection: None, ..sum(&one.connection, "a.example", 2) };
    let lookups = vec![
        sum(&one.connection, "b.example", 1),
        sum(&one.connection, "a.example", u64::MAX),
        through_nobody,
    ];
    let delta = Delta { changes: vec![one].into(), lookups: lookups.into(), ..world::empty_delta() };
    let told = json(world::reference_json, &delta);
    let conns = told["conns"].as_array().expect("a list");
    assert_eq!((conns.len(), &conns[0]["lastBytesSent"]), (1, &json!("30")));
    let domains = told["domains"].as_array().expect("a list");
    assert_eq!(domains.len(), 2, "{told}");
    let of_domain = |name: &str| {
        let place = domains.iter().position(|domain| domain == name).expect("it is there");
        &conns[0]["dnsStatsByDomainByQueryType"][place.to_string()]["dnsStatsByQueryType"]["1"]
    };
    assert_eq!(of_domain("b.example")["dnsCountByRcode"], json!({"0": 1}));
    assert_eq!(of_domain("a.example")["dnsCountByRcode"], json!({"0": u32::MAX}), "as many as it can say");
    assert_eq!(of_domain("a.example")["dnsSuccessLatencySum"], json!("10"), "in microseconds");
}

#[test]
fn lookups_of_connections_that_are_told_together_stand_by_themselves() {
    let changes = vec![short(1, "10.0.0.1:4000"), short(2, "10.0.0.1:4001")];
    let lookups: Vec<_> = changes.iter().map(|change| sum(&change.connection, "a.example", 1)).collect();
    let (changes, lookups) = (changes.into(), lookups.into());
    let delta = Delta { view: View::Ports, changes, lookups, ..world::empty_delta() };
    let told = json(world::native_json, &delta);
    assert_eq!((&told["connections"][0]["rolled_up"], answers_told(&told["lookups"])), (&json!(2), 2));
    assert_eq!(told["connections"][0]["lookups"], Value::Null);
    let told = json(world::reference_json, &delta);
    let conns = told["conns"].as_array().expect("a list");
    let mut found: Vec<_> = conns
        .iter()
        .map(|conn| {
            let answers = &conn["dnsStatsByDomainByQueryType"]["0"]["dnsStatsByQueryType"]["1"];
            let port = conn["laddr"]["port"].as_u64();
            (port, conn["lastBytesSent"].as_str(), answers["dnsCountByRcode"]["0"].as_u64())
        })
        .collect();
    found.sort();
    let alone = |port| (Some(port), Some("0"), Some(1));
    assert_eq!(found, [(Some(0), Some("60"), None), alone(4000), alone(4001)]);
}

#[test]
fn a_connection_whose_only_news_is_lookups_is_told_with_its_facts() {
    let mut quiet = asked(1, "10.0.0.1:4000");
    quiet.delta = Counters::default();
    let container = ContainerId::parse(&"0123456789abcdef".repeat(4));
    quiet.connection.owner = Some(Owner { container, ..owner("dig") });
    let lookups = vec![sum(&quiet.connection, "a.example", 1)].into();
    let delta = Delta { changes: vec![quiet].into(), lookups, ..world::empty_delta() };
    let conns = &json(world::reference_json, &delta)["conns"];
    assert_eq!(conns.as_array().map(Vec::len), Some(1));
    assert_eq!(conns[0]["laddr"]["containerId"], "0123456789abcdef".repeat(4));
}

/// More tuples that were used twice than are added up at once.
#[test]
fn lookups_alone_are_told_once_however_many_passes_an_answer_takes() {
    let twice = |number: u32| {
        let [_, _, high, low] = (number / 2).to_be_bytes();
        asked(number.into(), &format!("10.1.{high}.{low}:4000"))
    };
    let changes: Vec<_> = (0..2 * 5000).map(twice).collect();
    let gone = asked(u64::MAX, "10.0.0.1:4001").connection;
    let lookups = vec![sum(&gone, "a.example", 1)].into();
    let delta = Delta { changes: changes.into(), lookups, ..world::empty_delta() };
    let told = json(world::reference_json, &delta);
    let conns = told["conns"].as_array().expect("a list");
    let alone = conns.iter().filter(|conn| conn["laddr"]["port"] == 4001).count();
    assert_eq!((conns.len(), alone), (5001, 1));
}
