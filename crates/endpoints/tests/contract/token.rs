//! The token for TCP: what is answered without it, and what belongs to who has it.

use deltas::Peer;
use endpoints::{BoundTcp, EndpointError, Token};
use serde_json::Value;

use crate::http::Http;
use crate::world::{Over, TOKEN, World, connect_as_ordinary_user};

async fn with_header(world: &World, header: &str) -> Http {
    Http::connect_tcp(world.address, header, 64 * 1024).await
}

#[tokio::test]
async fn without_the_token_every_path_is_refused_alike() {
    let world = World::start();
    world.register("a").await;
    let wrong = format!("Authorization: Bearer {TOKEN}x\r\n");
    let scheme = format!("Authorization: Basic {TOKEN}\r\n");
    for header in ["", "Authorization:\r\n", "Authorization: Bearer\r\n", &wrong, &scheme] {
        for (method, path) in [
            ("GET", "/livez"),
            ("GET", "/metrics"),
            ("GET", "/v1/clients/a"),
            ("GET", "/v1/clients/a%20b"),
            ("GET", "/v1/clients/a/connections"),
            ("POST", "/livez"),
            ("GET", "/nothing"),
            ("OPTIONS", "*"),
        ] {
            let mut http = with_header(&world, header).await;
            http.request(method, path).await;
            let answer = http.answer().await;
            answer.assert_problem(401, "unauthorized");
            assert_eq!(answer.header("www-authenticate"), Some("Bearer"), "{method} {path}");
            assert_eq!(answer.header("allow"), None, "it does not say what there is");
            assert_eq!(answer.header("connection"), Some("close"), "it takes nobody's place");
        }
        let reference = with_header(&world, header).await.get("/network_tracer/connections").await;
        assert_eq!((reference.status, reference.json()["error"].is_string()), (401, true));
        assert_eq!(reference.header("www-authenticate"), Some("Bearer"));
    }
    assert_eq!(*world.state.polls_asked().borrow(), 0);
}

#[tokio::test]
async fn the_token_opens_every_path_and_each_request_needs_it() {
    let world = World::start();
    let mut http = world.connect_over(Over::Tcp).await;
    for path in ["/livez", "/readyz", "/metrics", "/v1/status", "/v1/clients", "/v1/listeners"] {
        assert_eq!(http.get(path).await.status, 200, "{path}");
    }
    http.get("/nothing").await.assert_problem(404, "unknown-path");
    http.send("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n").await;
    http.answer().await.assert_problem(401, "unauthorized");
    let mut other_case = with_header(&world, &format!("AUTHORIZATION: bearer {TOKEN}\r\n")).await;
    assert_eq!(other_case.get("/livez").await.status, 200);
}

#[tokio::test]
async fn over_the_unix_socket_the_header_means_nothing() {
    let world = World::start();
    for header in ["Authorization: Bearer wrong\r\n", &format!("Authorization: Bearer {TOKEN}\r\n")] {
        let answer = world.ask_with("PUT", "/v1/clients/a", header, "").await;
        assert_eq!(answer.json()["owner_uid"], rustix::process::getuid().as_raw());
    }
}

#[tokio::test]
async fn who_has_the_token_is_one_owner_and_no_user() {
    let world = World::start();
    world.register("of-the-user").await;
    let mut http = world.connect_over(Over::Tcp).await;
    http.request("PUT", "/v1/clients/t").await;
    let client = http.answer().await;
    let owner = (&client.json()["owner"], &client.json()["owner_uid"]);
    assert_eq!((client.status, owner), (201, (&"token".into(), &Value::Null)));
    let mut again = world.connect_over(Over::Tcp).await;
    assert_eq!(again.get("/v1/clients/t/connections").await.status, 200, "on another connection too");
    let listed = again.get("/v1/clients").await.json();
    let ids: Vec<_> =
        listed["clients"].as_array().expect("a list").iter().map(|client| &client["id"]).collect();
    assert_eq!(ids, ["t"], "it sees its own");
    again.get("/v1/clients/of-the-user/connections").await.assert_problem(403, "not-owner");
    again.request("DELETE", "/v1/clients/of-the-user").await;
    again.answer().await.assert_problem(403, "not-owner");
}

#[tokio::test]
async fn of_the_users_only_root_may_use_a_client_of_the_token() {
    let world = World::start();
    world.register_as("t", Peer::Token).await;
    let (mut somebody, _) = connect_as_ordinary_user(&world.socket);
    somebody.get("/v1/clients/t/connections").await.assert_problem(403, "not-owner");
    somebody.request("PUT", "/v1/clients/t").await;
    somebody.answer().await.assert_problem(403, "not-owner");
    if rustix::process::getuid().is_root() {
        assert_eq!(world.poll("t", "").await.status, 200);
        assert_eq!(world.ask("GET", "/v1/clients/t").await.json()["owner"], "token");
        assert_eq!(world.ask("DELETE", "/v1/clients/t").await.status, 204);
    }
}

#[tokio::test]
async fn the_default_client_of_the_token_is_its_own() {
    let world = World::start();
    world.register("-1").await;
    let mut http = world.connect_over(Over::Tcp).await;
    http.request("PUT", "/v1/clients/-1").await;
    let client = http.answer().await;
    assert_eq!((client.status, &client.json()["owner"]), (201, &"token".into()));
}

#[tokio::test]
async fn a_port_that_is_in_use_is_refused_with_its_address() {
    let world = World::start();
    let token = Token::parse(TOKEN).expect("a good token");
    let refused = BoundTcp::bind(world.address, token).expect_err("the API listens there");
    assert!(matches!(refused, EndpointError::PortInUse { .. }), "{refused:?}");
    assert!(refused.to_string().contains(&world.address.to_string()), "{refused}");
}
