//! Holds what the API answers against its OpenAPI document: status, content type, headers and body.
//!
//! Shared by all tests that speak HTTP. Does not speak it itself, and unpacks nothing.

use std::collections::HashMap;
use std::sync::LazyLock;

use jsonschema::{Registry, Validator};
use serde_json::Value;

/// How many connections of an answer are looked at: what is wrong with one is wrong with most of its kind.
const CONNECTIONS_MAX: usize = 200;

/// Headers that HTTP itself needs; every other one is part of the contract.
const OF_HTTP: [&str; 5] = ["content-type", "content-length", "transfer-encoding", "connection", "date"];

/// The name by which schemas find the document.
const DOCUMENT: &str = "urn:sockeye:openapi";

static CONTRACT: LazyLock<Contract> = LazyLock::new(Contract::new);

/// An answer and what it answers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Seen<'a> {
    pub(crate) method: &'a str,
    /// With its query, as it was sent.
    pub(crate) path: &'a str,
    pub(crate) status: u16,
    pub(crate) headers: &'a [(String, String)],
    /// The whole body, unpacked.
    pub(crate) body: &'a [u8],
}

/// Panics unless the answer is one of those that the document promises.
pub(crate) fn assert_promised(seen: Seen<'_>) {
    if let Err(broken) = check(seen) {
        let Seen { method, path, status, .. } = seen;
        panic!("{method} {path} was answered with {status}, and the document does not have that: {broken}");
    }
}

/// Whether the answer is one of those that the document promises.
///
/// # Errors
/// What is different.
pub(crate) fn check(seen: Seen<'_>) -> Result<(), String> {
    CONTRACT.check(seen)
}

/// Whether the value is of the schema with this name.
///
/// # Errors
/// What is different.
#[allow(dead_code, reason = "shared by tests of which not all have values without a path")]
pub(crate) fn check_named(schema: &str, value: &Value) -> Result<(), String> {
    CONTRACT.check_value(&CONTRACT.document["components"]["schemas"][schema], value)
}

struct Contract {
    document: Value,
    /// By the text of their schema.
    validators: HashMap<String, Validator>,
}

impl Contract {
    fn new() -> Self {
        let document = serde_json::from_str(endpoints::OPENAPI).expect("the document is JSON");
        Self { validators: compiled(&document), document }
    }

    fn check(&self, seen: Seen<'_>) -> Result<(), String> {
        let response = self.response(seen)?;
        self.check_headers(response, seen)?;
        let content_type = header(seen.headers, "content-type");
        let Some(contents) = response.get("content").and_then(Value::as_object) else {
            return match (content_type, seen.body) {
                (None, []) => Ok(()),
                _ => Err(format!("it has a body, of {content_type:?}")),
            };
        };
        let content_type = content_type.ok_or("it has no content type")?;
        let content = contents.get(content_type).ok_or_else(|| format!("its type is {content_type}"))?;
        let schema = &content["schema"];
        let text = || std::str::from_utf8(seen.body).map_err(|_| "it is no text".to_owned());
        let whole = content.get("x-without-fields").filter(|_| !asks_for_fields(seen.path));
        let whole = whole.map(|schema| self.followed(schema));
        match content_type.split(';').next().unwrap_or_default() {
            "application/x-ndjson" => self.check_lines(schema, whole, text()?),
            essence if essence.ends_with("json") => {
                let value = parse(text()?)?;
                self.check_value(schema, &value)?;
                let connections = value["connections"].as_array().into_iter().flatten();
                whole.map_or(Ok(()), |whole| {
                    connections.into_iter().try_for_each(|one| self.check_value(whole, one))
                })
            }
            "application/protobuf" | "application/x-protobuf" => Ok(()),
            _ => self.check_value(schema, &text()?.into()),
        }
    }

    /// The response that the document has for this.
    fn response(&self, Seen { method, path, status, .. }: Seen<'_>) -> Result<&Value, String> {
        let path = path.split('?').next().unwrap_or_default();
        let paths = self.document["paths"].as_object().expect("there are paths");
        let item = paths.iter().find(|(template, _)| is_of(path, template)).map(|(_, item)| item);
        let operation = item.map(|item| item.get(method.to_lowercase()));
        let common = |name: &str, only: u16| {
            let found = &self.document["components"]["responses"][name];
            match status {
                // Who may ask is known before it is known what.
                401 => Ok(&self.document["components"]["responses"]["Unauthorized"]),
                403 => Ok(&self.document["components"]["responses"]["NotPermitted"]),
                _ if status == only => Ok(found),
                _ => Err(format!("it is {name}")),
            }
        };
        match operation {
            None => common("UnknownPath", 404),
            Some(None) => common("MethodNotAllowed", 405),
            Some(Some(operation)) => {
                let response = operation["responses"].get(status.to_string());
                Ok(self.followed(response.ok_or("the operation has no such status")?))
            }
        }
    }

