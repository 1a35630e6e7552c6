//! The rules of the dialects, read from what they write.

use std::io;

use connections::{Counters, KernelTime, State};
use deltas::{Delta, RollUpId, View};
use encode::{native, reference};
use serde_json::{Value, json};

use crate::world;

fn native_json() -> Value {
    let text = world::written(world::native_json, &world::delta());
    serde_json::from_str(&text).expect("it is JSON")
}

fn reference_json() -> Value {
    let text = world::written(world::reference_json, &world::delta());
    serde_json::from_str(&text).expect("it is JSON")
}

#[test]
fn unknown_facts_are_absent_in_the_native_dialect() {
    let pre_existing = &native_json()["connections"][1];
    for absent in ["owner", "opened_at", "established_at", "closed_at", "failure"] {
        assert!(pre_existing.get(absent).is_none(), "{absent}: {pre_existing}");
    }
    for absent in ["srtt_us", "rttvar_us", "min_rtt_us", "delivery_bytes_per_s", "busy_us"] {
        assert!(pre_existing["tcp"].get(absent).is_none(), "{absent}: {pre_existing}");
    }
    for absent in ["rtos", "recoveries"] {
        assert!(pre_existing["total"].get(absent).is_none(), "{absent}: {pre_existing}");
    }
    assert_eq!(pre_existing["before"]["sent_bytes"], 1000);
    let outgoing = &native_json()["connections"][0];
    assert_eq!(outgoing["tcp"]["rwnd_limited_us"], 0, "a known zero is told");
    assert_eq!(outgoing["total"]["rtos"], 5);
    assert!(outgoing.get("before").is_none() && outgoing["owner"].get("kernel").is_none());
    assert!(native_json()["connections"][2]["owner"].get("cgroup_id").is_none());
}

#[test]
fn link_local_addresses_keep_their_scope_in_the_native_dialect() {
    let json = native_json();
    assert_eq!(json["connections"][1]["local"]["address"], "fe80::1%3");
    assert_eq!(json["connections"][3]["local"]["address"], "2001:db8::1");
}

#[test]
fn a_failure_says_how_long_it_took() {
    let failure = &native_json()["connections"][2]["failure"];
    assert_eq!(failure["name"], "ECONNREFUSED");
    assert_eq!(failure["after_us"], 90);
}

#[test]
fn coverage_names_only_causes_with_a_loss_in_the_native_dialect() {
    let coverage = &native_json()["coverage"];
    let lost = coverage["lost"].as_object().expect("an object");
    assert_eq!(lost.keys().collect::<Vec<_>>(), ["ring_full"]);
    assert_eq!(
        (&coverage["complete"], &coverage["interval_ms"]),
        (&Value::Bool(false), &Value::from(30_000))
    );
}

#[test]
fn large_integers_are_text_and_small_ones_numbers_in_the_reference_dialect() {
    let json = reference_json();
    let outgoing = &json["conns"][0];
    for text in ["lastBytesSent", "lastBytesReceived", "lastPacketsSent", "dnsSuccessLatencySum"] {
        assert!(outgoing[text].is_string(), "{text}: {outgoing}");
    }
    assert_eq!(outgoing["lastBytesSent"], u64::MAX.to_string());
    for number in ["pid", "lastRetransmits", "netNS", "rtt", "lastTcpClosed", "routeIdx"] {
        assert!(outgoing[number].is_number(), "{number}: {outgoing}");
    }
    let telemetry = json["connTelemetryMap"].as_object().expect("a map");
    assert!(telemetry.values().all(|value| value.as_str().is_some_and(|text| text.parse::<i64>().is_ok())));
    assert_eq!(telemetry["sockeye.coverage.complete"], "0");
    assert_eq!(telemetry["sockeye.coverage.lost.ring_full.bytes"], "4096");
}

#[test]
fn every_field_of_the_reference_is_present_in_every_connection() {
    for connection in reference_json()["conns"].as_array().expect("a list") {
        let fields = connection.as_object().expect("an object");
        assert_eq!(fields.len(), 53, "{:?}", fields.keys());
    }
    assert_eq!(reference_json().as_object().map(serde_json::Map::len), Some(13));
}

#[test]
fn the_reference_dialect_leaves_out_what_has_no_news_for_it() {
    let json = reference_json();
    let ports: Vec<_> =
        json["conns"].as_array().expect("a list").iter().map(|c| &c["laddr"]["port"]).collect();
    assert_eq!(ports, [40112, 22, 40113, 700, 0, 0, 40119]);
}

#[test]
fn establishing_and_closing_are_told_once_in_the_reference_dialect() {
    let json = reference_json();
    let told = |index: usize| {
        let connection = &json["conns"][index];
        (connection["lastTcpEstablished"].as_u64(), connection["lastTcpClosed"].as_u64())
    };
    assert_eq!(told(0), (Some(1), Some(0)), "established since the last answer");
    assert_eq!(told(1), (Some(0), Some(0)), "older than the tracer");
    assert_eq!(told(2), (Some(0), Some(1)), "refused");
    assert_eq!(told(3), (Some(0), Some(1)), "established before the last answer");
    assert_eq!(json["conns"][2]["tcpFailuresByErrCode"]["111"], 1);
}

#[test]
fn an_answer_without_news_is_whole_in_both_dialects() {
    let delta = world::empty_delta();
    let native = world::written(world::native_json, &delta);
    let reference = world::written(world::reference_json, &delta);
    assert!(native.ends_with("\"messages\":0}},\"connections\":[],\"lookups\":[]}"), "{native}");
    assert!(
        reference.starts_with("{\"conns\":[],\"dns\":{},\"domains\":[],\"connTelemetry\":null,"),
        "{reference}"
    );
}

