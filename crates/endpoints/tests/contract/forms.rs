//! The forms of an answer that tells connections, as `Accept` and `fields` ask for them.

use serde_json::Value;

use crate::http::Answer;
use crate::world::World;

const POLL: &str = "/v1/clients/a/connections";

async fn accepting(world: &World, path: &str, accept: &str) -> Answer {
    world.ask_with("GET", path, &format!("Accept: {accept}\r\n"), "").await
}

fn lines(answer: &Answer) -> Vec<Value> {
    let text = std::str::from_utf8(&answer.body).expect("it is text");
    text.lines().map(|line| serde_json::from_str(line).expect("an object")).collect()
}

#[tokio::test]
async fn a_delta_comes_in_the_form_that_is_asked_for() {
    let world = World::start();
    world.register("a").await;
    let json = accepting(&world, POLL, "*/*").await;
    assert_eq!(json.header("content-type"), Some("application/json"));
    let json = json.json();
    assert_eq!(json["clock"]["name"], "monotonic");
    let after = format!("{POLL}?after={}", json["acknowledged"]);
    let ndjson = accepting(&world, &after, "application/x-ndjson").await;
    assert_eq!((ndjson.status, ndjson.header("content-type")), (200, Some("application/x-ndjson")));
    let lines = lines(&ndjson);
    assert_eq!(lines.len(), 5);
    assert_eq!(lines[0]["answer"]["client"], "a");
    assert_eq!(lines[1]["connection"], json["connections"][0]);
    assert_eq!(lines[4], serde_json::json!({"end": {"connections": 3}}));
    for name in ["application/protobuf", "application/x-protobuf"] {
        let protobuf = accepting(&world, &after, name).await;
        assert_eq!((protobuf.status, protobuf.header("content-type")), (200, Some(name)));
        // The first field is the client, the last the end, with 3 connections.
        assert!(protobuf.body.starts_with(b"\x0a\x01a") && protobuf.body.ends_with(b"\x52\x02\x08\x03"));
    }
}

#[tokio::test]
async fn the_reference_answers_protobuf_to_whom_names_it() {
    let world = World::start();
    let path = "/network_tracer/connections?client_id=agent";
    let accept = "text/plain, application/protobuf";
    let protobuf = accepting(&world, path, accept).await;
    assert_eq!((protobuf.status, protobuf.header("content-type")), (200, Some("application/protobuf")));
    // Three connections, each behind the key of the first field and its length.
    let mut rest = &protobuf.body[..];
    for _ in 0..3 {
        assert_eq!(rest[0], 0x0a);
        assert!(rest[1] < 0x80, "the length of a small message is one byte");
        rest = &rest[2 + usize::from(rest[1])..];
    }
    assert_ne!(rest[0], 0x0a);
    assert_eq!(world.resolved(1).await, [true], "it acknowledges itself like the JSON");
    let maps = accepting(&world, "/network_tracer/debug/net_maps", accept).await;
    assert_eq!(maps.body[..], protobuf.body[..], "the same connections, with all that they carry");
}

#[tokio::test]
async fn only_the_fields_that_are_asked_for_are_told() {
    let world = World::start();
    world.register("a").await;
    let few = world.ask("GET", &format!("{POLL}?fields=local,delta")).await.json();
    let names: Vec<&String> = few["connections"][0].as_object().expect("an object").keys().collect();
    assert_eq!(names, ["delta", "id", "local"]);
    let listed = world.ask("GET", "/v1/connections?fields=id").await.json();
    assert_eq!(listed["connections"][0].as_object().map(serde_json::Map::len), Some(1));
    for path in [POLL, "/v1/connections"] {
        let unknown = world.ask("GET", &format!("{path}?fields=local,Remote")).await;
        unknown.assert_problem(400, "invalid-parameter");
        let detail = unknown.json()["detail"].as_str().expect("a text").to_owned();
        assert!(detail.starts_with("fields is \"Remote\"; allowed is a list"), "{detail}");
    }
}
