//! Clients that want connections told together that differ only in the ephemeral port.

use serde_json::Value;

use crate::curl;
use crate::daemon::Daemon;
use crate::exchange::Exchange;
use crate::ledger::{Ledger, Told, number};
use crate::needs::runs_here;
use crate::wait::until;

const SHORT: usize = 200;
const BYTES: usize = 50;
/// All of them.
const SUM: u64 = (SHORT * BYTES) as u64;

/// A burst of short connections to one port, all of them seen.
fn burst(daemon: &Daemon, exchange: &Exchange) {
    let closed = || crate::ledger::status_counter(&daemon.socket(), "connections_closed");
    let before = closed();
    exchange.run(SHORT, BYTES);
    until("the closes", || (closed() >= before + 2 * SHORT as u64).then_some(()));
}

/// What an answer tells of the namespace.
fn records<'a>(answer: &'a Value, exchange: &Exchange) -> Vec<&'a Value> {
    let inode = exchange.space.inode();
    let connections = answer["connections"].as_array().expect("a list").iter();
    connections.filter(|connection| connection["netns"] == inode).collect()
}

/// Two records, one for each end of all connections.
fn check_together(answer: &Value, exchange: &Exchange) {
    let records = records(answer, exchange);
    assert_eq!(records.len(), 2, "{records:?}");
    let port = serde_json::json!({"address": "127.0.0.1", "port": exchange.port()});
    let no_port = serde_json::json!({"address": "127.0.0.1"});
    for (direction, local, remote, sent) in
        [("outgoing", &no_port, &port, SUM), ("incoming", &port, &no_port, 0)]
    {
        let found = records.iter().find(|record| record["direction"] == direction);
        let record = found.unwrap_or_else(|| panic!("nothing {direction} in {records:?}"));
        let ends = [&record["local"], &record["remote"]].map(|end| (&end["address"], &end["port"]));
        let expected = [local, remote].map(|end| (&end["address"], &end["port"]));
        assert_eq!(ends, expected, "{record}");
        assert_eq!(
            (&record["rolled_up"], &record["established"]),
            (&SHORT.into(), &SHORT.into()),
            "{record}"
        );
        assert_eq!(record["owner"]["pid"], std::process::id(), "{record}");
        assert_eq!((&record["state"], record["closed_at"].is_string()), (&"closed".into(), true), "{record}");
        for counters in [&record["total"], &record["delta"]] {
            let bytes = (number(&counters["sent_bytes"]), number(&counters["received_bytes"]));
            assert_eq!(bytes, (sent, SUM - sent), "{record}");
        }
    }
}

/// A record for each end of each connection.
fn check_one_by_one(answer: &Value, exchange: &Exchange) {
    let records = records(answer, exchange);
    assert_eq!(records.len(), 2 * SHORT);
    for record in records {
        assert_eq!(record["rolled_up"], 1, "{record}");
        let ports = ["local", "remote"].map(|end| record[end]["port"].is_u64());
        assert_eq!(ports, [true; 2], "{record}");
    }
}

