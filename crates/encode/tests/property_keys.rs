//! The reference's dialect against its naive model: all changes of an answer, added up by name.

mod fixtures;

use std::collections::{BTreeMap, BTreeSet};

use connections::{
    Connection, Counters, Direction, Failure, FailureKind, KernelTime, Owner, Protocol, State, UdpFacts,
    WallOffset,
};
use deltas::{Change, Delta};
use encode::{Answer, reference};
use fixtures::{change, connection, empty_delta, owner};
use proptest::prelude::*;
use serde_json::Value;

/// Everything that names a record but its direction, of which one end may tell the other.
type Name = (u64, String, u64, String, String);

/// Bytes both ways, packets received, established, closed, failures by errno.
type Sum = ([u128; 5], BTreeMap<String, u64>);

fn changes() -> impl Strategy<Value = Vec<Change>> {
    let directions =
        prop_oneof![Just(Direction::Unknown), Just(Direction::Incoming), Just(Direction::Outgoing)];
    let one = (
        (0..3u32, any::<bool>(), 0..2u32, 0..3u8, 0..3u8),
        directions,
        (0..5u64, 0..5u64, 0..3u64, 0..3u64),
        (any::<bool>(), any::<bool>(), prop::sample::select(vec![None, Some(104), Some(111)])),
    );
    let changes = one.prop_map(|((pid, udp, netns, local, remote), direction, counts, ends)| {
        let mut connection = connection(1, &format!("10.0.0.{local}:1"), &format!("10.0.0.{remote}:1"));
        connection.owner = (pid > 0).then(|| Owner { pid, ..owner("x") });
        connection.tuple.netns = netns;
        connection.direction = direction;
        if udp {
            connection.tuple.protocol = Protocol::Udp;
            connection.facts = connections::Facts::Udp(UdpFacts::default());
        }
        let (sent_bytes, received_bytes, received_packets, before) = counts;
        let delta = Counters { sent_bytes, received_bytes, received_packets, ..Counters::default() };
        connection.total = Counters { received_packets: received_packets + before, ..delta };
        let (established, closed, errno) = ends;
        connection.established_at = established.then_some(KernelTime(1));
        if closed {
            (connection.state, connection.closed_at) = (State::Closed, Some(KernelTime(2)));
            connection.failure = errno.map(|errno| Failure { kind: FailureKind::Reset, errno: Some(errno) });
        }
        change(connection, delta)
    });
    prop::collection::vec(changes, 0..60)
}

/// What is to be told, by name; names of which there is nothing to tell are absent.
fn expected(changes: &[Change]) -> BTreeMap<Name, Sum> {
    let mut sums: BTreeMap<Name, Sum> = BTreeMap::new();
    for Change { connection, delta, newly_established } in changes {
        let Connection { tuple, owner, state, failure, .. } = connection;
        let tcp = tuple.protocol == Protocol::Tcp;
        let established = tcp && *newly_established;
        let closed = tcp && *state == State::Closed;
        let counts: [u128; 5] = [
            delta.sent_bytes.into(),
            delta.received_bytes.into(),
            delta.received_packets.into(),
            established.into(),
            closed.into(),
        ];
        if counts == [0; 5] {
            continue;
        }
        let name = (
            owner.map_or(0, |owner| owner.pid.into()),
            tuple.protocol.name().to_owned(),
            tuple.netns.into(),
            tuple.local.to_string(),
            tuple.remote.to_string(),
        );
        let (sum, failures) = sums.entry(name).or_default();
        sum.iter_mut().zip(counts).for_each(|(sum, count)| *sum += count);
        if let Some(errno) = failure.filter(|_| tcp).and_then(|failure| failure.errno) {
            *failures.entry(errno.to_string()).or_default() += 1;
        }
    }
    sums
}

fn told(delta: &Delta) -> Vec<Value> {
    let answer = Answer { delta, wall: WallOffset(0), instance: "", degradations: &[], context: &() };
    let mut bytes = Vec::new();
    reference::write_connections(&mut bytes, &answer, reference::Form::Json)
        .expect("a vector takes everything");
    let json: Value = serde_json::from_slice(&bytes).expect("it is JSON");
    json["conns"].as_array().expect("a list").clone()
}

fn number(value: &Value) -> u64 {
    value.as_u64().expect("an integer")
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text")
}

fn name(conn: &Value) -> Name {
    let end = |end: &Value| format!("{}:{}", text(&end["ip"]), number(&end["port"]));
    let protocol = text(&conn["type"]).to_owned();
    (number(&conn["pid"]), protocol, number(&conn["netNS"]), end(&conn["laddr"]), end(&conn["raddr"]))
}

fn sum(conn: &Value) -> Sum {
    let large = |name: &str| text(&conn[name]).parse().expect("an integer as text");
    let small = |name: &str| u128::from(number(&conn[name]));
    let counts = [
        large("lastBytesSent"),
        large("lastBytesReceived"),
        large("lastPacketsReceived"),
        small("lastTcpEstablished"),
        small("lastTcpClosed"),
    ];
    let failures = conn["tcpFailuresByErrCode"].as_object().expect("a map");
    (counts, failures.iter().map(|(errno, count)| (errno.clone(), number(count))).collect())
}

proptest! {
    #[test]
    fn each_key_is_told_once_and_what_is_told_adds_up_to_the_changes(changes in changes()) {
        let expected = expected(&changes);
        let conns = told(&Delta { changes: changes.into(), ..empty_delta() });
        let mut keys = BTreeSet::new();
        let mut sums: BTreeMap<Name, Sum> = BTreeMap::new();
        for conn in &conns {
            prop_assert!(keys.insert((name(conn), conn["direction"].to_string())), "twice: {conn}");
            let (counts, failures) = sum(conn);
            prop_assert!(counts != [0; 5] || !failures.is_empty(), "nothing is told: {conn}");
            let (all_counts, all_failures) = sums.entry(name(conn)).or_default();
            all_counts.iter_mut().zip(counts).for_each(|(all, count)| *all += count);
            for (errno, count) in failures {
                *all_failures.entry(errno).or_default() += count;
            }
        }
        prop_assert_eq!(sums, expected);
    }
}
