//! Whether an answer over TCP counts as delivered: when the kernel of the other end has acknowledged all of it.

use std::time::Duration;

use endpoints::HttpLimits;

use crate::http::Http;
use crate::world::{Over, Setting, TOKEN, World, in_time};

const CLIENT: &str = "/v1/clients/a";
const POLL: &str = "/v1/clients/a/connections";

/// More than fits into a socket and all buffers before it.
const MANY: u64 = 20_000;

/// More than a small window, and less than what the socket of the API takes at once.
const SOME: u64 = 600;

/// Bytes of a small window.
const WINDOW: u32 = 16 * 1024;

async fn world(connections: u64, write_stall: Duration) -> World {
    let limits = HttpLimits { write_stall, ..HttpLimits::default() };
    let world = World::with(Setting { limits, connections, ..Setting::default() });
    let mut http = world.connect_over(Over::Tcp).await;
    http.request("PUT", CLIENT).await;
    assert_eq!(http.answer().await.status, 201);
    world
}

fn patient() -> Duration {
    HttpLimits::default().write_stall
}

async fn polling(world: &World) -> Http {
    let header = format!("Authorization: Bearer {TOKEN}\r\n");
    let mut http = Http::connect_tcp(world.address, &header, WINDOW).await;
    http.request("GET", POLL).await;
    http
}

/// Polls again and checks what the client was known to have.
async fn assert_next(world: &World, acknowledged: u64, told: usize) {
    let mut http = world.connect_over(Over::Tcp).await;
    let next = http.get(POLL).await.json();
    assert_eq!(next["acknowledged"], acknowledged);
    assert_eq!(next["connections"].as_array().map(Vec::len), Some(told));
}

/// Waits until nothing more comes as long as nothing is read: the window is full.
async fn full_window(http: &Http) {
    http.waiting().await;
    let full = async {
        loop {
            let before = http.waiting_now();
            tokio::time::sleep(Duration::from_millis(50)).await;
            if http.waiting_now() == before {
                return;
            }
        }
    };
    in_time("a full window", full).await;
}

#[tokio::test]
async fn an_answer_that_is_read_is_delivered_while_the_connection_stays_and_when_it_is_closed() {
    let world = world(3, patient()).await;
    let mut http = polling(&world).await;
    assert_eq!(http.answer().await.json()["acknowledged"], 0);
    assert_eq!(world.resolved(1).await, [true]);
    http.request("GET", POLL).await;
    assert_eq!(http.answer().await.json()["acknowledged"], 1);
    drop(http);
    assert_eq!(world.resolved(2).await, [true, true]);
    assert_next(&world, 2, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_waits_for_its_reader_is_delivered_when_it_was_read_and_not_before() {
    let world = world(SOME, patient()).await;
    let mut http = polling(&world).await;
    full_window(&http).await;
    assert!(world.state.resolved().borrow().is_empty(), "most of it is in the API's socket");
    let answer = http.answer().await;
    assert!(answer.complete);
    assert_eq!(answer.json()["connections"].as_array().map(Vec::len), Some(600));
    assert_eq!(world.resolved(1).await, [true]);
    assert_next(&world, 1, 0).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_whose_reader_goes_away_is_told_again() {
    for connections in [SOME, MANY] {
        let world = world(connections, patient()).await;
        let http = polling(&world).await;
        full_window(&http).await;
        drop(http);
        // What it had not read makes its kernel reset the connection.
        assert_eq!(world.resolved(1).await, [false]);
        assert_next(&world, 0, usize::try_from(connections).expect("few")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_whose_reader_stalls_is_told_again() {
    for connections in [SOME, MANY] {
        let world = world(connections, Duration::from_millis(100)).await;
        let http = polling(&world).await;
        assert_eq!(world.resolved(1).await, [false]);
        drop(http);
        assert_next(&world, 0, usize::try_from(connections).expect("few")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_large_answer_is_streamed_and_delivered() {
    let world = world(MANY, patient()).await;
    let mut http = world.connect_over(Over::Tcp).await;
    let answer = http.get(POLL).await;
    assert!(answer.complete && answer.header("content-length").is_none());
    assert_eq!(answer.json()["connections"].as_array().map(Vec::len), Some(20_000));
    assert_eq!(world.resolved(1).await, [true]);
    assert_next(&world, 1, 0).await;
}

#[tokio::test]
async fn requests_sent_ahead_are_answered_in_their_order() {
    let world = world(3, patient()).await;
    let mut http = polling(&world).await;
    http.request("GET", POLL).await;
    http.request("GET", "/livez").await;
    assert_eq!(http.answer().await.json()["sequence"], 1);
    assert_eq!(http.answer().await.json()["acknowledged"], 1);
    assert_eq!(http.answer().await.json()["status"], "live");
    assert_eq!(world.resolved(2).await, [true, true]);
}
