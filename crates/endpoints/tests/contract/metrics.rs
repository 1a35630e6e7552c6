//! The metrics: their forms, who gets which, and what the API counts of itself.

use std::time::Duration;

use endpoints::HttpLimits;
use tokio::time::timeout;

use crate::http::Answer;
use crate::world::{Setting, World, until};

const TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn text(answer: &Answer) -> &str {
    std::str::from_utf8(&answer.body).expect("metrics are UTF-8")
}

/// The value of a sample, given with its labels.
async fn value(world: &World, sample: &str) -> u64 {
    let answer = world.ask("GET", "/metrics").await;
    let lines = text(&answer).lines();
    let found = lines.filter_map(|line| line.strip_prefix(sample)?.strip_prefix(' ')).next();
    found.and_then(|value| value.parse().ok()).unwrap_or_else(|| panic!("{sample} in {}", text(&answer)))
}

#[tokio::test]
async fn a_scraper_gets_the_form_that_it_asks_for() {
    let world = World::start();
    for (accept, content_type) in [
        ("", TEXT),
        ("Accept: */*\r\n", TEXT),
        ("Accept: text/plain;q=0.5, application/openmetrics-text;q=0.4\r\n", TEXT),
        ("Accept: application/openmetrics-text;q=0\r\nAccept: text/*\r\n", TEXT),
        ("Accept: application/openmetrics-text\r\n", OPEN_METRICS),
        ("Accept: Application/OpenMetrics-Text; Version=1.0.0; q=0.5, text/plain;q=0.3\r\n", OPEN_METRICS),
        ("Accept: text/plain;q=0.3\r\nAccept: application/openmetrics-text;q=0.4\r\n", OPEN_METRICS),
    ] {
        let answer = world.ask_with("GET", "/metrics", accept, "").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(content_type)), "{accept}");
        let live = "\nsockeye_live_connections 3\n";
        assert!(text(&answer).contains(live), "{accept}: {}", text(&answer));
        assert_eq!(text(&answer).ends_with("# EOF\n"), content_type == OPEN_METRICS, "{accept}");
    }
    for accept in ["Accept: text/html\r\n", "Accept: application/json;q=0.9, */*;q=0\r\n"] {
        world.ask_with("GET", "/metrics", accept, "").await.assert_problem(406, "not-acceptable");
    }
}

#[tokio::test]
async fn a_name_that_could_end_a_label_does_not() {
    let world = World::start();
    for accept in ["", "Accept: application/openmetrics-text\r\n"] {
        let answer = world.ask_with("GET", "/metrics", accept, "").await;
        let sample = "\nsockeye_program_runs_sampled_total{program=\"a\\\"} 1\\n\\\\b\"} 7\n";
        assert!(text(&answer).contains(sample), "{}", text(&answer));
    }
}

#[tokio::test]
async fn a_head_request_has_no_body_and_other_methods_are_refused() {
    let world = World::start();
    let mut http = world.connect().await;
    http.request("HEAD", "/metrics").await;
    let head = http.head().await;
    assert!(head.starts_with("HTTP/1.1 200") && head.contains(TEXT), "{head}");
    assert_eq!(http.get("/livez").await.status, 200, "nothing came between the answers");
    let post = world.ask("POST", "/metrics").await;
    post.assert_problem(405, "method-not-allowed");
    assert_eq!(post.header("allow"), Some("GET"));
}

#[tokio::test]
async fn metrics_cost_no_client_anything() {
    let world = World::start();
    world.register("a").await;
    for _ in 0..3 {
        assert_eq!(world.ask("GET", "/metrics").await.status, 200);
    }
    assert_eq!(*world.state.polls_asked().borrow(), 0);
    assert_eq!(value(&world, "sockeye_clients").await, 1);
    let json = world.ask("GET", "/v1/clients/a/connections").await.json();
    assert_eq!((&json["sequence"], &json["acknowledged"]), (&1.into(), &0.into()));
    world.state.silence(true);
    world.ask("GET", "/metrics").await.assert_problem(503, "unavailable");
}

