//! Several users of one socket: what belongs to whom, in both dialects.

use std::path::Path;

use serde_json::Value;

use crate::curl::{Answer, get, request, try_request};
use crate::daemon::Daemon;
use crate::exchange::Exchange;
use crate::ledger::number;
use crate::needs::runs_here;
use crate::wait::until;

const ROOT: u32 = 0;
const ALICE: u32 = 1000;
const BOB: u32 = 1001;

/// A daemon whose socket every user may use.
fn open_daemon(more: &[(&str, &str)]) -> Daemon {
    Daemon::with(&[&[("SOCKEYE_LISTEN__MODE", "0666")], more].concat())
}

fn problem(answer: &Answer) -> (u16, String) {
    (answer.status, answer.problem())
}

#[test]
fn a_client_belongs_to_the_user_who_registered_it_and_to_root() {
    if !runs_here(&["curl"]) {
        return;
    }
    let daemon = open_daemon(&[]);
    let socket = daemon.socket();
    let (client, poll) = ("/v1/clients/a", "/v1/clients/a/connections");
    let registered = request(&socket, ALICE, "PUT", client);
    assert_eq!((registered.status, &registered.json()["owner_uid"]), (201, &ALICE.into()));
    assert_eq!(request(&socket, ALICE, "PUT", client).status, 200, "known now");
    let not_owner = (403, "/problems/not-owner".to_owned());
    for (method, path) in [("GET", poll), ("PUT", client), ("DELETE", client)] {
        assert_eq!(problem(&request(&socket, BOB, method, path)), not_owner, "{method} {path}");
    }
    let first = number(&registered.json()["sequence"]);
    assert_eq!(
        number(&request(&socket, ALICE, "GET", poll).json()["sequence"]),
        first + 1,
        "nothing has changed"
    );
    assert_eq!(number(&request(&socket, ROOT, "GET", poll).json()["sequence"]), first + 2);
    assert_eq!(request(&socket, ROOT, "DELETE", client).status, 204);
    let unknown = (404, "/problems/unknown-client".to_owned());
    assert_eq!(problem(&request(&socket, ALICE, "GET", poll)), unknown);
    assert_eq!(request(&socket, BOB, "PUT", client).status, 201, "the name is free again");
}

#[test]
fn who_may_not_write_to_the_socket_may_not_use_the_api() {
    if !runs_here(&["curl"]) {
        return;
    }
    let daemon = Daemon::start();
    let refused = try_request(&daemon.socket(), ALICE, "GET", "/livez");
    assert!(refused.is_err_and(|error| error.contains("connect")));
    assert_eq!(get(&daemon.socket(), "/livez").status, 200);
}

#[test]
fn who_is_of_the_group_of_the_socket_may_use_the_api() {
    if !runs_here(&["curl"]) {
        return;
    }
    let daemon = Daemon::with(&[("SOCKEYE_LISTEN__GROUP", &ALICE.to_string())]);
    let registered = request(&daemon.socket(), ALICE, "PUT", "/v1/clients/a");
    assert_eq!((registered.status, &registered.json()["owner_uid"]), (201, &ALICE.into()));
    assert_eq!(request(&daemon.socket(), ALICE, "GET", "/v1/clients/a/connections").status, 200);
    let refused = try_request(&daemon.socket(), BOB, "PUT", "/v1/clients/b");
    assert!(refused.is_err_and(|error| error.contains("connect")));
}

#[test]
fn the_default_client_is_one_for_each_user() {
    if !runs_here(&["curl"]) {
        return;
    }
    let daemon = open_daemon(&[]);
    let socket = daemon.socket();
    let mut first = 0;
    for user in [ALICE, BOB, ROOT] {
        let answer = request(&socket, user, "PUT", "/v1/clients/-1");
        assert_eq!((answer.status, &answer.json()["owner_uid"]), (201, &user.into()));
        first = number(&answer.json()["sequence"]);
    }
    for (user, sequence) in [(ALICE, 1), (ALICE, 2), (BOB, 1), (ROOT, 1)] {
        let answer = request(&socket, user, "GET", "/v1/clients/-1/connections");
        assert_eq!((answer.status, number(&answer.json()["sequence"])), (200, first + sequence), "{user}");
    }
    for path in ["/network_tracer/register", "/network_tracer/register?client_id="] {
        assert_eq!(request(&socket, ALICE, "GET", path).status, 200, "{path}");
    }
    assert_eq!(get(&socket, "/v1/status").json()["clients"], 3, "without an id it is the same client");
}

