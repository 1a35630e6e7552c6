//! What a client is registered with, and what is told of it.

use std::time::Duration;

use serde_json::json;

use crate::world::{World, connect_as_ordinary_user};

#[tokio::test]
async fn settings_are_taken_and_shown() {
    let world = World::start();
    let new = world.put("a", r#"{"ttl_s": 60, "rollup": "ports"}"#).await;
    assert_eq!(new.status, 201);
    let expected = json!({
        "id": "a",
        "owner_uid": rustix::process::getuid().as_raw(),
        "sequence": 0,
        "acknowledged": 0,
        "baselines": 0,
        "closed_waiting": 0,
        "ttl_s": 60,
        "rollup": "ports",
        "polling": false,
        "expires_at": "2026-11-22T10:01:00.001000000Z",
    });
    assert_eq!(new.json(), expected);
    let shown = world.ask("GET", "/v1/clients/a").await;
    assert_eq!((shown.status, shown.header("content-type")), (200, Some("application/json")));
    assert_eq!(shown.json(), expected, "asking is no sign of life");
    let again = world.put("a", r#"{"rollup": "none"}"#).await;
    assert_eq!(again.status, 200);
    let json = again.json();
    assert_eq!((&json["ttl_s"], &json["rollup"]), (&60.into(), &"none".into()), "what is not said stays");
    let other = world.ask("PUT", "/v1/clients/b").await.json();
    assert_eq!((&other["ttl_s"], &other["rollup"]), (&120.into(), &"none".into()));
}

#[tokio::test]
async fn a_client_lives_as_long_as_it_asked_for() {
    let world = World::start();
    world.put("short", r#"{"ttl_s": 10}"#).await;
    world.put("long", r#"{"ttl_s": 3600}"#).await;
    world.put("other", "{}").await;
    let ids = async || -> Vec<String> {
        let listed = world.ask("GET", "/v1/clients").await.json();
        let clients = listed["clients"].as_array().expect("an array").iter();
        clients.map(|client| client["id"].as_str().expect("text").to_owned()).collect()
    };
    assert_eq!(ids().await, ["long", "other", "short"]);
    world.state.put_forward(Duration::from_secs(11));
    assert_eq!(ids().await, ["long", "other"]);
    world.state.put_forward(Duration::from_secs(110));
    assert_eq!(ids().await, ["long"]);
    world.state.put_forward(Duration::from_secs(3600));
    assert_eq!(ids().await, [""; 0]);
}

#[tokio::test]
async fn settings_that_are_not_allowed_are_refused_and_change_nothing() {
    let world = World::start();
    for (body, said) in [
        (r#"{"ttl_s": 9}"#, "ttl_s is 9; allowed is an integer from 10 to 3600"),
        (r#"{"ttl_s": 3601}"#, "ttl_s is 3601; allowed is an integer from 10 to 3600"),
        (r#"{"ttl_s": "60"}"#, "ttl_s is \"60\"; allowed is an integer from 10 to 3600"),
        (r#"{"rollup": "all"}"#, "rollup is \"all\"; allowed is ports or none"),
        (r#"{"rollup": null}"#, "rollup is null; allowed is ports or none"),
        (r#"{"ttl_s": 60, "ttl": 60}"#, "there is no parameter \"ttl\"; allowed are ttl_s and rollup"),
    ] {
        let refused = world.put("a", body).await;
        refused.assert_problem(400, "invalid-parameter");
        assert_eq!(refused.json()["detail"], said);
    }
    for body in ["x", "[]", "60", r#"{"ttl_s": 60"#, r#"{"ttl_s": 60, "ttl_s": 60}"#] {
        world.put("a", body).await.assert_problem(400, "invalid-request");
    }
    world.ask("GET", "/v1/clients/a").await.assert_problem(404, "unknown-client");
    for (body, status) in [(r#"{"ttl_s": 10}"#, 201), (r#"{"ttl_s": 3600}"#, 200), (" ", 200), ("{}", 200)] {
        assert_eq!(world.put("a", body).await.status, status, "{body}");
    }
    assert_eq!(world.ask("GET", "/v1/clients/a").await.json()["ttl_s"], 3600);
}

#[tokio::test]
async fn clients_are_shown_to_their_user_and_to_root() {
    let world = World::start();
    world.register_as("of-another", deltas::Peer::User(12_345)).await;
    world.register("b").await;
    let (mut somebody, uid) = connect_as_ordinary_user(&world.socket);
    for id in ["d", "c"] {
        somebody.request("PUT", &format!("/v1/clients/{id}")).await;
        assert_eq!(somebody.answer().await.status, 201);
    }
    somebody.get("/v1/clients/of-another").await.assert_problem(403, "not-owner");
    somebody.get("/v1/clients/nobodys").await.assert_problem(404, "unknown-client");
    assert_eq!(somebody.get("/v1/clients/c").await.json()["owner_uid"], uid);
    let ids = |answer: &crate::http::Answer| -> Vec<String> {
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        let json = answer.json();
        let clients = json["clients"].as_array().expect("an array").iter();
        clients.map(|client| client["id"].as_str().expect("text").to_owned()).collect()
    };
    let of_somebody = ids(&somebody.get("/v1/clients").await);
    let of_all = ids(&world.ask("GET", "/v1/clients").await);
    if rustix::process::getuid().is_root() {
        assert_eq!(of_somebody, ["c", "d"]);
        assert_eq!(of_all, ["b", "c", "d", "of-another"]);
    } else {
        assert_eq!((&of_somebody, &of_all), (&vec!["b".into(), "c".into(), "d".into()], &of_somebody));
    }
    for path in ["/v1/clients", "/v1/clients/b"] {
        let refused = world.ask_with("GET", path, "Accept: text/html\r\n", "").await;
        refused.assert_problem(406, "not-acceptable");
    }
}
