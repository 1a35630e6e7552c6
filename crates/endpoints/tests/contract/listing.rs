//! What is live, listed for whoever asks.

use serde_json::json;

use crate::world::{Setting, World};

#[tokio::test]
async fn what_is_live_is_listed_and_no_client_notices() {
    let world = World::start();
    world.register("a").await;
    for _ in 0..2 {
        let listed = world.ask("GET", "/v1/connections").await;
        assert_eq!((listed.status, listed.header("content-type")), (200, Some("application/json")));
        let listed = listed.json();
        assert_eq!((&listed["matched"], &listed["told"]), (&json!(3), &json!(3)));
        let connection = &listed["connections"][0];
        assert_eq!(connection["total"]["sent_bytes"], 10);
        assert!(connection.get("delta").is_none() && connection.get("rolled_up").is_none(), "{connection}");
        assert!(listed["at"].is_string() && listed["clock"]["at_ns"].is_u64(), "{listed}");
    }
    let clients = world.ask("GET", "/v1/clients").await.json();
    assert_eq!(clients["clients"].as_array().map(Vec::len), Some(1));
    assert_eq!(world.poll("a", "").await.json()["connections"].as_array().map(Vec::len), Some(3));
    let gone = world.ask("GET", "/v1/connections").await.json();
    assert_eq!(gone["matched"], 3, "what a client was told stays listed");
}

#[tokio::test]
async fn every_filter_chooses_among_the_connections() {
    // They are 10.0.0.2:40000, 10.0.0.3:40000 and so on, each connected to 10.0.0.1:443.
    let world = World::with(Setting { connections: 10, ..Setting::default() });
    for (query, matched) in [
        ("", 10),
        ("protocol=tcp", 10),
        ("protocol=udp", 0),
        ("state=established&direction=outgoing&netns=1", 10),
        ("netns=2", 0),
        ("port=443", 10),
        ("port=40000-40001", 10),
        ("local_port=443", 0),
        ("remote_port=443", 10),
        ("cidr=10.0.0.4", 1),
        ("cidr=10.0.0.4%2F31", 2),
        ("local=10.0.0.0/29", 6),
        ("remote=10.0.0.4", 0),
        ("cidr=fd00::/8", 0),
        ("pid=1", 0),
        ("uid=0", 0),
        ("command=curl", 0),
    ] {
        let listed = world.ask("GET", &format!("/v1/connections?{query}")).await;
        assert_eq!((listed.status, &listed.json()["matched"]), (200, &json!(matched)), "{query}");
    }
}

#[tokio::test]
async fn a_limit_bounds_what_is_told_and_not_what_is_counted() {
    let world = World::with(Setting { connections: 10, ..Setting::default() });
    for (limit, told) in [(0, 0), (3, 3), (10, 10), (11, 10)] {
        let listed = world.ask("GET", &format!("/v1/connections?limit={limit}")).await.json();
        assert_eq!((&listed["matched"], &listed["told"]), (&json!(10), &json!(told)), "{limit}");
        assert_eq!(listed["connections"].as_array().map(Vec::len), Some(told));
    }
}

#[tokio::test]
async fn a_filter_that_means_nothing_is_refused_with_what_is_allowed() {
    let world = World::start();
    for (query, detail) in [
        (
            "port=0-70000",
            "port is \"0-70000\"; allowed is a port from 0 to 65535, or a range such as 8000-9000",
        ),
        ("protocol=icmp", "protocol is \"icmp\"; allowed is tcp, udp"),
        ("limit=-1", "limit is \"-1\"; allowed is a decimal number up to 18446744073709551615"),
        ("after=1", "there is no parameter \"after\"; allowed are protocol, state, "),
    ] {
        let refused = world.ask("GET", &format!("/v1/connections?{query}")).await;
        refused.assert_problem(400, "invalid-parameter");
        let text = refused.json()["detail"].as_str().expect("a text").to_owned();
        assert!(text.starts_with(detail), "{text}");
    }
    world.ask("GET", "/v1/connections?pid=1&pid=2").await.assert_problem(400, "invalid-request");
    assert_eq!(world.ask("HEAD", "/v1/connections").await.status, 405);
}
