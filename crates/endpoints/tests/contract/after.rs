//! Polls that say which answer their client has.

use serde_json::{Value, json};

use crate::http::Answer;
use crate::world::{Setting, World};

/// What a client gets to a poll, and how many connections it is told of.
fn told(answer: &Answer) -> (Value, Value, usize) {
    assert!(answer.status == 200 && answer.complete, "{answer:?}");
    let json = answer.json();
    let connections = json["connections"].as_array().map_or(0, Vec::len);
    (json["sequence"].clone(), json["acknowledged"].clone(), connections)
}

fn assert_out_of_sequence(answer: &Answer, acknowledged: u64, pending: Option<u64>) {
    answer.assert_problem(409, "out-of-sequence");
    let json = answer.json();
    assert_eq!(json["acknowledged"], acknowledged, "{json}");
    assert_eq!(json.get("pending"), pending.map(|pending| json!(pending)).as_ref(), "{json}");
}

async fn world() -> World {
    let world = World::start();
    world.register("a").await;
    world
}

#[tokio::test]
async fn each_answer_goes_on_from_the_one_that_the_client_has() {
    let world = world().await;
    assert_eq!(told(&world.poll("a", "?after=0").await), (1.into(), 0.into(), 3));
    let state = world.ask("GET", "/v1/clients/a").await.json();
    assert_eq!((&state["acknowledged"], &state["pending"]), (&0.into(), &1.into()), "{state}");
    world.state.grow(5);
    assert_eq!(told(&world.poll("a", "?after=1").await), (2.into(), 1.into(), 2));
    assert_eq!(told(&world.poll("a", "?after=2").await), (3.into(), 2.into(), 0));
}

#[tokio::test]
async fn an_answer_that_the_client_has_not_kept_is_told_again_with_what_came_since() {
    let world = world().await;
    let first = world.poll("a", "?after=0").await.json();
    // It was read to its end, which says nothing here.
    world.resolved(1).await;
    world.state.grow(5);
    let again = world.poll("a", "?after=0").await;
    assert_eq!(told(&again), (2.into(), 0.into(), 5));
    let ids = |json: &Value| -> Vec<String> {
        let connections = json["connections"].as_array().expect("an array").iter();
        connections.map(|connection| connection["id"].to_string()).collect()
    };
    let again = again.json();
    assert!(ids(&first).iter().all(|id| ids(&again).contains(id)), "{first} {again}");
    assert_eq!(first["from"], again["from"]);
    assert_out_of_sequence(&world.poll("a", "?after=1").await, 0, Some(2));
    assert_eq!(told(&world.poll("a", "?after=2").await), (3.into(), 2.into(), 0));
}

#[tokio::test]
async fn an_answer_that_was_not_read_is_pending_all_the_same() {
    let world = world().await;
    let http = world.polling("a", "?after=0").await;
    assert!(http.waiting().await > 0);
    drop(http);
    assert_eq!(world.resolved(1).await, [false]);
    let state = world.ask("GET", "/v1/clients/a").await.json();
    assert_eq!((&state["pending"], &state["polling"]), (&1.into(), &false.into()), "{state}");
    assert_eq!(told(&world.poll("a", "?after=0").await), (2.into(), 0.into(), 3));
    assert_eq!(told(&world.poll("a", "?after=2").await), (3.into(), 2.into(), 0));
}

#[tokio::test]
async fn an_answer_that_is_neither_pending_nor_acknowledged_is_refused_with_those_that_are() {
    let world = world().await;
    assert_out_of_sequence(&world.poll("a", "?after=1").await, 0, None);
    world.poll("a", "?after=0").await;
    world.poll("a", "?after=1").await;
    for after in [0, 3, u64::MAX] {
        assert_out_of_sequence(&world.poll("a", &format!("?after={after}")).await, 1, Some(2));
    }
    world.poll("a", "?after=1").await;
    assert_out_of_sequence(&world.poll("a", "?after=2").await, 1, Some(3));
    let status = world.ask("GET", "/v1/status").await.json();
    assert_eq!(status["counters"]["polls_out_of_sequence"], 5, "{status}");
    assert_eq!(told(&world.poll("a", "?after=3").await), (4.into(), 3.into(), 0));
}

