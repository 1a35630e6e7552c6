//! One key, one record: what the reference's dialect makes of connections that it cannot tell apart.

use connections::{
    Connection, Counters, Direction, Facts, Failure, FailureKind, KernelTime, Owner, Protocol, RollUp, State,
    TcpFacts, Tuple,
};
use deltas::{Change, Delta, RollUpId};

use serde_json::{Value, json};

use crate::world::{self, FROM, change};

const NETNS: u32 = 4_026_531_840;

fn told(changes: Vec<Change>) -> Vec<Value> {
    told_of(&Delta { changes: changes.into(), ..world::empty_delta() })
}

fn told_of(delta: &Delta) -> Vec<Value> {
    let text = world::written(world::reference_json, delta);
    let json: Value = serde_json::from_str(&text).expect("it is JSON");
    json["conns"].as_array().expect("a list").clone()
}

/// A client's connection that was established and closed since the last answer.
fn short(cookie: u64, local: &str, sent_bytes: u64) -> Change {
    let total = Counters { sent_bytes, received_packets: 2, retransmits: 1, ..Counters::default() };
    let connection = Connection {
        owner: Some(world::owner("curl")),
        state: State::Closed,
        opened_at: Some(KernelTime(FROM + 1)),
        established_at: Some(KernelTime(FROM + 2)),
        closed_at: Some(KernelTime(FROM + 3)),
        total,
        ..world::connection(cookie, local, "10.0.0.2:443")
    };
    change(connection, total)
}

fn with_facts(change: Change, facts: TcpFacts) -> Change {
    Change { connection: Connection { facts: Facts::Tcp(facts), ..change.connection }, ..change }
}

fn failed(change: Change, errno: u16) -> Change {
    let failure = Some(Failure { kind: FailureKind::Refused, errno: Some(errno) });
    let connection = Connection { failure, established_at: None, ..change.connection };
    world::change(connection, Counters { received_packets: 1, ..change.delta })
}

#[test]
fn a_tuple_that_was_used_twice_is_told_once_with_the_sums() {
    let facts = |srtt_us, rttvar_us, ecn_negotiated| TcpFacts {
        srtt_us,
        rttvar_us,
        ecn_negotiated,
        ..TcpFacts::default()
    };
    let changes = vec![
        with_facts(short(1, "10.0.0.1:40000", u64::MAX), facts(Some(100), Some(20), false)),
        short(2, "10.0.0.1:40001", 7),
        with_facts(short(3, "10.0.0.1:40000", 5), facts(Some(201), Some(41), true)),
        with_facts(short(4, "10.0.0.1:40000", 5), facts(None, None, false)),
    ];
    let conns = told(changes);
    let [alone, shared] = conns.as_slice() else { panic!("two: {conns:?}") };
    assert_eq!((&alone["laddr"]["port"], &alone["lastBytesSent"]), (&json!(40001), &json!("7")));
    assert_eq!((&shared["laddr"]["port"], &shared["pid"]), (&json!(40000), &json!(812)));
    assert_eq!(shared["lastBytesSent"], u64::MAX.to_string(), "a sum stops at the largest number");
    assert_eq!((&shared["lastPacketsReceived"], &shared["lastRetransmits"]), (&json!("6"), &json!(3)));
    assert_eq!((&shared["lastTcpEstablished"], &shared["lastTcpClosed"]), (&json!(3), &json!(3)));
    assert_eq!((&shared["rtt"], &shared["rttVar"]), (&json!(150), &json!(30)), "of those with a sample");
    assert_eq!(shared["tcpEcnNegotiated"], true);
}

#[test]
fn what_differs_in_a_name_of_the_dialect_stays_apart() {
    let base = short(1, "10.0.0.1:40000", 5);
    let with = |change: &dyn Fn(&mut Connection)| {
        let mut connection = base.connection;
        change(&mut connection);
        Change { connection, ..base }
    };
    let changes = vec![
        base,
        with(&|connection| connection.tuple.netns += 1),
        with(&|connection| connection.owner = None),
        with(&|connection| connection.owner = Some(Owner { pid: 813, ..world::owner("curl") })),
        with(&|connection| connection.direction = Direction::Incoming),
        with(&|connection| connection.tuple.protocol = Protocol::Udp),
        with(&|connection| connection.tuple.remote.set_port(444)),
        with(&|connection| connection.tuple.remote.set_ip([10, 0, 0, 3].into())),
    ];
    let conns = told(changes);
    assert_eq!(conns.len(), 8, "{conns:?}");
    let elsewhere = conns.iter().filter(|conn| conn["netNS"] == NETNS + 1).count();
    assert_eq!(elsewhere, 1, "{conns:?}");
}