    fn check_headers(&self, response: &Value, seen: Seen<'_>) -> Result<(), String> {
        let headers = response["headers"].as_object().ok_or("the document has no headers")?;
        for (name, _) in seen.headers {
            let is = |known: &str| known.eq_ignore_ascii_case(name);
            if !OF_HTTP.into_iter().any(is) && !headers.keys().any(|known| is(known)) {
                return Err(format!("{name} is a header that it does not have"));
            }
        }
        for (name, promised) in headers {
            let promised = self.followed(promised);
            match header(seen.headers, name) {
                Some(value) => {
                    self.check_value(&promised["schema"], &value.into())
                        .map_err(|e| format!("{name}: {e}"))?;
                }
                None if promised["required"] == true => return Err(format!("{name} is missing")),
                None => {}
            }
        }
        Ok(())
    }

    /// Lines of JSON: a head, connections, which have what is in `whole` too, and an end that says how many they are.
    fn check_lines(&self, schema: &Value, whole: Option<&Value>, text: &str) -> Result<(), String> {
        let lines: Vec<_> = text.strip_suffix('\n').ok_or("the last line has no end")?.split('\n').collect();
        let [head, connections @ .., end] = &lines[..] else {
            return Err("a head or an end is missing".to_owned());
        };
        let (head, end) = (parse(head)?, parse(end)?);
        if head.get("answer").or(head.get("listing")).is_none() {
            return Err("its head is missing".to_owned());
        }
        let told = end["end"].get("connections").or(end["end"].get("told")).and_then(Value::as_u64);
        if told != u64::try_from(connections.len()).ok() {
            return Err(format!("its end is missing or says {told:?} of {} connections", connections.len()));
        }
        self.check_value(schema, &head)?;
        self.check_value(schema, &end)?;
        for line in connections.iter().take(CONNECTIONS_MAX) {
            let line = parse(line)?;
            let connection = line.get("connection").ok_or("there is another line among the connections")?;
            self.check_value(schema, &line)?;
            whole.map_or(Ok(()), |whole| self.check_value(whole, connection))?;
        }
        Ok(())
    }

    fn check_value(&self, schema: &Value, value: &Value) -> Result<(), String> {
        let validator = self.validators.get(&schema.to_string()).expect("all schemas are compiled");
        let errors: Vec<_> = validator
            .iter_errors(value)
            .map(|error| {
                format!("{error} at {:?}, by {}", error.instance_path().to_string(), error.schema_path())
            })
            .collect();
        if errors.is_empty() { Ok(()) } else { Err(errors.join("; ")) }
    }

    /// What stands where a reference leads, or what is there.
    fn followed<'a>(&'a self, value: &'a Value) -> &'a Value {
        match value.get("$ref").and_then(Value::as_str) {
            Some(reference) => {
                let place = reference.strip_prefix('#').and_then(|place| self.document.pointer(place));
                place.unwrap_or_else(|| panic!("{reference} leads nowhere"))
            }
            None => value,
        }
    }
}

fn compiled(document: &Value) -> HashMap<String, Validator> {
    let registry = Registry::new().add(DOCUMENT, document).and_then(jsonschema::RegistryBuilder::prepare);
    let registry = registry.unwrap_or_else(|error| panic!("a reference leads nowhere: {error}"));
    let mut schemas = Vec::new();
    find_schemas(document, &mut schemas);
    let validators = schemas.into_iter().map(|schema| {
        let validator = jsonschema::draft202012::options()
            .with_registry(&registry)
            .build(&seen_from_outside(schema))
            .unwrap_or_else(|error| panic!("{error} in the schema {schema}"));
        (schema.to_string(), validator)
    });
    validators.collect()
}

/// All schemas of parameters, headers and contents, and those that have names.
fn find_schemas<'a>(part: &'a Value, schemas: &mut Vec<&'a Value>) {
    for (name, value) in part.as_object().into_iter().flatten() {
        match name.as_str() {
            "schema" => schemas.push(value),
            "schemas" => schemas.extend(value.as_object().into_iter().flatten().map(|(_, schema)| schema)),
            _ => find_schemas(value, schemas),
        }
    }
    part.as_array().into_iter().flatten().for_each(|part| find_schemas(part, schemas));
}

/// The schema with references that lead into the document from wherever it stands.
fn seen_from_outside(schema: &Value) -> Value {
    let text = schema.to_string().replace("\"#/", &format!("\"{DOCUMENT}#/"));
    serde_json::from_str(&text).expect("it is JSON still")
}

/// The value, of lists of connections the first ones.
fn parse(text: &str) -> Result<Value, String> {
    let mut value: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON: {error}"))?;
    for name in ["connections", "conns"] {
        if let Some(Value::Array(connections)) = value.get_mut(name) {
            connections.truncate(CONNECTIONS_MAX);
        }
    }
    Ok(value)
}

/// True when the query says which fields of connections are told.
fn asks_for_fields(path: &str) -> bool {
    let query = path.split_once('?').map_or("", |(_, query)| query);
    query.split('&').any(|parameter| parameter.starts_with("fields="))
}

/// True for a path that the template stands for.
fn is_of(path: &str, template: &str) -> bool {
    let (path, template) = (path.split('/'), template.split('/'));
    path.clone().count() == template.clone().count()
        && path.zip(template).all(|(part, of)| part == of || of.starts_with('{'))
}

fn header<'a>(headers: &'a [(String, String)], name: &str) -> Option<&'a str> {
    headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
}