#[test]
fn clients_of_one_user_are_bounded_and_root_is_not() {
    if !runs_here(&["curl"]) {
        return;
    }
    let daemon = open_daemon(&[("SOCKEYE_LIMITS__CLIENTS_PER_USER", "2")]);
    let socket = daemon.socket();
    let register = |user, id: &str| request(&socket, user, "PUT", &format!("/v1/clients/{id}"));
    assert_eq!((register(ALICE, "a1").status, register(ALICE, "a2").status), (201, 201));
    let refused = register(ALICE, "a3");
    assert_eq!(problem(&refused), (429, "/problems/too-many-clients".to_owned()));
    assert!(refused.header("retry-after").is_some(), "{refused:?}");
    assert_eq!((register(ALICE, "a1").status, register(BOB, "b1").status), (200, 201));
    for id in ["r1", "r2", "r3"] {
        assert_eq!(register(ROOT, id).status, 201);
    }
    let status = get(&socket, "/v1/status").json();
    assert_eq!(status["counters"]["clients_refused"], 1, "{status}");
}

#[test]
fn the_paths_of_the_reference_answer_in_its_json() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = open_daemon(&[]);
    let socket = daemon.socket();
    let registered = get(&socket, "/network_tracer/register?client_id=agent");
    assert_eq!((registered.status, registered.body.as_str()), (200, ""));
    let exchange = Exchange::new();
    let mut live = exchange.open(1);
    live.iter_mut().for_each(|pair| pair.send(1000));
    let port = live[0].near_port();
    let poll = "/network_tracer/connections?client_id=agent";
    let message = get(&socket, poll).json();
    let near = find(&message, &exchange, "laddr", port);
    assert_eq!(near["pid"], std::process::id());
    assert_eq!(near["laddr"]["ip"], "127.0.0.1");
    let kind = (&near["type"], &near["family"], &near["direction"]);
    assert_eq!(kind, (&"tcp".into(), &"v4".into(), &"outgoing".into()));
    let bytes = (&near["lastBytesSent"], &near["lastBytesReceived"]);
    assert_eq!(bytes, (&"1000".into(), &"0".into()), "64-bit integers are text");
    assert_eq!((&near["lastTcpEstablished"], &near["lastTcpClosed"]), (&1.into(), &0.into()));
    assert_eq!(find(&message, &exchange, "raddr", port)["lastBytesReceived"], "1000");
    assert_eq!(message["connTelemetryMap"]["sockeye.coverage.complete"], "1");

    live.iter_mut().for_each(|pair| pair.send(20));
    live.into_iter().for_each(crate::exchange::Pair::close);
    let near = until("the close", || {
        let message = get(&socket, poll).json();
        let near = conns(&message, &exchange).find(|conn| conn["laddr"]["port"] == port)?.clone();
        (near["lastTcpClosed"] == 1).then_some(near)
    });
    assert_eq!((&near["lastBytesSent"], &near["lastTcpEstablished"]), (&"20".into(), &0.into()), "{near}");
    assert_eq!(conns(&get(&socket, poll).json(), &exchange).count(), 0, "nothing is told twice");
    check_strangers(&socket, poll);
}

/// Users of these paths who are not the client's.
fn check_strangers(socket: &Path, poll: &str) {
    assert_eq!(request(socket, ALICE, "GET", poll).status, 403, "it belongs to root");
    let unknown = request(socket, ALICE, "GET", "/network_tracer/connections?client_id=new");
    assert_eq!(unknown.status, 200, "an unknown client is registered");
    assert_eq!(request(socket, BOB, "GET", "/network_tracer/connections?client_id=new").status, 403);
    let invalid = get(socket, "/network_tracer/connections?client_id=a%20b");
    assert_eq!(invalid.status, 400);
    assert!(invalid.json()["error"].is_string(), "{invalid:?}");
}

/// The connections of the namespace in a message.
fn conns<'a>(message: &'a Value, exchange: &Exchange) -> impl Iterator<Item = &'a Value> {
    let inode = exchange.space.inode();
    message["conns"].as_array().expect("a list").iter().filter(move |conn| conn["netNS"] == inode)
}

fn find<'a>(message: &'a Value, exchange: &Exchange, end: &str, port: u64) -> &'a Value {
    let found = conns(message, exchange).find(|conn| conn[end]["port"] == port);
    found.unwrap_or_else(|| panic!("no {end} with port {port} in {message}"))
}
