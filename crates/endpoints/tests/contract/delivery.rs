//! Whether an answer counts as delivered, for every way in which it can end.

use std::time::Duration;

use endpoints::HttpLimits;
use serde_json::Value;

use crate::http::Http;
use crate::world::{Setting, World, until};

const POLL: &str = "/v1/clients/a/connections";

/// More than fits into a socket and all buffers before it.
const MANY: u64 = 20_000;

async fn world(connections: u64, write_stall: Duration) -> World {
    let limits = HttpLimits { write_stall, ..HttpLimits::default() };
    let world = World::with(Setting { limits, connections, ..Setting::default() });
    world.register("a").await;
    world
}

fn patient() -> Duration {
    HttpLimits::default().write_stall
}

/// Polls again and checks what the client was known to have.
async fn assert_next(world: &World, acknowledged: u64, told: usize) {
    let next: Value = world.ask("GET", POLL).await.json();
    assert_eq!(next["acknowledged"], acknowledged);
    assert_eq!(next["connections"].as_array().map(Vec::len), Some(told));
}

async fn polling(world: &World) -> Http {
    let mut http = world.connect().await;
    http.request("GET", POLL).await;
    http
}

#[tokio::test]
async fn an_answer_that_is_read_is_delivered_while_the_connection_stays() {
    let world = world(3, patient()).await;
    let mut http = polling(&world).await;
    let answer = http.answer().await;
    assert!(answer.header("content-length").is_some(), "a small answer says how long it is");
    assert_eq!(world.resolved(1).await, [true]);
    assert_next(&world, 1, 0).await;
}

#[tokio::test]
async fn an_answer_that_is_read_is_delivered_when_the_connection_is_closed() {
    let world = world(3, patient()).await;
    let mut http = polling(&world).await;
    http.answer().await;
    drop(http);
    assert_eq!(world.resolved(1).await, [true]);
    assert_next(&world, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_is_streamed_and_delivered() {
    let world = world(MANY, patient()).await;
    let answer = polling(&world).await.answer().await;
    assert!(answer.complete && answer.header("content-length").is_none());
    assert_eq!(answer.json()["connections"].as_array().map(Vec::len), Some(20_000));
    assert_eq!(world.resolved(1).await, [true]);
    assert_next(&world, 1, 0).await;
}

#[tokio::test]
async fn an_answer_that_nobody_read_is_told_again() {
    let world = world(3, patient()).await;
    let http = polling(&world).await;
    assert!(http.waiting().await > 0, "the answer is in the socket");
    drop(http);
    assert_eq!(world.resolved(1).await, [false]);
    assert_next(&world, 0, 3).await;
}

#[tokio::test]
async fn an_answer_whose_last_byte_was_not_read_is_told_again() {
    let world = world(3, patient()).await;
    let mut http = polling(&world).await;
    // A small answer comes as one piece.
    let bytes = usize::try_from(http.waiting().await).expect("an answer fits into memory");
    http.skip(bytes - 1).await;
    drop(http);
    assert_eq!(world.resolved(1).await, [false]);
    assert_next(&world, 0, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_that_is_closed_in_the_middle_is_told_again() {
    let world = world(MANY, patient()).await;
    let mut http = polling(&world).await;
    http.head().await;
    http.skip(300_000).await;
    drop(http);
    assert_eq!(world.resolved(1).await, [false]);
    assert_next(&world, 0, 20_000).await;
}

#[tokio::test]
async fn a_client_that_leaves_before_the_answer_is_told_again() {
    let world = world(3, patient()).await;
    world.state.hold();
    let http = polling(&world).await;
    until(world.state.polls_asked(), |polls| *polls == 1).await;
    drop(http);
    world.state.release();
    assert_eq!(world.resolved(1).await, [false]);
    assert_next(&world, 0, 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_stalls_is_cut_and_sees_that_the_answer_is_not_whole() {
    let world = world(MANY, Duration::from_millis(100)).await;
    let mut http = polling(&world).await;
    assert!(http.waiting().await > 0);
    assert_eq!(world.resolved(1).await, [false]);
    let answer = http.answer().await;
    assert_eq!((answer.status, answer.complete), (200, false), "the end of the body is missing");
    assert_next(&world, 0, 20_000).await;
}

#[tokio::test]
async fn an_answer_that_stays_in_the_socket_too_long_is_told_again() {
    let world = world(3, Duration::from_millis(100)).await;
    let http = polling(&world).await;
    assert!(http.waiting().await > 0);
    assert_eq!(world.resolved(1).await, [false]);
    drop(http);
    assert_next(&world, 0, 3).await;
}

#[tokio::test]
async fn the_answers_of_one_connection_have_fates_of_their_own() {
    let world = world(3, patient()).await;
    let mut http = polling(&world).await;
    assert_eq!(http.answer().await.json()["acknowledged"], 0);
    http.request("GET", POLL).await;
    assert!(http.waiting().await > 0);
    drop(http);
    assert_eq!(world.resolved(2).await, [true, false]);
    assert_next(&world, 1, 0).await;
}

#[tokio::test]
async fn requests_sent_ahead_wait_until_the_answer_before_is_read() {
    let world = world(3, patient()).await;
    let mut http = polling(&world).await;
    http.request("GET", POLL).await;
    http.request("GET", "/livez").await;
    assert!(http.waiting().await > 0);
    assert_eq!(http.answer().await.json()["sequence"], 1);
    assert_eq!(http.answer().await.json()["acknowledged"], 1);
    assert_eq!(http.answer().await.json()["status"], "live");
    assert_eq!(world.resolved(2).await, [true, true]);
}

#[tokio::test]
async fn an_answer_that_is_read_is_delivered_though_the_next_one_is_not() {
    let world = world(3, patient()).await;
    let mut http = world.connect().await;
    let ahead = format!("GET {POLL} HTTP/1.1\r\nHost: x\r\n\r\nGET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    http.send(&ahead).await;
    let bytes = usize::try_from(http.waiting().await).expect("an answer fits into memory");
    http.skip(bytes).await;
    assert!(http.waiting().await > 0, "the other answer follows only now");
    drop(http);
    assert_eq!(world.resolved(1).await, [true]);
}

#[tokio::test]
async fn every_answer_is_resolved_exactly_once() {
    let world = world(3, patient()).await;
    let mut wanted = Vec::new();
    for round in 0..20 {
        let mut http = polling(&world).await;
        let is_read = round % 3 != 0;
        if is_read {
            http.answer().await;
        } else {
            http.waiting().await;
        }
        drop(http);
        wanted.push(is_read);
        assert_eq!(world.resolved(wanted.len()).await, wanted);
    }
}