#[test]
fn an_error_of_the_writer_is_reported() {
    struct Full;
    impl io::Write for Full {
        fn write(&mut self, _: &[u8]) -> io::Result<usize> {
            Err(io::ErrorKind::BrokenPipe.into())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let delta = world::delta();
    let answer =
        encode::Answer { delta: &delta, wall: world::WALL, instance: "", degradations: &[], context: &() };
    let error = native::write_delta(&mut Full, &answer, native::Form::Json, native::Fields::ALL)
        .expect_err("the writer fails");
    assert_eq!(error.kind(), io::ErrorKind::BrokenPipe);
    assert!(reference::write_connections(&mut Full, &answer, reference::Form::Json).is_err());
}

#[test]
fn a_roll_up_tells_only_what_its_connections_have_in_common() {
    let json = native_json();
    let roll_up = &json["connections"][5];
    assert_eq!((&roll_up["rolled_up"], &roll_up["remote"]["port"]), (&17.into(), &443.into()));
    assert!(roll_up["local"].as_object().is_some_and(serde_json::Map::is_empty), "{roll_up}");
    assert!(roll_up["remote"]["address"].is_null() && roll_up["opened_at"].is_null(), "{roll_up}");
    assert_eq!(
        (&roll_up["failures"][0]["name"], &roll_up["failures"][0]["connections"]),
        (&"ECONNREFUSED".into(), &3.into())
    );
    let rest = &json["connections"][6];
    assert!(["netns", "owner", "failures"].iter().all(|name| rest[name].is_null()), "{rest}");
    assert!(rest["remote"]["port"].is_null() && rest["total"]["rtos"].is_null(), "{rest}");
    let reference = reference_json();
    let conns = reference["conns"].as_array().expect("a list");
    let [.., roll_up, rest, _lookups] = conns.as_slice() else { panic!("two roll-ups") };
    assert_eq!((&roll_up["lastTcpClosed"], &roll_up["raddr"]["port"]), (&17.into(), &443.into()));
    assert_eq!(roll_up["tcpFailuresByErrCode"], serde_json::json!({"111": 3}));
    assert_eq!((&rest["raddr"]["ip"], &rest["pid"]), (&"0.0.0.0".into(), &0.into()));
}

#[test]
fn a_roll_up_of_one_pair_of_hosts_has_their_addresses_and_no_ephemeral_port() {
    let local: std::net::SocketAddr = "[fe80::1%3]:0".parse().expect("an address");
    let remote = "[fe80::2%3]:443".parse().expect("an address");
    let mut rollup = world::rollup();
    rollup.established = Some(9);
    if let Some(common) = &mut rollup.key.common {
        common.ends = Some((local, remote));
    }
    let delta =
        || Delta { roll_ups: vec![(RollUpId::Log(0x1f), rollup.clone())].into(), ..world::empty_delta() };
    let native: Value =
        serde_json::from_str(&world::written(world::native_json, &delta())).expect("it is JSON");
    let record = &native["connections"][0];
    assert_eq!(record["id"], "rolled-up-log-1f");
    assert_eq!(record["local"], json!({"address": "fe80::1%3"}));
    assert_eq!(record["remote"], json!({"address": "fe80::2%3", "port": 443}));
    assert_eq!((&record["rolled_up"], &record["established"]), (&json!(17), &json!(9)));
    let reference: Value =
        serde_json::from_str(&world::written(world::reference_json, &delta())).expect("it is JSON");
    let conn = &reference["conns"][0];
    assert_eq!((&conn["laddr"]["ip"], &conn["laddr"]["port"]), (&json!("fe80::1"), &json!(0)));
    assert_eq!((&conn["raddr"]["ip"], &conn["raddr"]["port"]), (&json!("fe80::2"), &json!(443)));
    assert_eq!((&conn["lastTcpClosed"], &conn["lastTcpEstablished"]), (&json!(17), &json!(9)));
    assert_eq!(conn["family"], "v6");
}

#[test]
fn both_dialects_tell_short_connections_together_where_the_client_wants_that() {
    let short = |cookie, local| {
        let mut change = world::change(world::connection(cookie, local, "10.0.0.2:443"), Counters::default());
        change.connection.state = State::Closed;
        change.connection.opened_at = Some(KernelTime(world::FROM));
        change.connection.closed_at = Some(KernelTime(world::FROM + 5));
        change.delta.sent_bytes = 10 * cookie;
        change
    };
    let changes = vec![short(1, "10.0.0.1:40000"), short(2, "10.0.0.1:40001"), short(3, "10.0.0.9:40001")];
    let delta = Delta { view: View::Ports, changes: changes.into(), ..world::empty_delta() };
    let native: Value =
        serde_json::from_str(&world::written(world::native_json, &delta)).expect("it is JSON");
    let records = native["connections"].as_array().expect("a list");
    let told: Vec<_> =
        records.iter().map(|record| (&record["rolled_up"], &record["delta"]["sent_bytes"])).collect();
    assert_eq!(told, [(&json!(1), &json!(30)), (&json!(2), &json!(30))]);
    assert_eq!(records[1]["local"], json!({"address": "10.0.0.1"}));
    let reference: Value =
        serde_json::from_str(&world::written(world::reference_json, &delta)).expect("it is JSON");
    let conns = reference["conns"].as_array().expect("a list");
    let told: Vec<_> = conns.iter().map(|conn| (&conn["laddr"]["port"], &conn["lastTcpClosed"])).collect();
    assert_eq!(told, [(&json!(40_001), &json!(1)), (&json!(0), &json!(2))]);
}