#[tokio::test]
async fn requests_are_counted_by_the_class_of_their_answer() {
    let world = World::start();
    let class = |class: &str| format!("sockeye_http_requests_total{{class=\"{class}\"}}");
    assert_eq!(value(&world, &class("2xx")).await, 0, "the own one is not answered yet");
    world.ask("GET", "/nothing").await;
    world.ask("POST", "/livez").await;
    world.state.set_ready(false);
    world.ask("GET", "/readyz").await;
    assert_eq!(value(&world, &class("4xx")).await, 2);
    assert_eq!(value(&world, &class("5xx")).await, 1);
    assert_eq!(value(&world, &class("2xx")).await, 3);
    let status = world.ask("GET", "/v1/status").await.json();
    assert_eq!(status["counters"]["http_requests_2xx"], 4, "the status counts the same: {status}");
}

#[tokio::test]
async fn refused_polls_are_counted_by_cause() {
    let limits = HttpLimits { polls: 2, poll_wait: Duration::from_millis(200), ..HttpLimits::default() };
    let world = World::with(Setting { limits, ..Setting::default() });
    for id in ["a", "b"] {
        world.register(id).await;
    }
    world.state.hold();
    let mut first = world.connect().await;
    first.request("GET", "/v1/clients/a/connections").await;
    until(world.state.polls_asked(), |polls| *polls == 1).await;
    // The second place of the client, in vain.
    assert_eq!(world.ask("GET", "/v1/clients/a/connections").await.status, 429);
    let mut second = world.connect().await;
    second.request("GET", "/v1/clients/b/connections").await;
    until(world.state.polls_asked(), |polls| *polls == 2).await;
    assert_eq!(world.ask("GET", "/v1/clients/c/connections").await.status, 429);
    world.state.release();
    assert_eq!((first.answer().await.status, second.answer().await.status), (200, 200));
    for (cause, refused) in
        [("of_client", 0), ("in_all", 1), ("waited_too_long", 1), ("answers_too_large", 0)]
    {
        let sample = format!("sockeye_polls_refused_total{{cause=\"{cause}\"}}");
        assert_eq!(value(&world, &sample).await, refused, "{cause}");
    }
}

#[tokio::test]
async fn a_poll_beyond_the_clients_own_limit_is_counted_as_such() {
    let limits = HttpLimits { polls_per_client: 1, ..HttpLimits::default() };
    let world = World::with(Setting { limits, ..Setting::default() });
    world.register("a").await;
    world.state.hold();
    let mut first = world.connect().await;
    first.request("GET", "/v1/clients/a/connections").await;
    until(world.state.polls_asked(), |polls| *polls == 1).await;
    assert_eq!(world.ask("GET", "/v1/clients/a/connections").await.status, 429);
    world.state.release();
    assert_eq!(first.answer().await.status, 200);
    assert_eq!(value(&world, "sockeye_polls_refused_total{cause=\"of_client\"}").await, 1);
}

#[tokio::test]
async fn connections_are_counted_while_they_are_open_and_when_they_have_to_wait() {
    let limits =
        HttpLimits { connections: 2, header_read: Duration::from_secs(3600), ..HttpLimits::default() };
    let world = World::with(Setting { limits, ..Setting::default() });
    let (open, waited) = ("\nsockeye_http_connections ", "\nsockeye_http_connections_waited_total ");
    let mut one = world.connect().await;
    let mut other = world.connect().await;
    assert_eq!(other.get("/livez").await.status, 200);
    let answer = one.get("/metrics").await;
    assert!(text(&answer).contains(&format!("{open}2\n")), "{}", text(&answer));
    assert!(text(&answer).contains(&format!("{waited}0\n")), "both places taken is not waiting yet");
    let mut third = world.connect().await;
    third.request("GET", "/metrics").await;
    let early = timeout(Duration::from_millis(50), third.waiting()).await;
    assert!(early.is_err(), "nobody has accepted it");
    drop(other);
    let answer = third.answer().await;
    assert!(text(&answer).contains(&format!("{open}2\n")), "{}", text(&answer));
    assert!(text(&answer).contains(&format!("{waited}1\n")), "{}", text(&answer));
}
