//! Readers that are slow to read: what they may hold, and when they give way.

use std::time::Duration;

use endpoints::HttpLimits;

use crate::http::{Answer, Http};
use crate::world::{Setting, World, in_time};

/// More than fits into a socket and all buffers before it.
const MANY: u64 = 20_000;

/// From here on a reader is slow.
const SLOW: Duration = Duration::from_millis(50);

fn limits() -> HttpLimits {
    HttpLimits { slow_read: SLOW, ..HttpLimits::default() }
}

async fn world(setting: Setting) -> World {
    let world = World::with(setting);
    for id in ["slow", "quick"] {
        world.register(id).await;
    }
    world
}

/// A poll whose answer fills the socket and is not read, for as long as it takes to be slow.
async fn slow_reader(world: &World) -> Http {
    let reader = world.polling("slow", "").await;
    assert!(reader.waiting().await > 0);
    tokio::time::sleep(SLOW * 2).await;
    reader
}

/// A poll that is answered once the other reader is slow: on a busy machine the encoding is, for a while.
async fn answered(world: &World) -> Answer {
    let poll = async {
        loop {
            let answer = world.poll("quick", "").await;
            if answer.status != 429 {
                return answer;
            }
        }
    };
    in_time("a poll that finds a place", poll).await
}

async fn counter(world: &World, name: &str) -> u64 {
    let status = world.ask("GET", "/v1/status").await.json();
    status["counters"][name].as_u64().unwrap_or_else(|| panic!("{name} in {status}"))
}

/// The reader was cut: it sees that its answer is not whole, and is told again.
async fn assert_gave_way(world: &World, mut reader: Http) {
    assert_eq!(counter(world, "answers_gave_way").await, 1);
    let cut = reader.answer().await;
    assert_eq!((cut.status, cut.complete), (200, false), "the end of the body is missing");
    let again = world.poll("slow", "").await;
    assert!(again.complete);
    assert_eq!(again.json()["connections"].as_array().map(Vec::len), Some(20_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_gives_its_place_to_a_poll_that_finds_none() {
    let limits = HttpLimits { polls: 1, ..limits() };
    let world = world(Setting { limits, connections: MANY, ..Setting::default() }).await;
    let slow = slow_reader(&world).await;
    assert_eq!(answered(&world).await.status, 200);
    assert_eq!(world.resolved(2).await.iter().filter(|delivered| **delivered).count(), 1);
    assert_gave_way(&world, slow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_of_a_listing_gives_its_place_too() {
    let limits = HttpLimits { polls: 1, ..limits() };
    let world = world(Setting { limits, connections: MANY, ..Setting::default() }).await;
    let mut slow = world.connect().await;
    slow.request("GET", "/v1/connections").await;
    assert!(slow.waiting().await > 0);
    assert_eq!(answered(&world).await.status, 200);
    assert!(!slow.answer().await.complete);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slow_readers_give_way_to_an_answer_for_which_there_is_no_memory() {
    let setting = Setting { limits: limits(), connections: MANY, answer_bytes: 1, ..Setting::default() };
    let world = world(setting).await;
    let slow = slow_reader(&world).await;
    assert_eq!(answered(&world).await.status, 200);
    assert_gave_way(&world, slow).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_is_not_cut_while_nobody_needs_what_it_holds() {
    let world = world(Setting { limits: limits(), connections: MANY, ..Setting::default() }).await;
    let mut slow = slow_reader(&world).await;
    assert_eq!(world.poll("quick", "").await.status, 200);
    let answer = slow.answer().await;
    assert!(answer.complete);
    assert_eq!(answer.json()["connections"].as_array().map(Vec::len), Some(20_000));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_reader_that_is_not_slow_yet_keeps_its_place() {
    let limits = HttpLimits { polls: 1, slow_read: Duration::from_secs(3600), ..limits() };
    let world = world(Setting { limits, connections: MANY, ..Setting::default() }).await;
    let mut reader = slow_reader(&world).await;
    world.poll("quick", "").await.assert_problem(429, "too-many-polls");
    assert!(reader.answer().await.complete);
}

#[tokio::test]
async fn an_answer_in_the_socket_takes_no_place_of_another_client() {
    let limits = HttpLimits { polls: 1, slow_read: Duration::from_secs(3600), ..limits() };
    let world = world(Setting { limits, ..Setting::default() }).await;
    let unread = slow_reader(&world).await;
    assert_eq!(world.poll("quick", "").await.status, 200);
    drop(unread);
    assert_eq!(world.resolved(2).await.iter().filter(|delivered| **delivered).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_takes_too_long_in_all_is_cut_though_it_is_read() {
    let limits = HttpLimits { answer: Duration::from_millis(500), ..limits() };
    let world = world(Setting { limits, connections: MANY, ..Setting::default() }).await;
    let mut reader = world.polling("slow", "").await;
    reader.head().await;
    let drip = async {
        loop {
            reader.skip(1).await;
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        () = in_time("the end of the answer", drip) => unreachable!("it reads for ever"),
        resolved = world.resolved(1) => assert_eq!(resolved, [false]),
    }
    assert_eq!(
        (counter(&world, "answers_too_slow").await, counter(&world, "answers_gave_way").await),
        (1, 0)
    );
}
