//! Connections: how long they may dawdle, how many there are, and how they end.

use std::time::Duration;

use endpoints::{Drained, HttpLimits};
use tokio::time::timeout;

use crate::world::{Setting, World, until};

fn limited(limits: HttpLimits) -> World {
    World::with(Setting { limits, ..Setting::default() })
}

#[tokio::test]
async fn a_client_that_dawdles_over_its_header_is_cut() {
    let limits = HttpLimits { header_read: Duration::from_millis(50), ..HttpLimits::default() };
    let world = limited(limits);
    let mut slow = world.connect().await;
    slow.send("GET /livez HTT").await;
    slow.closed().await;
    let mut idle = world.connect().await;
    assert_eq!(idle.get("/livez").await.status, 200);
    assert_eq!(idle.closed().await, b"", "an idle connection ends too");
}

#[tokio::test]
async fn a_header_that_is_too_large_is_refused() {
    let world = World::start();
    let mut http = world.connect().await;
    let header = "x".repeat(9 * 1024);
    http.send(&format!("GET /livez HTTP/1.1\r\nHost: {header}\r\n\r\n")).await;
    assert_eq!(http.answer().await.status, 431);
    let mut http = world.connect().await;
    http.send("no http at all\r\n\r\n").await;
    assert_eq!(http.answer().await.status, 400);
}

#[tokio::test]
async fn a_connection_beyond_the_limit_waits_for_another_to_end() {
    let limits =
        HttpLimits { connections: 2, header_read: Duration::from_secs(3600), ..HttpLimits::default() };
    let world = limited(limits);
    let (mut one, mut other) = (world.connect().await, world.connect().await);
    assert_eq!((one.get("/livez").await.status, other.get("/livez").await.status), (200, 200));
    let mut third = world.connect().await;
    third.request("GET", "/livez").await;
    let early = timeout(Duration::from_millis(50), third.waiting()).await;
    assert!(early.is_err(), "nobody has accepted it");
    drop(one);
    assert_eq!(third.answer().await.status, 200);
}

#[tokio::test]
async fn a_stopping_api_finishes_the_answers_in_flight() {
    let world = World::start();
    world.register("a").await;
    let mut idle = world.connect().await;
    assert_eq!(idle.get("/livez").await.status, 200);
    world.state.hold();
    let mut http = world.connect().await;
    http.request("GET", "/v1/clients/a/connections").await;
    until(world.state.polls_asked(), |polls| *polls == 1).await;
    let (state, socket) = (world.state.clone(), world.socket.clone());
    let stopping = world.stop();
    idle.closed().await;
    assert!(!socket.exists(), "nobody new can find it");
    state.release();
    let answer = http.answer().await;
    assert_eq!((answer.status, answer.complete), (200, true));
    assert_eq!(answer.json()["connections"].as_array().map(Vec::len), Some(3));
    assert_eq!(stopping.drained().await, Drained { cut: 0 });
    http.closed().await;
    assert_eq!(until(state.resolved(), |resolved| !resolved.is_empty()).await, [true]);
    assert_eq!(state.ways(), 1, "only the test's own is left");
}

#[tokio::test]
async fn a_stopped_api_lets_go_of_the_state_though_an_answer_was_not_read() {
    let limits = HttpLimits { drain: Duration::from_millis(50), ..HttpLimits::default() };
    let world = limited(limits);
    world.register("a").await;
    let mut http = world.connect().await;
    http.request("GET", "/v1/clients/a/connections").await;
    assert!(http.waiting().await > 0);
    let state = world.state.clone();
    assert_eq!(world.stop().drained().await, Drained { cut: 0 }, "its connection had nothing to finish");
    assert_eq!(state.ways(), 1, "only the test's own is left");
    assert_eq!(http.answer().await.status, 200, "what is in the socket can still be read");
}

#[tokio::test]
async fn a_stopping_api_does_not_wait_for_ever() {
    let limits = HttpLimits { drain: Duration::from_millis(50), ..HttpLimits::default() };
    let world = limited(limits);
    world.register("a").await;
    world.state.hold();
    let mut http = world.connect().await;
    http.request("GET", "/v1/clients/a/connections").await;
    until(world.state.polls_asked(), |polls| *polls == 1).await;
    assert_eq!(world.stop().drained().await, Drained { cut: 1 });
    assert_eq!(http.closed().await, b"");
}
