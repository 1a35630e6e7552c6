//! UDP on the wire: a fixed answer with a live connection, one that failed and closed, one that failed and lives, and
//! datagrams that were added up; what both dialects write for it, and the rules that it shows.

use connections::{
    Common, Connection, Counters, Direction, Facts, Failure, FailureKind, KernelTime, Owner, OwnerSource,
    Protocol, RollUp, RollUpKey, State, UdpFacts,
};
use deltas::{Change, Delta, RollUpId};

use serde_json::Value;

use crate::golden::{assert_golden, hex};
use crate::world::{self, FROM, change};

fn delta() -> Delta {
    Delta {
        changes: vec![live(), closed(), older_and_failing()].into(),
        roll_ups: vec![(RollUpId::Kernel(0x31), rollup())].into(),
        ..world::empty_delta()
    }
}

fn native_json() -> Value {
    serde_json::from_str(&world::written(world::native_json, &delta())).expect("it is JSON")
}

fn reference_json() -> Value {
    serde_json::from_str(&world::written(world::reference_json, &delta())).expect("it is JSON")
}

/// A server has answered more than once.
fn live() -> Change {
    let connection = Connection {
        owner: Some(Owner { source: OwnerSource::Send, ..world::owner("resolver") }),
        opened_at: Some(KernelTime(FROM + 1)),
        total: datagrams(60, 2, 400, 3),
        facts: Facts::Udp(UdpFacts { counted: true, drops: 1, assured: true }),
        ..connection(11, "10.0.0.1:50000", "10.0.0.2:53")
    };
    change(connection, datagrams(30, 1, 200, 1))
}

/// Nobody listened; it was closed a second later.
fn closed() -> Change {
    let total = datagrams(5, 1, 0, 0);
    let connection = Connection {
        state: State::Closed,
        opened_at: Some(KernelTime(FROM + 1_000_000)),
        closed_at: Some(KernelTime(FROM + 1_000_000_000)),
        total,
        failure: Some(Failure { kind: FailureKind::Refused, errno: Some(111) }),
        failed_at: Some(KernelTime(FROM + 1_250_000)),
        ..connection(12, "[::1]:50001", "[::1]:9")
    };
    change(connection, total)
}

/// Its socket is older than the tracer; the failure is its only news.
fn older_and_failing() -> Change {
    let connection = Connection {
        direction: Direction::Unknown,
        pre_existing: true,
        total: datagrams(5, 1, 0, 0),
        failure: Some(Failure { kind: FailureKind::Unreachable, errno: Some(113) }),
        failed_at: Some(KernelTime(FROM + 9)),
        ..connection(13, "10.0.0.1:50002", "10.9.9.9:53")
    };
    change(connection, Counters::default())
}

/// Datagrams of peers for which there was no room.
fn rollup() -> RollUp {
    let common = Common {
        netns: 4_026_531_840,
        direction: Direction::Incoming,
        service_port: Some(53),
        owner: Some((812, 1)),
        ends: None,
    };
    RollUp {
        key: RollUpKey { protocol: Protocol::Udp, common: Some(common) },
        owner: Some(Owner { source: OwnerSource::Send, ..world::owner("resolver") }),
        connections: 0,
        total: datagrams(700, 7, 200, 7),
        established: None,
        counts_rtos: true,
        failures: Vec::new(),
        last_closed_at: KernelTime(FROM + 4_000_000),
    }
}

fn connection(cookie: u64, local: &str, remote: &str) -> Connection {
    let mut connection = world::connection(cookie, local, remote);
    connection.tuple.protocol = Protocol::Udp;
    Connection { state: State::Open, facts: Facts::Udp(UdpFacts::default()), ..connection }
}

fn datagrams(sent_bytes: u64, sent_packets: u64, received_bytes: u64, received_packets: u64) -> Counters {
    Counters { sent_bytes, received_bytes, sent_packets, received_packets, ..Counters::default() }
}

#[test]
fn both_dialects_of_udp_are_as_written_down() {
    assert_golden("native_udp.json", &world::written(world::native_json, &delta()));
    assert_golden("reference_udp.json", &world::written(world::reference_json, &delta()));
    assert_golden("reference_udp.hex", &hex(&world::written_bytes(world::reference_protobuf, &delta(), &())));
}

#[test]
fn a_udp_connection_has_the_counters_and_facts_of_udp_alone() {
    let json = native_json();
    let counters = ["received_bytes", "received_packets", "sent_bytes", "sent_packets"];
    for connection in json["connections"].as_array().expect("a list") {
        for sums in ["total", "delta"] {
            let names = connection[sums].as_object().map(|sums| sums.keys().cloned().collect::<Vec<_>>());
            let mut names = names.expect("an object");
            names.sort_unstable();
            assert_eq!(names, counters, "{sums}: {connection}");
        }
        for absent in ["tcp", "global_id", "established_at", "before"] {
            assert!(connection.get(absent).is_none(), "{absent}: {connection}");
        }
        assert_eq!(connection["protocol"], "udp");
    }
    let live = &json["connections"][0];
    assert_eq!(live["udp"], serde_json::json!({"drops": 1, "assured": true}));
    assert_eq!((&live["state"], &live["owner"]["source"]), (&"open".into(), &"send".into()));
}

