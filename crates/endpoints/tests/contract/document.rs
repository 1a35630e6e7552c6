//! The OpenAPI document itself: that it is told, that it holds together, and that it leaves nothing open.

use serde_json::Value;

use crate::openapi::{Seen, check};
use crate::world::World;

fn document() -> Value {
    serde_json::from_str(endpoints::OPENAPI).expect("the document is JSON")
}

/// Calls with every object of the document and where it stands.
fn each_object(place: &str, value: &Value, call: &mut impl FnMut(&str, &Value)) {
    match value {
        Value::Object(members) => {
            call(place, value);
            members.iter().for_each(|(name, member)| each_object(&format!("{place}/{name}"), member, call));
        }
        Value::Array(list) => {
            list.iter().enumerate().for_each(|(i, one)| each_object(&format!("{place}/{i}"), one, call));
        }
        _ => {}
    }
}

#[tokio::test]
async fn the_document_is_told_under_the_name_by_which_it_was_asked_for() {
    let world = World::start();
    let openapi = "application/vnd.oai.openapi+json;version=3.1";
    for (accept, name) in [
        ("", "application/json"),
        ("Accept: */*\r\n", "application/json"),
        ("Accept: application/vnd.oai.openapi+json\r\n", openapi),
        ("Accept: application/vnd.oai.openapi+json;version=3.1, application/json;q=0.5\r\n", openapi),
    ] {
        let answer = world.ask_with("GET", "/openapi.json", accept, "").await;
        assert_eq!((answer.status, answer.header("content-type")), (200, Some(name)), "{accept}");
        assert_eq!(answer.json(), document());
    }
    let html = world.ask_with("GET", "/openapi.json", "Accept: text/html\r\n", "").await;
    html.assert_problem(406, "not-acceptable");
}

#[test]
fn every_reference_leads_somewhere_and_everything_with_a_name_is_used() {
    let document = document();
    let mut references = Vec::new();
    each_object("", &document, &mut |place, object| {
        if let Some(reference) = object.get("$ref").and_then(Value::as_str) {
            let found = reference.strip_prefix('#').and_then(|pointer| document.pointer(pointer));
            assert!(found.is_some(), "{place} leads to {reference}");
            references.push(reference.to_owned());
        }
    });
    // What is answered on paths that are not here.
    references
        .extend(["UnknownPath", "MethodNotAllowed"].map(|name| format!("#/components/responses/{name}")));
    // What `sockeye doctor --json` prints.
    references.push("#/components/schemas/Diagnosis".to_owned());
    for kind in ["parameters", "headers", "responses", "schemas"] {
        for name in document["components"][kind].as_object().expect("an object").keys() {
            let reference = format!("#/components/{kind}/{name}");
            assert!(references.contains(&reference), "nothing leads to {reference}");
        }
    }
}

#[test]
fn objects_have_no_other_properties_than_those_that_are_described() {
    let document = document();
    let mut objects = 0;
    each_object("", &document["components"]["schemas"], &mut |place, schema| {
        if schema.get("type") != Some(&"object".into()) {
            return;
        }
        objects += 1;
        let Some(properties) = schema.get("properties").and_then(Value::as_object) else {
            assert!(schema["additionalProperties"].is_object() || schema["maxProperties"] == 0, "{place}");
            return;
        };
        assert_eq!(schema["additionalProperties"], false, "{place}");
        for (name, property) in properties {
            let description = property["description"].as_str().unwrap_or_default();
            assert!(description.ends_with('.'), "{place}/{name}");
            let is_plain =
                matches!(property["type"].as_str(), Some("integer")) && property.get("$ref").is_none();
            assert!(!is_plain || property.get("maximum").is_some(), "{place}/{name}");
        }
        for required in schema.get("required").and_then(Value::as_array).into_iter().flatten() {
            let name = required.as_str().expect("a name");
            assert!(properties.contains_key(name), "{place} requires {name}");
        }
    });
    assert!(objects > 30, "{objects}");
}

