//! Compressed answers: to whom, how, and that a cut one does not look whole.

use std::io::Read;

use crate::http::Answer;
use crate::world::{Setting, World};

const MANY: u64 = 20_000;

async fn polled(world: &World, path: &str, accepted: &str) -> Answer {
    world.ask_with("GET", path, &format!("Accept-Encoding: {accepted}\r\n"), "").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_delta_is_compressed_as_the_request_wants_it() {
    let world = World::with(Setting { connections: MANY, ..Setting::default() });
    let mut sizes = Vec::new();
    for (id, accepted, coding) in
        [("a", "identity", None), ("b", "gzip", Some("gzip")), ("c", "gzip, zstd", Some("zstd"))]
    {
        world.register(id).await;
        let answer = polled(&world, &format!("/v1/clients/{id}/connections"), accepted).await;
        assert_eq!((answer.status, answer.header("content-encoding")), (200, coding));
        assert_eq!(answer.header("vary"), Some("Accept, Accept-Encoding"));
        let json: serde_json::Value = serde_json::from_slice(&answer.unpacked()).expect("it is JSON");
        assert_eq!(json["connections"].as_array().map(Vec::len), Some(20_000));
        sizes.push(answer.body.len());
    }
    assert!(sizes[1] * 5 < sizes[0] && sizes[2] * 5 < sizes[0], "{sizes:?}");
    assert_eq!(world.resolved(3).await, [true; 3], "the end of a compressed answer is its end too");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compressed_answer_that_is_cut_does_not_look_whole() {
    let limits = endpoints::HttpLimits {
        write_stall: std::time::Duration::from_millis(100),
        ..endpoints::HttpLimits::default()
    };
    let world = World::with(Setting { connections: 100_000, limits, ..Setting::default() });
    world.register("a").await;
    let mut http = world.connect().await;
    http.send("GET /v1/clients/a/connections HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\n\r\n").await;
    assert!(http.waiting().await > 0);
    assert_eq!(world.resolved(1).await, [false]);
    let answer = http.answer().await;
    assert!(!answer.complete);
    assert!(flate2::read::GzDecoder::new(&answer.body[..]).read_to_end(&mut Vec::new()).is_err());
}

#[tokio::test]
async fn small_answers_and_those_of_the_reference_are_not_compressed() {
    let world = World::start();
    world.register("a").await;
    for path in ["/livez", "/v1/clients/a", "/network_tracer/connections", "/debug/stats", "/nothing"] {
        let answer = polled(&world, path, "gzip, zstd").await;
        assert_eq!(answer.header("content-encoding"), None, "{path}");
    }
    let metrics = polled(&world, "/metrics", "gzip").await;
    assert_eq!(metrics.header("content-encoding"), Some("gzip"));
    let text = String::from_utf8(metrics.unpacked()).expect("it is text");
    assert!(text.contains("sockeye_build_info"), "{text}");
}