#[test]
fn short_connections_to_one_port_are_one_record_for_who_wants_that_and_for_nobody_else() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::start();
    let socket = daemon.socket();
    let registered = curl::put(&socket, "/v1/clients/together", r#"{"rollup": "ports"}"#);
    assert_eq!((registered.status, &registered.json()["rollup"]), (201, &"ports".into()), "{registered:?}");
    let mut each = Ledger::register(daemon.socket(), "each");
    let exchange = Exchange::new();
    let together = |query: &str| {
        let answer = curl::get(&socket, &format!("/v1/clients/together/connections{query}"));
        assert_eq!(answer.status, 200, "{answer:?}");
        answer.json()
    };

    burst(&daemon, &exchange);
    check_together(&together(""), &exchange);
    check_one_by_one(&each.poll(), &exchange);
    burst(&daemon, &exchange);
    check_one_by_one(&together("?rollup=none"), &exchange);
    burst(&daemon, &exchange);
    check_together(&together(""), &exchange);
    assert_eq!(records(&together(""), &exchange).len(), 0, "nothing is told twice");
    // The client that wants each was told two bursts in one answer.
    let answer = each.poll();
    assert_eq!(records(&answer, &exchange).len(), 4 * SHORT);
    let payload: u64 = each.of(&exchange.space).map(|(_, told)| Told::payload(told)).sum();
    assert_eq!(payload, 3 * 2 * SUM);

    let again = curl::put(&socket, "/v1/clients/together", r#"{"rollup": "none"}"#);
    assert_eq!((again.status, &again.json()["rollup"]), (200, &"none".into()), "{again:?}");
    burst(&daemon, &exchange);
    check_one_by_one(&together(""), &exchange);
    burst(&daemon, &exchange);
    check_together(&together("?rollup=ports"), &exchange);
}

#[test]
fn a_connection_that_was_told_while_it_lived_is_told_as_closed_by_itself() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::start();
    let registered = curl::put(&daemon.socket(), "/v1/clients/a", r#"{"rollup": "ports"}"#);
    assert_eq!(registered.status, 201, "{registered:?}");
    let poll = || curl::get(&daemon.socket(), "/v1/clients/a/connections").json();
    let exchange = Exchange::new();
    let live = exchange.open(1);
    let port = live[0].near_port();
    assert_eq!(records(&poll(), &exchange).len(), 2);
    let closed = || crate::ledger::status_counter(&daemon.socket(), "connections_closed");
    let before = closed();
    live.into_iter().for_each(crate::exchange::Pair::close);
    until("the close", || (closed() >= before + 2).then_some(()));
    burst(&daemon, &exchange);
    let answer = poll();
    let records = records(&answer, &exchange);
    let (ones, several): (Vec<&Value>, Vec<&Value>) =
        records.iter().partition(|record| record["rolled_up"] == 1);
    assert!(several.iter().all(|record| record["rolled_up"] == SHORT), "{several:?}");
    assert_eq!((ones.len(), several.len()), (2, 2), "{records:?}");
    assert!(ones.iter().any(|record| record["local"]["port"] == port), "{ones:?}");
}

#[test]
fn the_path_of_the_reference_adds_up_by_ports_too() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::start();
    let poll = |query: &str| {
        let path = format!("/network_tracer/connections?client_id=agent{query}");
        curl::get(&daemon.socket(), &path).json()
    };
    poll("");
    let exchange = Exchange::new();
    let conns = |message: &Value| -> Vec<Value> {
        let conns = message["conns"].as_array().expect("a list").iter();
        conns.filter(|conn| conn["netNS"] == exchange.space.inode()).cloned().collect()
    };
    burst(&daemon, &exchange);
    let together = conns(&poll("&rollup=ports"));
    assert_eq!(together.len(), 2, "{together:?}");
    for (direction, local, remote, sent) in
        [("outgoing", 0, exchange.port(), SUM), ("incoming", exchange.port(), 0, 0)]
    {
        let found = together.iter().find(|conn| conn["direction"] == direction);
        let conn = found.unwrap_or_else(|| panic!("nothing {direction} in {together:?}"));
        let address = |ip: &str, port: u64| (Value::from(ip), Value::from(port));
        for (end, expected) in [("laddr", local), ("raddr", remote)] {
            let found = (conn[end]["ip"].clone(), conn[end]["port"].clone());
            assert_eq!(found, address("127.0.0.1", expected), "{conn}");
        }
        assert_eq!((&conn["lastTcpEstablished"], &conn["lastTcpClosed"]), (&SHORT.into(), &SHORT.into()));
        let bytes = (&conn["lastBytesSent"], &conn["lastBytesReceived"]);
        let expected = (&sent.to_string().into(), &(SUM - sent).to_string().into());
        assert_eq!(bytes, expected, "{conn}");
    }
    burst(&daemon, &exchange);
    assert_eq!(conns(&poll("")).len(), 2 * SHORT, "without it each by itself");
}