#[test]
fn what_nothing_counts_has_no_counters_and_zeros_in_the_reference_dialect() {
    let Change { connection, .. } = live();
    let facts = Facts::Udp(UdpFacts { counted: false, ..UdpFacts::default() });
    let uncounted = Connection { facts, total: Counters::default(), ..connection };
    let changes = vec![change(uncounted, Counters::default())];
    let delta = Delta { changes: changes.into(), ..world::empty_delta() };
    let json = |text: String| serde_json::from_str::<Value>(&text).expect("it is JSON")["conns"].clone();
    let native: Value =
        serde_json::from_str(&world::written(world::native_json, &delta)).expect("it is JSON");
    let native = &native["connections"][0];
    assert!(native.get("total").is_none() && native.get("delta").is_none(), "{native}");
    assert_eq!(native["remote"]["port"], 53);
    let reference = json(world::written(world::reference_json, &delta));
    assert_eq!(reference[0]["lastBytesSent"].as_str().unwrap_or("0"), "0", "{reference}");
}

#[test]
fn a_udp_connection_failed_when_the_host_said_so_and_may_live_on() {
    let json = native_json();
    let closed = &json["connections"][1];
    assert_eq!((&closed["state"], &closed["failure"]["after_us"]), (&"closed".into(), &250.into()));
    let living = &json["connections"][2];
    assert_eq!((&living["state"], &living["failure"]["name"]), (&"open".into(), &"EHOSTUNREACH".into()));
    assert!(living["closed_at"].is_null() && living["failure"]["after_us"].is_null(), "{living}");
}

#[test]
fn what_was_before_tracing_is_absent_for_udp_unless_there_was_something() {
    let before = |before| {
        let Change { connection, delta, .. } = older_and_failing();
        let older = change(Connection { before, ..connection }, delta);
        let text = world::written(
            world::native_json,
            &Delta { changes: vec![older].into(), ..world::empty_delta() },
        );
        let json: Value = serde_json::from_str(&text).expect("it is JSON");
        json["connections"][0]["before"].clone()
    };
    assert_eq!(before(Counters::default()), Value::Null);
    assert_eq!(before(datagrams(5, 1, 0, 0))["sent_packets"], 1);
}

#[test]
fn a_roll_up_of_udp_does_not_say_how_many_peers_it_is_of() {
    let json = native_json();
    let roll_up = &json["connections"][3];
    assert_eq!((&roll_up["rolled_up"], &roll_up["total"]["sent_packets"]), (&Value::Null, &7.into()));
    assert_eq!((&roll_up["local"]["port"], &roll_up["remote"]), (&53.into(), &serde_json::json!({})));
}

#[test]
fn the_reference_dialect_counts_neither_opening_nor_failing_nor_closing_of_udp() {
    let json = reference_json();
    let conns = json["conns"].as_array().expect("a list");
    let ports: Vec<_> = conns.iter().map(|connection| &connection["laddr"]["port"]).collect();
    assert_eq!(ports, [50000, 50001, 53], "a failure alone has no place in the dialect");
    for connection in conns {
        assert_eq!(
            (&connection["type"], &connection["tcpFailuresByErrCode"]),
            (&"udp".into(), &serde_json::json!({}))
        );
        for zero in
            ["lastTcpEstablished", "lastTcpClosed", "rtt", "rttVar", "lastRetransmits", "lastTcpRtoCount"]
        {
            assert_eq!(connection[zero], 0, "{zero}: {connection}");
        }
        assert_eq!(connection.as_object().map(serde_json::Map::len), Some(53));
    }
    assert_eq!((&conns[0]["lastBytesReceived"], &conns[0]["lastPacketsSent"]), (&"200".into(), &"1".into()));
    assert_eq!(conns[1]["family"], "v6");
}

#[test]
fn a_failure_in_a_roll_up_of_udp_is_none_of_tcp_in_the_reference_dialect() {
    let failures = vec![(Failure { kind: FailureKind::Refused, errno: Some(111) }, 2)];
    let roll_ups = vec![(RollUpId::Kernel(0x31), RollUp { failures, ..rollup() })].into();
    let text = world::written(world::reference_json, &Delta { roll_ups, ..world::empty_delta() });
    let json: Value = serde_json::from_str(&text).expect("it is JSON");
    assert_eq!(json["conns"][0]["tcpFailuresByErrCode"], serde_json::json!({}));
}
