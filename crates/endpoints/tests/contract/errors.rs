//! Every problem, in the form of its dialect.

use std::time::Duration;

use endpoints::HttpLimits;

use crate::world::{Setting, World};

#[tokio::test]
async fn invalid_client_ids_are_refused() {
    let world = World::start();
    let long = "x".repeat(129);
    let nobody = world.ask("GET", "/v1/clients//connections").await;
    nobody.assert_problem(400, "invalid-client-id");
    for id in ["a%20b", "a%2Fb", "%FF", "%C3%A9", &long] {
        world.ask("PUT", &format!("/v1/clients/{id}")).await.assert_problem(400, "invalid-client-id");
        let path = format!("/v1/clients/{id}/connections");
        world.ask("GET", &path).await.assert_problem(400, "invalid-client-id");
        let reference = world.ask("GET", &format!("/network_tracer/register?client_id={id}")).await;
        assert_eq!((reference.status, reference.json()["error"].is_string()), (400, true), "{id}");
    }
    assert_eq!(world.ask("PUT", "/v1/clients/a%2Eb").await.json()["id"], "a.b", "an escape is no other id");
}

#[tokio::test]
async fn unknown_clients_and_paths_are_told_apart() {
    let world = World::start();
    world.ask("GET", "/v1/clients/a/connections").await.assert_problem(404, "unknown-client");
    for path in ["/", "/v1", "/v1/clients/a/", "/network_tracer"] {
        world.ask("GET", path).await.assert_problem(404, "unknown-path");
    }
    let reference = world.ask("GET", "/network_tracer/debug/nothing").await;
    assert_eq!((reference.status, reference.json()["error"].is_string()), (404, true));
}

#[tokio::test]
async fn a_wrong_method_names_the_right_ones() {
    let world = World::start();
    for (method, path, allow) in [
        ("POST", "/v1/clients/a", "PUT, GET, DELETE"),
        ("POST", "/v1/clients/a/connections", "GET"),
        ("DELETE", "/v1/status", "GET"),
        ("PUT", "/livez", "GET"),
    ] {
        let answer = world.ask(method, path).await;
        answer.assert_problem(405, "method-not-allowed");
        assert_eq!(answer.header("allow"), Some(allow), "{method} {path}");
    }
    let reference = world.ask("POST", "/network_tracer/connections").await;
    assert_eq!((reference.status, reference.header("allow")), (405, Some("GET")));
    assert!(reference.json()["error"].is_string());
}

#[tokio::test]
async fn a_head_request_takes_no_delta() {
    let world = World::start();
    world.register("a").await;
    for path in ["/v1/clients/a/connections", "/network_tracer/connections"] {
        let mut http = world.connect().await;
        http.request("HEAD", path).await;
        assert!(http.head().await.starts_with("HTTP/1.1 405"));
    }
    assert_eq!(*world.state.polls_asked().borrow(), 0);
}

#[tokio::test]
async fn forms_that_do_not_exist_are_refused() {
    let world = World::start();
    world.register("a").await;
    for accept in ["Accept: text/html\r\n", "Accept: application/json;q=0\r\n", "Accept: \u{e9}\r\n"] {
        let answer = world.ask_with("GET", "/v1/clients/a/connections", accept, "").await;
        answer.assert_problem(406, "not-acceptable");
    }
    assert_eq!(*world.state.polls_asked().borrow(), 0);
    for accept in ["Accept: text/html, */*;q=0.1\r\n", "Accept: Application/JSON\r\n", "Accept:\r\n"] {
        let answer = world.ask_with("GET", "/v1/clients/a/connections", accept, "").await;
        assert_eq!(answer.status, 200, "{accept}");
    }
    let anything = world.ask_with("GET", "/network_tracer/connections", "Accept: text/html\r\n", "").await;
    assert_eq!(anything.status, 200, "the reference answers JSON to everything else");
}

#[tokio::test]
async fn unreadable_queries_are_refused() {
    let world = World::start();
    world.register("a").await;
    world
        .ask("GET", "/v1/clients/a/connections?after=1&after=2")
        .await
        .assert_problem(400, "invalid-request");
    let twice = world.ask("GET", "/network_tracer/connections?client_id=a&client_id=b").await;
    assert_eq!((twice.status, twice.json()["error"].is_string()), (400, true));
    let more = world.ask("GET", "/network_tracer/register?client_id=a&more=1").await;
    assert_eq!(more.status, 200, "a parameter that is not known is ignored");
}

#[tokio::test]
async fn bodies_are_bounded_in_size_and_time() {
    let limits =
        HttpLimits { body_bytes: 100, body_read: Duration::from_millis(50), ..HttpLimits::default() };
    let world = World::with(Setting { limits, ..Setting::default() });
    let large = " ".repeat(101);
    let announced = world.ask_with("PUT", "/v1/clients/a", "Content-Length: 101\r\n", &large).await;
    announced.assert_problem(413, "body-too-large");
    let chunked = format!("65\r\n{large}\r\n0\r\n\r\n");
    let grown = world.ask_with("PUT", "/v1/clients/a", "Transfer-Encoding: chunked\r\n", &chunked).await;
    grown.assert_problem(413, "body-too-large");
    let slow = world.ask_with("PUT", "/v1/clients/a", "Content-Length: 10\r\n", "{").await;
    slow.assert_problem(408, "body-too-slow");
    let broken = world.ask_with("PUT", "/v1/clients/a", "Transfer-Encoding: chunked\r\n", "x\r\n").await;
    broken.assert_problem(400, "invalid-request");
}

#[tokio::test]
async fn too_many_clients_are_refused_and_none_is_expired_for_another() {
    let world = World::with(Setting { clients: 1, ..Setting::default() });
    world.register("a").await;
    let refused = world.ask("PUT", "/v1/clients/b").await;
    refused.assert_problem(429, "too-many-clients");
    assert_eq!(refused.header("retry-after"), Some("10"));
    let reference = world.ask("GET", "/network_tracer/connections?client_id=b").await;
    assert_eq!((reference.status, reference.json()["error"].is_string()), (429, true));
    assert_eq!(world.ask("PUT", "/v1/clients/a").await.status, 200);
}

#[tokio::test]
async fn a_silent_state_is_unavailable() {
    let world = World::start();
    world.register("a").await;
    world.state.silence(true);
    for (method, path) in [
        ("PUT", "/v1/clients/a"),
        ("DELETE", "/v1/clients/a"),
        ("GET", "/v1/clients/a/connections"),
        ("GET", "/v1/status"),
    ] {
        let answer = world.ask(method, path).await;
        answer.assert_problem(503, "unavailable");
        assert_eq!(answer.header("retry-after"), Some("1"), "{method} {path}");
    }
    for path in ["/network_tracer/register", "/network_tracer/connections"] {
        let answer = world.ask("GET", path).await;
        assert_eq!((answer.status, answer.json()["error"].is_string()), (500, true), "as in the reference");
    }
    world.state.silence(false);
    let answer = world.ask("GET", "/v1/clients/a/connections").await;
    assert_eq!((answer.status, &answer.json()["sequence"]), (200, &1.into()));
}