#[test]
fn names_that_the_dialect_does_not_have_keep_nothing_apart() {
    let scoped = |scope: u32| {
        let end =
            |last: u16, port: u16| format!("[fe80::{last}%{scope}]:{port}").parse().expect("an address");
        let mut change = short(1, "10.0.0.1:40000", 5);
        change.connection.tuple = Tuple::canonical(Protocol::Tcp, NETNS, end(1, 40_000), end(2, 443));
        change.connection.owner = Some(Owner { tid: scope, uid: scope, ..world::owner("curl") });
        change
    };
    let conns = told(vec![scoped(3), scoped(4)]);
    assert_eq!(conns.len(), 1, "{conns:?}");
    assert_eq!((&conns[0]["laddr"]["ip"], &conns[0]["lastBytesSent"]), (&json!("fe80::1"), &json!("10")));
}

#[test]
fn the_failures_of_all_connections_with_one_key_are_told() {
    let again = |cookie, errno| failed(short(cookie, "10.0.0.1:40000", 0), errno);
    let conns = told(vec![again(1, 111), again(2, 110), again(3, 111), again(4, 13)]);
    assert_eq!(conns.len(), 1, "{conns:?}");
    assert_eq!(conns[0]["tcpFailuresByErrCode"], json!({"13": 1, "110": 1, "111": 2}));
    assert_eq!((&conns[0]["lastTcpEstablished"], &conns[0]["lastTcpClosed"]), (&json!(0), &json!(4)));
}

#[test]
fn one_errno_of_two_kinds_of_failure_is_counted_together_in_a_roll_up() {
    let failure = |kind, count| (Failure { kind, errno: Some(13) }, count);
    let failures = vec![failure(FailureKind::Unreachable, 2), failure(FailureKind::Aborted, 5_000_000_000)];
    let roll_ups = vec![(RollUpId::Kernel(1), RollUp { failures, ..world::rollup() })].into();
    let text = world::written(world::reference_json, &Delta { roll_ups, ..world::empty_delta() });
    assert!(text.contains("\"tcpFailuresByErrCode\":{\"13\":4294967295}"), "{text}");
}

#[test]
fn roll_ups_with_one_key_are_told_once_and_empty_ones_not_at_all() {
    let nothing = RollUp {
        connections: 0,
        total: Counters::default(),
        failures: vec![(Failure { kind: FailureKind::Aborted, errno: None }, 1)],
        ..world::rollup()
    };
    let roll_ups = [world::rollup(), world::rollup(), nothing];
    let roll_ups = (1..).map(RollUpId::Kernel).zip(roll_ups).collect::<Vec<_>>().into();
    let conns = told_of(&Delta { roll_ups, ..world::empty_delta() });
    assert_eq!(conns.len(), 1, "{conns:?}");
    assert_eq!((&conns[0]["lastTcpClosed"], &conns[0]["lastBytesSent"]), (&json!(34), &json!("3400")));
    assert_eq!(conns[0]["tcpFailuresByErrCode"], json!({"111": 6}));
}

#[test]
fn shared_keys_follow_the_others_in_the_order_of_their_names() {
    // Each answer has hashes of its own.
    let order = |cookie: u64| {
        let at = |port: u16| short(cookie, &format!("10.0.0.1:{port}"), 1);
        let changes = [9, 5, 7, 9, 1, 7, 8, 5].map(at).to_vec();
        told(changes).iter().map(|conn| conn["laddr"]["port"].as_u64()).collect::<Vec<_>>()
    };
    assert_eq!(order(1), [1, 8, 5, 7, 9].map(Some));
    assert_eq!(order(2), order(1));
}

#[test]
fn each_key_is_told_once_however_many_are_shared() {
    let round =
        |cookie: u64| (1..=10_000).map(move |port: u16| short(cookie, &format!("10.0.0.1:{port}"), cookie));
    let conns = told(round(1).chain(round(2)).chain(round(3)).collect());
    let ports: Vec<_> = conns.iter().map(|conn| conn["laddr"]["port"].as_u64()).collect();
    assert_eq!(ports, (1..=10_000).map(Some).collect::<Vec<_>>());
    let told = |conn: &Value| (conn["lastBytesSent"].clone(), conn["lastTcpClosed"].clone());
    assert!(conns.iter().all(|conn| told(conn) == (json!("6"), json!(3))));
}

#[test]
fn a_connection_that_only_opened_or_that_closed_without_a_word_in_the_dialect_is_left_out() {
    let base = short(1, "10.0.0.1:40000", 0);
    let opened = Connection {
        state: State::SynSent,
        established_at: None,
        closed_at: None,
        total: Counters::default(),
        ..base.connection
    };
    let mut closed_udp = base.connection;
    closed_udp.tuple.protocol = Protocol::Udp;
    closed_udp.facts = Facts::Udp(connections::UdpFacts::default());
    let still = |connection| change(connection, Counters::default());
    assert_eq!(told(vec![still(opened), still(closed_udp)]), [] as [Value; 0]);
    let conns = told(vec![still(base.connection)]);
    assert_eq!(conns.len(), 1, "a close of TCP has a place");
    assert_eq!((&conns[0]["lastTcpEstablished"], &conns[0]["lastTcpClosed"]), (&json!(0), &json!(1)));
}