#[test]
fn every_operation_has_a_name_and_can_be_refused_to_a_token() {
    let document = document();
    let mut names = std::collections::BTreeSet::new();
    for (path, item) in document["paths"].as_object().expect("paths") {
        for (method, operation) in item.as_object().expect("an object") {
            let name = operation["operationId"].as_str().expect("a name");
            assert!(names.insert(name.to_owned()), "{name} is there twice");
            for status in ["401", "403"] {
                assert!(operation["responses"].get(status).is_some(), "{method} {path}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn all_forms_of_what_is_told_are_promised() {
    let world = World::start();
    world.register("a").await;
    for accept in
        ["application/json", "application/x-ndjson", "application/protobuf", "application/x-protobuf"]
    {
        for path in [
            "/v1/connections",
            "/v1/connections?fields=id",
            "/v1/connections?protocol=tcp&limit=1&fields=tcp,local",
            "/v1/clients/a/connections?after=0",
            "/v1/clients/a/connections?after=0&fields=owner,total",
        ] {
            let answer = world.ask_with("GET", path, &format!("Accept: {accept}\r\n"), "").await;
            assert_eq!((answer.status, answer.header("content-type")), (200, Some(accept)), "{path}");
        }
    }
    for path in ["/network_tracer/connections?client_id=b", "/network_tracer/debug/net_maps"] {
        let answer = world.ask_with("GET", path, "Accept: application/protobuf\r\n", "").await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("application/protobuf")),
            "{path}"
        );
    }
    world.ask("GET", "/v1/connections?nothing=1").await.assert_problem(400, "invalid-parameter");
}

const HEADERS: &str = "content-type: application/json\nx-request-id: 00000001";

fn checked(method: &str, path: &str, status: u16, headers: &str, body: &str) -> Result<(), String> {
    let headers = headers.lines().filter_map(|line| line.split_once(": "));
    let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    check(Seen { method, path, status, headers: &headers, body: body.as_bytes() })
}

#[test]
fn what_is_not_promised_is_found() {
    let live = r#"{"status": "live"}"#;
    assert_eq!(checked("GET", "/livez?x", 200, HEADERS, live), Ok(()));
    for (method, path, status, headers, body, said) in [
        ("GET", "/livez", 202, HEADERS, live, "no such status"),
        ("GET", "/lives", 200, HEADERS, live, "UnknownPath"),
        ("PUT", "/livez", 200, HEADERS, live, "MethodNotAllowed"),
        ("GET", "/livez", 200, "content-type: application/json", live, "X-Request-Id is missing"),
        ("GET", "/livez", 200, "x-request-id: 00000001", live, "no content type"),
        (
            "GET",
            "/livez",
            200,
            "x-request-id: 00000001\ncontent-type: text/html",
            live,
            "its type is text/html",
        ),
        ("GET", "/livez", 200, &format!("{HEADERS}\nx-more: 1"), live, "x-more is a header"),
        ("GET", "/livez", 200, HEADERS, "live", "it is no JSON"),
        ("GET", "/livez", 200, HEADERS, "{}", "required"),
        ("GET", "/livez", 200, HEADERS, r#"{"status": "live", "more": 1}"#, "more"),
        ("GET", "/livez", 200, HEADERS, r#"{"status": "dead"}"#, "dead"),
        ("DELETE", "/v1/clients/a", 204, HEADERS, live, "it has a body"),
    ] {
        let found = checked(method, path, status, headers, body).expect_err("it is different");
        assert!(found.contains(said), "{found}");
    }
}

/// What `encode` writes of connections of all kinds.
macro_rules! golden {
    ($name:literal) => {
        include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../encode/tests/golden/", $name, ".json"))
    };
}

#[test]
fn connections_of_all_kinds_are_promised() {
    let headers = format!("{HEADERS}\ncache-control: no-store\nvary: Accept, Accept-Encoding");
    for (path, body) in [
        ("/v1/clients/a/connections", golden!("native")),
        ("/v1/clients/a/connections", golden!("native_udp")),
        ("/network_tracer/connections", golden!("reference")),
        ("/network_tracer/connections", golden!("reference_udp")),
    ] {
        assert_eq!(checked("GET", path, 200, &headers, body), Ok(()));
    }
}

#[test]
fn every_line_of_an_answer_is_looked_at() {
    let headers = "content-type: application/x-ndjson\nx-request-id: 00000001\ncache-control: no-store\n\
                   vary: Accept, Accept-Encoding";
    let checked = |body: &str| checked("GET", "/v1/connections?fields=id", 200, headers, body);
    let head = r#"{"listing":{"instance":"1","at":"2026-11-22T10:00:00.000000001Z","clock":{"name":"monotonic","at_ns":1}}}"#;
    let connection = r#"{"connection":{"id":"1"}}"#;
    let connections = format!("{connection}\n").repeat(400);
    let end = r#"{"end":{"matched":400,"told":400}}"#;
    assert_eq!(checked(&format!("{head}\n{connections}{end}\n")), Ok(()));
    for (what, body) in [
        ("no end", format!("{head}\n{connections}")),
        ("no head", format!("{connections}{end}\n")),
        ("a connection too many", format!("{head}\n{connection}\n{connections}{end}\n")),
        (
            "a head among the connections",
            format!("{head}\n{head}\n{}{end}\n", &connections[connection.len() + 1..]),
        ),
        (
            "a connection without id",
            format!("{head}\n{}{end}\n", connections.replacen("\"id\":\"1\"", "", 1)),
        ),
        ("half an end", format!("{head}\n{connections}{{\"end\":{{\"told\":400}}}}\n")),
        ("no last line end", format!("{head}\n{connections}{end}")),
        ("half a line", format!("{head}\n{connections}{{")),
    ] {
        checked(&body).expect_err(what);
    }
}

/// The answer without one fact of its first connection of this protocol that is no roll-up, or is one.
fn without(answer: &str, is_roll_up: bool, fact: &str) -> String {
    let mut answer: Value = serde_json::from_str(answer).expect("it is JSON");
    let connections = answer["connections"].as_array_mut().expect("it has connections").iter_mut();
    let is_wanted =
        |one: &&mut Value| one["id"].as_str().is_some_and(|id| id.starts_with("rolled-up-")) == is_roll_up;
    let mut wanted = connections.filter(is_wanted);
    let found = wanted.find_map(|one| one.as_object_mut()?.remove(fact));
    found.unwrap_or_else(|| panic!("none has {fact}"));
    answer.to_string()
}

#[test]
fn what_is_always_told_is_missed_unless_fields_are_asked_for() {
    let headers = format!("{HEADERS}\ncache-control: no-store\nvary: Accept, Accept-Encoding");
    let poll = |query: &str, body: &str| {
        checked("GET", &format!("/v1/clients/a/connections{query}"), 200, &headers, body)
    };
    let always = ["protocol", "state", "direction", "local", "remote", "total", "delta", "rolled_up"];
    for (is_roll_up, more) in [(false, &["netns", "pre_existing", "tcp"][..]), (true, &["closed_at"])] {
        for fact in always.iter().chain(more) {
            let body = without(golden!("native"), is_roll_up, fact);
            poll("?after=1", &body).expect_err(fact);
            assert_eq!(poll("?fields=id&after=1", &body), Ok(()), "{fact}");
        }
    }
    poll("", &without(golden!("native_udp"), false, "udp")).expect_err("udp");
}
