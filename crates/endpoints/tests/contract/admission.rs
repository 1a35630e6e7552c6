//! The bounds on polls in flight, each reached.

use std::time::Duration;

use endpoints::HttpLimits;

use crate::http::Http;
use crate::world::{Setting, World, in_time, until};

/// What a poll that waits for another soon has behind it, and one that waits for none hardly reaches.
const SHORT: Duration = Duration::from_millis(200);

async fn polling(world: &World, id: &str) -> Http {
    let mut http = world.connect().await;
    http.request("GET", &format!("/v1/clients/{id}/connections")).await;
    http
}

fn assert_crowded(answer: &crate::http::Answer) {
    answer.assert_problem(429, "too-many-polls");
    assert_eq!(answer.header("retry-after"), Some("1"));
}

#[tokio::test]
async fn a_third_poll_of_a_client_is_refused_at_once_and_the_second_gets_its_turn() {
    let limits = HttpLimits { poll_wait: Duration::from_secs(3600), ..HttpLimits::default() };
    let world = World::with(Setting { limits, ..Setting::default() });
    world.register("a").await;
    world.state.hold();
    let mut first = polling(&world, "a").await;
    until(world.state.polls_asked(), |polls| *polls == 1).await;
    let (mut one, mut other) = (polling(&world, "a").await, polling(&world, "a").await);
    // Which of the two has the second place is not said; the one that has it gets no answer yet.
    let mut waiting = tokio::select! {
        answer = one.answer() => { assert_crowded(&answer); other }
        answer = other.answer() => { assert_crowded(&answer); one }
    };
    assert_eq!(*world.state.polls_asked().borrow(), 2, "the third is not asked for");
    world.state.release();
    assert_eq!(first.answer().await.json()["connections"].as_array().map(Vec::len), Some(3));
    let second = waiting.answer().await.json();
    assert_eq!((&second["sequence"], &second["acknowledged"]), (&2.into(), &1.into()));
    assert_eq!(second["connections"].as_array().map(Vec::len), Some(0), "it sees what became of the first");
}

#[tokio::test]
async fn a_second_poll_of_a_client_does_not_wait_for_ever() {
    let limits = HttpLimits { poll_wait: SHORT, ..HttpLimits::default() };
    let world = World::with(Setting { limits, ..Setting::default() });
    world.register("a").await;
    world.state.hold();
    let mut first = polling(&world, "a").await;
    until(world.state.polls_asked(), |polls| *polls == 1).await;
    assert_crowded(&polling(&world, "a").await.answer().await);
    world.state.release();
    assert_eq!(first.answer().await.status, 200);
}

#[tokio::test]
async fn an_answer_that_is_not_read_keeps_its_place() {
    let limits = HttpLimits { poll_wait: SHORT, ..HttpLimits::default() };
    let world = World::with(Setting { limits, ..Setting::default() });
    world.register("a").await;
    let mut first = polling(&world, "a").await;
    assert!(first.waiting().await > 0);
    assert_crowded(&polling(&world, "a").await.answer().await);
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(world.resolved(1).await, [true]);
    assert_eq!(polling(&world, "a").await.answer().await.status, 200);
}

#[tokio::test]
async fn a_poll_beyond_those_in_all_is_refused_at_once_on_both_dialects() {
    let world = World::start();
    let polls = HttpLimits::default().polls;
    for number in 0..polls {
        world.register(&format!("c{number}")).await;
    }
    world.register("one-more").await;
    world.state.hold();
    let mut admitted = Vec::new();
    for number in 0..polls {
        admitted.push(polling(&world, &format!("c{number}")).await);
    }
    until(world.state.polls_asked(), |asked| *asked == polls).await;
    assert_crowded(&polling(&world, "one-more").await.answer().await);
    let reference = world.ask("GET", "/network_tracer/connections").await;
    assert_eq!((reference.status, reference.header("retry-after")), (429, Some("1")));
    assert!(reference.json()["error"].is_string());
    assert_eq!(world.ask("GET", "/livez").await.status, 200, "only polls are bounded so");
    world.state.release();
    for http in &mut admitted {
        assert_eq!(http.answer().await.status, 200);
    }
    // The places are free when the fate of each answer is known, a moment after it was read.
    in_time("a free place", async {
        while polling(&world, "one-more").await.answer().await.status != 200 {}
    })
    .await;
}
