//! Clients that dawdle, say what is no HTTP, or are too many: the same over the unix socket and over TCP.

use std::time::{Duration, Instant};

use endpoints::{Drained, HttpLimits};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::TcpStream;

use crate::http::Http;
use crate::world::{Over, Setting, World, in_time, until};

const SHORT: Duration = Duration::from_millis(300);

fn limited(limits: HttpLimits) -> World {
    World::with(Setting { limits, ..Setting::default() })
}

fn short_headers() -> World {
    limited(HttpLimits { header_read: SHORT, ..HttpLimits::default() })
}

#[tokio::test]
async fn a_header_that_does_not_end_ends_the_connection() {
    let world = short_headers();
    for over in Over::BOTH {
        for begun in ["", "G", "GET /livez HTTP/1.1\r\nHost: x\r\nX-Slow: "] {
            let mut http = world.connect_over(over).await;
            http.send(begun).await;
            assert_eq!(http.closed().await, b"", "{over:?} {begun:?}");
        }
    }
}

#[tokio::test]
async fn a_header_that_comes_byte_by_byte_has_no_more_time_than_another() {
    let world = short_headers();
    for over in Over::BOTH {
        let mut http = world.connect_over(over).await;
        http.send("GET /livez HTTP/1.1\r\nX-Slow: ").await;
        let began = Instant::now();
        http.closed_while_sending("x", SHORT / 10).await;
        let took = began.elapsed();
        assert!(took > SHORT / 2 && took < SHORT * 10, "{over:?}: {took:?}");
    }
}

#[tokio::test]
async fn an_idle_connection_is_closed_after_the_time_of_a_header() {
    let world = short_headers();
    for over in Over::BOTH {
        let mut http = world.connect_over(over).await;
        assert_eq!(http.get("/livez").await.status, 200);
        let began = Instant::now();
        assert_eq!(http.closed().await, b"", "{over:?}");
        assert!(began.elapsed() > SHORT / 2, "{over:?}");
    }
}

#[tokio::test]
async fn a_body_that_stalls_or_comes_byte_by_byte_is_refused() {
    let world = limited(HttpLimits { body_read: SHORT, ..HttpLimits::default() });
    for over in Over::BOTH {
        let mut http = world.connect_over(over).await;
        http.request_with("PUT", "/v1/clients/a", "Content-Length: 1000\r\n", "{").await;
        http.answer().await.assert_problem(408, "body-too-slow");
        let mut http = world.connect_over(over).await;
        http.request_with("PUT", "/v1/clients/a", "Content-Length: 1000\r\n", "{").await;
        let began = Instant::now();
        http.closed_while_sending(" ", SHORT / 10).await;
        assert!(began.elapsed() < SHORT * 10, "{over:?}");
        http.answer().await.assert_problem(408, "body-too-slow");
    }
}

#[tokio::test]
async fn a_body_that_nobody_reads_does_not_keep_the_connection() {
    let world = short_headers();
    for over in Over::BOTH {
        let mut http = world.connect_over(over).await;
        http.request_with("GET", "/livez", "Content-Length: 1000000\r\n", "x").await;
        assert_eq!(http.answer().await.status, 200);
        let began = Instant::now();
        http.closed_while_sending("x", SHORT / 10).await;
        assert!(began.elapsed() < SHORT * 10, "{over:?}");
    }
}

#[tokio::test]
async fn what_is_no_http_is_refused_and_the_connection_closed() {
    let world = World::start();
    let hello = "\x16\x03\x01\x00\x75\x01\x00\x00\x71\x03\x03abcdefghijklmnopqrstuvwxyzabcdef\x20";
    for over in Over::BOTH {
        for text in [hello, "\0\0\0\0\r\n\r\n", "GET /livez HTTP/3.0\r\n\r\n"] {
            let mut http = world.connect_over(over).await;
            http.send(text).await;
            let answer = http.answer().await;
            assert_eq!((answer.status, answer.body.as_slice()), (400, &[][..]), "{over:?} {text:?}");
            assert_eq!(http.closed().await, b"");
        }
        let mut newer = world.connect_over(over).await;
        newer.send("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await;
        assert_eq!(newer.closed().await, b"", "HTTP/2 has no answer in HTTP/1.1");
    }
}

#[tokio::test]
async fn of_300_connections_at_once_256_are_served_and_the_others_wait() {
    room_for_descriptors();
    let limits = HttpLimits { header_read: Duration::from_secs(3600), ..HttpLimits::default() };
    let (served, world) = (limits.connections, limited(limits));
    let mut crowd = Vec::new();
    for number in 0..300 {
        let mut http = world.connect_over(Over::BOTH[number % 2]).await;
        http.request("GET", "/livez").await;
        crowd.push(http);
    }
    let answered = |http: &Http| http.waiting_now() > 0;
    let all_places = async {
        while crowd.iter().filter(|http| answered(http)).count() < served {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    in_time("answers on all places", all_places).await;
    let (first, mut waiting): (Vec<Http>, Vec<Http>) = crowd.into_iter().partition(answered);
    assert_eq!((first.len(), waiting.len()), (served, 300 - served));
    assert!(!waiting.iter().any(answered), "they wait for a place");
    drop(first);
    for http in &mut waiting {
        assert_eq!(http.answer().await.status, 200);
    }
}

/// 300 connections take three descriptors each: two of the API, one of the test.
fn room_for_descriptors() {
    let Rlimit { maximum, .. } = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })
        .expect("up to the maximum everybody may");
}

#[tokio::test]
async fn a_connection_waits_also_for_a_place_that_one_of_the_other_kind_has() {
    for (first, second) in [(Over::Unix, Over::Tcp), (Over::Tcp, Over::Unix)] {
        let limits =
            HttpLimits { connections: 1, header_read: Duration::from_secs(3600), ..HttpLimits::default() };
        let world = limited(limits);
        let mut served = world.connect_over(first).await;
        assert_eq!(served.get("/livez").await.status, 200);
        let mut waiting = world.connect_over(second).await;
        waiting.request("GET", "/livez").await;
        let early = tokio::time::timeout(Duration::from_millis(50), waiting.waiting()).await;
        assert!(early.is_err(), "nobody has accepted it");
        drop(served);
        assert_eq!(waiting.answer().await.status, 200);
        let counters = &waiting.get("/v1/status").await.json()["counters"];
        assert_eq!(counters["http_connections_waited"], 1, "{second:?}: {counters}");
    }
}

#[tokio::test]
async fn a_stopping_api_closes_the_port_and_finishes_the_answers_over_tcp() {
    let world = World::start();
    world.state.hold();
    let mut idle = world.connect_over(Over::Tcp).await;
    let mut http = world.connect_over(Over::Tcp).await;
    http.request("GET", "/network_tracer/connections").await;
    until(world.state.polls_asked(), |polls| *polls == 1).await;
    let (state, address) = (world.state.clone(), world.address);
    let stopping = world.stop();
    idle.closed().await;
    TcpStream::connect(address).await.expect_err("nobody listens there");
    state.release();
    let answer = http.answer().await;
    assert_eq!((answer.status, answer.complete), (200, true));
    assert_eq!(stopping.drained().await, Drained { cut: 0 });
    assert_eq!(until(state.resolved(), |resolved| !resolved.is_empty()).await, [true]);
}