#[tokio::test]
async fn a_poll_that_acknowledges_itself_drops_a_pending_answer() {
    let world = world().await;
    world.poll("a", "?after=0").await;
    assert_eq!(told(&world.poll("a", "").await), (2.into(), 0.into(), 3));
    world.resolved(2).await;
    assert_out_of_sequence(&world.poll("a", "?after=1").await, 2, None);
    assert_eq!(told(&world.poll("a", "?after=2").await), (3.into(), 2.into(), 0));
}

#[tokio::test]
async fn on_one_connection_polls_follow_one_another() {
    let world = world().await;
    let mut http = world.connect().await;
    for after in 0..20 {
        let answer = http.get(&format!("/v1/clients/a/connections?after={after}")).await;
        assert_eq!(told(&answer).0, after + 1);
    }
    assert_eq!(world.resolved(20).await, [true; 20]);
}

#[tokio::test]
async fn a_poll_on_another_connection_cuts_none_that_was_read_to_its_end() {
    let world = world().await;
    let (mut one, mut other) = (world.connect().await, world.connect().await);
    for after in [0, 2, 4] {
        let answer = one.get(&format!("/v1/clients/a/connections?after={after}")).await;
        assert_eq!(told(&answer).0, after + 1);
        let answer = other.get(&format!("/v1/clients/a/connections?after={}", after + 1)).await;
        assert_eq!(told(&answer).0, after + 2);
    }
    assert_eq!(world.resolved(6).await, [true; 6]);
}

#[tokio::test]
async fn what_is_no_number_of_an_answer_is_refused() {
    let world = world().await;
    for after in ["", "x", "-1", "%2B1", "1.0", "0x1", "%201", "18446744073709551616"] {
        let refused = world.poll("a", &format!("?after={after}")).await;
        refused.assert_problem(400, "invalid-parameter");
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains("after is ") && detail.contains("allowed is "), "{detail}");
    }
    let long = world.poll("a", &format!("?after={}", "9".repeat(500))).await;
    long.assert_problem(400, "invalid-parameter");
    assert!(long.body.len() < 500, "{:?}", long.json());
    assert_eq!(*world.state.polls_asked().borrow(), 0);
}

#[tokio::test]
async fn unknown_parameters_are_refused_on_the_native_path_and_ignored_on_the_references() {
    let world = world().await;
    for query in ["?afer=1", "?client_id=a", "?after=0&rollup=ports&more", "?After=0"] {
        let refused = world.poll("a", query).await;
        refused.assert_problem(400, "invalid-parameter");
        let detail = refused.json()["detail"].to_string();
        assert!(detail.contains("after, rollup and fields"), "{detail}");
    }
    let refused = world.poll("a", "?rollup=all").await;
    refused.assert_problem(400, "invalid-parameter");
    assert!(refused.json()["detail"].to_string().contains("ports or none"));
    let reference = world.ask("GET", "/network_tracer/connections?client_id=a&rollup=all").await;
    assert_eq!((reference.status, reference.json()["error"].is_string()), (400, true));
    for query in ["?rollup=ports", "?rollup=none", "?after=2&rollup=ports"] {
        let answer = world.poll("a", query).await;
        assert_eq!(answer.status, 200, "{query}: {answer:?}");
        world.resolved(1).await;
    }
    let path = "/network_tracer/connections?client_id=b&after=77&rollup=ports&more=1";
    assert_eq!(world.ask("GET", path).await.json()["conns"].as_array().map(Vec::len), Some(3));
}

#[tokio::test]
async fn the_registration_of_another_time_is_no_sequence() {
    let world = World::with(Setting::default());
    world.poll("a", "?after=0").await.assert_problem(404, "unknown-client");
    world.register("a").await;
    world.poll("a", "?after=0").await;
    world.ask("DELETE", "/v1/clients/a").await;
    world.register("a").await;
    assert_out_of_sequence(&world.poll("a", "?after=1").await, 0, None);
}
