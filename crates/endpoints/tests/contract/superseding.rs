//! Several polls of one client at once: which waits, which is put an end to, and how that shows.

use std::time::Duration;

use endpoints::HttpLimits;

use crate::http::Answer;
use crate::world::{Setting, World, connect_as_ordinary_user, in_time, until};

/// More than fits into a socket and all buffers before it.
const MANY: u64 = 4000;

/// No poll is refused because it had to wait: a test that passes did not wait.
async fn world(connections: u64) -> World {
    let limits = HttpLimits {
        poll_wait: Duration::from_secs(3600),
        write_stall: Duration::from_secs(3600),
        ..HttpLimits::default()
    };
    let world = World::with(Setting { limits, connections, ..Setting::default() });
    world.register("a").await;
    world
}

fn connections(answer: &Answer) -> usize {
    assert!(answer.status == 200 && answer.complete, "{} {}", answer.status, answer.complete);
    answer.json()["connections"].as_array().map_or(0, Vec::len)
}

async fn counter(world: &World, name: &str) -> u64 {
    let status = world.ask("GET", "/v1/status").await.json();
    status["counters"][name].as_u64().unwrap_or_else(|| panic!("{name}: {status}"))
}

#[tokio::test]
async fn a_poll_that_waits_for_a_pass_is_superseded_at_once() {
    for query in ["", "?after=0"] {
        let world = world(3).await;
        world.state.hold();
        let mut first = world.polling("a", query).await;
        world.polls_asked(1).await;
        let mut second = world.polling("a", "?after=0").await;
        first.answer().await.assert_problem(409, "superseded");
        assert_eq!(first.get("/livez").await.status, 200, "its connection goes on");
        world.state.release();
        assert_eq!(connections(&second.answer().await), 3);
        assert_eq!(counter(&world, "polls_superseded").await, 1);
        assert_eq!(world.resolved(1).await, [true], "the first was never answered");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_nobody_reads_is_cut_by_a_poll_that_supersedes_it() {
    for query in ["", "?after=0"] {
        let world = world(MANY).await;
        let mut first = world.polling("a", query).await;
        assert!(first.waiting().await > 0);
        let second = world.poll("a", "?after=0").await;
        assert_eq!((connections(&second), &second.json()["sequence"]), (4000, &2.into()));
        assert_eq!(world.resolved(2).await, [false, true]);
        let cut = first.answer().await;
        assert_eq!((cut.status, cut.complete), (200, false), "the end of the body is missing");
        first.closed().await;
        assert_eq!(counter(&world, "polls_superseded").await, 1);
        let state = world.ask("GET", "/v1/clients/a").await.json();
        assert_eq!((&state["pending"], &state["polling"]), (&2.into(), &false.into()), "{state}");
    }
}

#[tokio::test]
async fn an_answer_of_which_the_rest_is_in_the_socket_is_not_waited_for_either() {
    let world = world(3).await;
    let mut first = world.polling("a", "").await;
    let bytes = usize::try_from(first.waiting().await).expect("an answer fits into memory");
    first.skip(bytes - 1).await;
    assert_eq!(connections(&world.poll("a", "?after=0").await), 3);
    assert_eq!(world.resolved(2).await, [false, true]);
    first.closed().await;
}

#[tokio::test]
async fn the_client_may_have_the_answer_that_its_poll_puts_an_end_to() {
    let world = world(3).await;
    let mut first = world.polling("a", "").await;
    assert!(first.waiting().await > 0);
    let second = world.poll("a", "?after=1").await.json();
    assert_eq!((&second["sequence"], &second["acknowledged"]), (&2.into(), &1.into()));
    assert_eq!(first.answer().await.json()["sequence"], 1, "what is in the socket can still be read");
    assert_eq!(world.resolved(2).await, [false, true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_poll_out_of_sequence_supersedes_nothing() {
    let world = world(MANY).await;
    let mut first = world.polling("a", "").await;
    assert!(first.waiting().await > 0);
    let refused = world.poll("a", "?after=7").await;
    refused.assert_problem(409, "out-of-sequence");
    assert_eq!((&refused.json()["acknowledged"], &refused.json()["pending"]), (&0.into(), &1.into()));
    assert_eq!(connections(&first.answer().await), 4000);
    assert_eq!(world.resolved(1).await, [true]);
    assert_eq!(counter(&world, "polls_superseded").await, 0);
}

#[tokio::test]
async fn polls_that_supersede_one_another_are_all_ended() {
    let world = world(3).await;
    world.state.hold();
    let mut newest = world.polling("a", "?after=0").await;
    world.polls_asked(1).await;
    for number in 2..=10 {
        let next = world.polling("a", "?after=0").await;
        newest.answer().await.assert_problem(409, "superseded");
        world.polls_asked(number).await;
        newest = next;
    }
    world.state.release();
    assert_eq!(connections(&newest.answer().await), 3);
    world.resolved(1).await;
    let state = world.ask("GET", "/v1/clients/a").await.json();
    assert_eq!((&state["polling"], &state["pending"]), (&false.into(), &1.into()));
}

#[tokio::test]
async fn a_poll_that_acknowledges_itself_waits_for_one_that_does_not() {
    let world = world(3).await;
    let mut first = world.polling("a", "?after=0").await;
    assert!(first.waiting().await > 0);
    let mut second = world.polling("a", "").await;
    world.polls_asked(2).await;
    let state = world.ask("GET", "/v1/clients/a").await.json();
    assert_eq!(
        (&state["sequence"], &state["polling"]),
        (&1.into(), &true.into()),
        "the second has not begun"
    );
    assert_eq!(first.answer().await.status, 200);
    let second = second.answer().await;
    assert_eq!(
        (connections(&second), &second.json()["acknowledged"]),
        (3, &0.into()),
        "it drops what is pending"
    );
    assert_eq!(world.resolved(2).await, [true, true]);
}

#[tokio::test]
async fn a_poll_that_waits_in_line_is_refused_after_its_time_and_disturbs_nothing() {
    let limits = HttpLimits { poll_wait: Duration::from_millis(200), ..HttpLimits::default() };
    let world = World::with(Setting { limits, ..Setting::default() });
    world.register("a").await;
    let mut first = world.polling("a", "?after=0").await;
    assert!(first.waiting().await > 0);
    world.poll("a", "").await.assert_problem(429, "too-many-polls");
    assert_eq!(counter(&world, "polls_refused_waited_too_long").await, 1);
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(world.resolved(1).await, [true]);
    let state = world.ask("GET", "/v1/clients/a").await.json();
    assert_eq!((&state["pending"], &state["polling"]), (&1.into(), &false.into()), "the other never begins");
}

#[tokio::test]
async fn who_leaves_the_line_frees_the_place_and_gets_no_turn() {
    let world = world(3).await;
    let mut first = world.polling("a", "").await;
    assert!(first.waiting().await > 0);
    for polls in 2..7 {
        // The place of the one before is free a moment after it has left.
        in_time("a place in line", async {
            loop {
                let mut leaver = world.polling("a", "").await;
                tokio::select! {
                    () = world.polls_asked(polls) => return,
                    refused = leaver.answer() => refused.assert_problem(429, "too-many-polls"),
                }
            }
        })
        .await;
    }
    let mut last = world.polling("a", "").await;
    assert_eq!(first.answer().await.status, 200);
    in_time("a place", async {
        loop {
            let answer = last.answer().await;
            if answer.status == 200 {
                assert_eq!(answer.json()["sequence"], 2, "nobody had a turn in between");
                return;
            }
            last = world.polling("a", "").await;
        }
    })
    .await;
}

#[tokio::test]
async fn a_poll_in_line_whose_client_is_removed_is_of_no_client() {
    let world = world(3).await;
    world.state.hold();
    let mut first = world.polling("a", "").await;
    world.polls_asked(1).await;
    let mut second = world.polling("a", "").await;
    world.polls_asked(2).await;
    assert_eq!(world.ask("DELETE", "/v1/clients/a").await.status, 204);
    second.answer().await.assert_problem(404, "unknown-client");
    world.register("a").await;
    world.state.release();
    first.answer().await.assert_problem(404, "unknown-client");
    assert_eq!(connections(&world.poll("a", "").await), 3);
    assert_eq!(world.resolved(1).await, [true]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_client_that_is_removed_while_its_answer_is_read_is_gone_at_once() {
    let world = world(MANY).await;
    let mut first = world.polling("a", "").await;
    assert!(first.waiting().await > 0);
    assert_eq!(world.ask("DELETE", "/v1/clients/a").await.status, 204);
    world.ask("GET", "/v1/clients/a").await.assert_problem(404, "unknown-client");
    world.register("a").await;
    let second = world.poll("a", "").await;
    assert_eq!((connections(&second), &second.json()["sequence"]), (4000, &2.into()), "a client of its own");
    assert_eq!(world.resolved(1).await, [true]);
    assert_eq!(connections(&first.answer().await), 4000, "what was true when it was made can still be read");
    world.resolved(2).await;
    let state = world.ask("GET", "/v1/clients/a").await.json();
    assert_eq!((&state["acknowledged"], &state["sequence"]), (&2.into(), &2.into()));
}

#[tokio::test]
async fn root_and_owner_of_a_client_take_turns() {
    let world = world(3).await;
    let (mut owner, _) = connect_as_ordinary_user(&world.socket);
    owner.request("PUT", "/v1/clients/of-user").await;
    assert_eq!(owner.answer().await.status, 201);
    world.state.hold();
    let mut root = world.polling("of-user", "").await;
    world.polls_asked(1).await;
    owner.request("GET", "/v1/clients/of-user/connections").await;
    world.polls_asked(2).await;
    world.state.release();
    let first = root.answer().await;
    assert_eq!((connections(&first), &first.json()["sequence"]), (3, &1.into()));
    let second = owner.answer().await;
    assert_eq!((connections(&second), &second.json()["acknowledged"]), (0, &1.into()), "it saw the outcome");
    // And each may put an end to the other's.
    world.state.hold();
    let mut root = world.polling("of-user", "").await;
    world.polls_asked(3).await;
    owner.request("GET", "/v1/clients/of-user/connections?after=2").await;
    root.answer().await.assert_problem(409, "superseded");
    world.state.release();
    assert_eq!(connections(&owner.answer().await), 0);
}

#[tokio::test]
async fn a_client_whose_reader_is_slow_is_not_forgotten() {
    let world = world(3).await;
    world.put("a", "{\"ttl_s\": 10}").await;
    let mut slow = world.polling("a", "").await;
    assert!(slow.waiting().await > 0);
    world.state.put_forward(Duration::from_secs(5000));
    let state = world.ask("GET", "/v1/clients/a").await.json();
    assert_eq!((&state["polling"], state.get("expires_at")), (&true.into(), None), "{state}");
    assert_eq!(connections(&slow.answer().await), 3);
    until(world.state.resolved(), |resolved| resolved.len() == 1).await;
    world.state.put_forward(Duration::from_secs(9));
    let state = world.ask("GET", "/v1/clients/a").await.json();
    assert_eq!((&state["acknowledged"], state["expires_at"].is_string()), (&1.into(), true), "{state}");
    world.state.put_forward(Duration::from_secs(2));
    world.ask("GET", "/v1/clients/a").await.assert_problem(404, "unknown-client");
}

#[tokio::test]
async fn a_client_whose_poll_waits_is_not_forgotten() {
    let world = world(3).await;
    world.put("a", "{\"ttl_s\": 10}").await;
    world.state.hold();
    let mut http = world.polling("a", "?after=0").await;
    world.polls_asked(1).await;
    world.state.put_forward(Duration::from_secs(5000));
    assert_eq!(world.ask("GET", "/v1/clients/a").await.json()["polling"], true);
    world.state.release();
    assert_eq!(connections(&http.answer().await), 3);
}

#[tokio::test]
async fn a_poll_of_one_client_does_not_wait_for_the_encoding_or_the_reader_of_another() {
    let world = world(MANY).await;
    world.register("b").await;
    let slow = world.polling("a", "?after=0").await;
    assert!(slow.waiting().await > 0, "the answer is larger than what is between");
    let quick = world.poll("b", "").await;
    assert_eq!(connections(&quick), 4000);
    let state = world.ask("GET", "/v1/clients/a").await.json();
    assert_eq!(state["polling"], true, "its answer is still being written");
    assert!(slow.waiting().await > 0);
    drop(slow);
    assert_eq!(world.resolved(2).await, [true, false]);
}
