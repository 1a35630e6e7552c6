//! Every route, answered as it should be.

use crate::world::{World, connect_as_ordinary_user};

#[tokio::test]
async fn registering_is_idempotent_and_removing_forgets() {
    let world = World::start();
    let first = world.ask("PUT", "/v1/clients/a").await;
    assert_eq!((first.status, first.header("content-type")), (201, Some("application/json")));
    let json = first.json();
    assert_eq!((&json["id"], &json["sequence"], &json["acknowledged"]), (&"a".into(), &0.into(), &0.into()));
    assert_eq!(json["owner_uid"], rustix::process::getuid().as_raw());
    assert!(first.header("x-request-id").is_some());
    let again = world.ask_with("PUT", "/v1/clients/a", "Content-Length: 2\r\n", "{}").await;
    assert_eq!(again.status, 200);
    let removed = world.ask("DELETE", "/v1/clients/a").await;
    assert_eq!((removed.status, removed.body.len()), (204, 0));
    world.ask("DELETE", "/v1/clients/a").await.assert_problem(404, "unknown-client");
}

#[tokio::test]
async fn a_native_poll_is_the_native_delta() {
    let world = World::start();
    world.register("a").await;
    let answer = world.ask("GET", "/v1/clients/a/connections").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let json = answer.json();
    assert_eq!((&json["client"], &json["instance"]), (&"a".into(), &"test-1".into()));
    assert_eq!((&json["sequence"], &json["acknowledged"]), (&1.into(), &0.into()));
    assert_eq!(json["coverage"]["degradations"][0], "tcp_owner");
    assert_eq!(json["connections"].as_array().map(Vec::len), Some(3));
    assert_eq!(json["connections"][0]["delta"]["received_bytes"], 20);
}

#[tokio::test]
async fn two_clients_do_not_affect_each_other() {
    let world = World::start();
    for id in ["a", "b"] {
        world.register(id).await;
    }
    for (polls, (id, told)) in [("a", 3), ("b", 3), ("a", 0)].into_iter().enumerate() {
        let json = world.ask("GET", &format!("/v1/clients/{id}/connections")).await.json();
        assert_eq!(json["connections"].as_array().map(Vec::len), Some(told), "{id}");
        world.resolved(polls + 1).await;
    }
    assert_eq!(world.resolved(3).await, [true; 3]);
}

#[tokio::test]
async fn the_reference_registers_unknown_clients_and_answers_its_json() {
    let world = World::start();
    let registered = world.ask("GET", "/network_tracer/register?client_id=agent").await;
    assert_eq!((registered.status, registered.body.len()), (200, 0));
    for path in ["/network_tracer/connections?client_id=agent", "/network_tracer/connections?client_id=other"]
    {
        let answer = world.ask("GET", path).await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
        let json = answer.json();
        assert_eq!(json["conns"].as_array().map(Vec::len), Some(3), "{path}");
        assert_eq!(json["conns"][0]["lastBytesReceived"], "20");
        assert_eq!(json["connTelemetryMap"]["sockeye.coverage.complete"], "1");
    }
    assert_eq!(world.ask("DELETE", "/v1/clients/other").await.status, 204);
}

#[tokio::test]
async fn a_missing_and_an_empty_client_id_are_the_default_client() {
    let world = World::start();
    for path in ["/network_tracer/register", "/network_tracer/register?client_id="] {
        assert_eq!(world.ask("GET", path).await.status, 200);
    }
    let first = world.ask("GET", "/network_tracer/connections").await.json();
    assert_eq!(first["conns"].as_array().map(Vec::len), Some(3));
    world.resolved(1).await;
    let second = world.ask("GET", "/network_tracer/connections?client_id=-1").await.json();
    assert_eq!(second["conns"].as_array().map(Vec::len), Some(0));
}

#[tokio::test]
async fn a_client_of_root_is_closed_to_other_users_but_the_default_one_is_each_users_own() {
    let world = World::start();
    let owner = 12_345;
    world.register_as("a", deltas::Peer::User(owner)).await;
    let (mut somebody, uid) = connect_as_ordinary_user(&world.socket);
    assert_ne!(uid, owner);
    somebody.get("/v1/clients/a/connections").await.assert_problem(403, "not-owner");
    let refused = somebody.get("/network_tracer/connections?client_id=a").await;
    assert_eq!((refused.status, refused.json()["error"].is_string()), (403, true));
    assert_eq!(somebody.get("/network_tracer/connections").await.json()["conns"][0]["pid"], 0);
    somebody.request("PUT", "/v1/clients/b").await;
    assert_eq!(somebody.answer().await.json()["owner_uid"], uid);
}

#[tokio::test]
async fn status_and_probes_answer() {
    let world = World::start();
    let status = world.ask("GET", "/v1/status").await;
    assert_eq!((status.status, &status.json()["live_connections"]), (200, &3.into()));
    assert_eq!(world.ask("GET", "/livez").await.json()["status"], "live");
    assert_eq!(world.ask("GET", "/readyz").await.json()["status"], "ready");
    world.state.set_ready(false);
    let not_ready = world.ask("GET", "/readyz").await;
    not_ready.assert_problem(503, "not-ready");
    assert_eq!(not_ready.header("retry-after"), Some("1"));
    world.state.hold();
    assert_eq!(world.ask("GET", "/livez").await.status, 200, "it asks nothing of the state");
}

#[tokio::test]
async fn listeners_are_told_to_anybody_who_may_ask() {
    let world = World::start();
    let answer = world.ask("GET", "/v1/listeners").await;
    assert_eq!((answer.status, answer.header("content-type")), (200, Some("application/json")));
    let json = answer.json();
    assert_eq!(json["instance"], "test-1");
    assert!(json["at"].is_string() && json["listeners"].is_array(), "{json}");
    world
        .ask_with("GET", "/v1/listeners", "Accept: text/html\r\n", "")
        .await
        .assert_problem(406, "not-acceptable");
}
