//! The OpenAPI document itself: that it is told, that it holds together, and that it leaves nothing open.

use serde_json::Value;

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
