//! The three forms of our own dialect against one another: what protobuf says, read by a decoder that knows the schema alone,
//! and what the lines say, is what JSON says; and an answer that is cut never looks whole.

#[path = "fixtures/context.rs"]
mod context;
mod fixtures;
#[path = "fixtures/known.rs"]
mod known;
#[path = "fixtures/random.rs"]
mod random;

use std::sync::LazyLock;

use connections::{Audit, Criteria, KernelTime, Loss, Losses, WallOffset};
use deltas::{Coverage, Delta};
use encode::native::{self, Fields, Form, Listing};
use encode::{Answer, WallTime};
use fixtures::empty_delta;
use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::{Map, Value, json};

static POOL: LazyLock<DescriptorPool> = LazyLock::new(|| {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/proto/sockeye_v1.proto");
    let files = protox::compile([schema], [concat!(env!("CARGO_MANIFEST_DIR"), "/proto")]);
    DescriptorPool::from_file_descriptor_set(files.expect("it compiles")).expect("it is whole")
});

fn message(name: &str) -> MessageDescriptor {
    POOL.get_message_by_name(&format!("sockeye.v1.{name}")).expect("the schema has it")
}

fn written(delta: &Delta, form: Form, fields: Fields) -> Vec<u8> {
    let degradations = ["tcp_owner".to_owned()];
    let wall = WallOffset(1_795_341_595_000_000_001);
    let answer =
        Answer { delta, wall, instance: "i", degradations: &degradations, context: &known::context() };
    let mut bytes = Vec::new();
    native::write_delta(&mut bytes, &answer, form, fields).expect("a vector takes everything");
    bytes
}

fn listed(delta: &Delta, form: Form, criteria: &Criteria, limit: Option<u64>) -> Vec<u8> {
    let wall = WallOffset(1_795_341_595_000_000_001);
    let listing = Listing {
        delta,
        wall,
        instance: "i",
        criteria,
        fields: Fields::ALL,
        limit,
        context: &known::context(),
    };
    let mut bytes = Vec::new();
    native::write_listing(&mut bytes, &listing, form).expect("a vector takes everything");
    bytes
}

/// What the protobuf says in the words of the JSON form.
fn told(descriptor: &MessageDescriptor, protobuf: &[u8]) -> Value {
    let decoded = DynamicMessage::decode(descriptor.clone(), protobuf).expect("it is protobuf");
    let options = SerializeOptions::new()
        .skip_default_fields(false)
        .use_proto_field_name(true)
        .stringify_64_bit_integers(false);
    let value = decoded.serialize_with_options(serde_json::value::Serializer, &options).expect("it is JSON");
    in_words(value)
}

/// A list of the answer itself is there also when it is empty.
fn with_lookups(mut answer: Value) -> Value {
    answer.as_object_mut().expect("an object").entry("lookups").or_insert(json!([]));
    answer
}

fn in_words(value: Value) -> Value {
    match value {
        Value::Object(fields) => Value::Object(fields.into_iter().filter_map(field_in_words).collect()),
        Value::Array(values) => values.into_iter().map(in_words).collect(),
        other => other,
    }
}

fn field_in_words((name, value): (String, Value)) -> Option<(String, Value)> {
    if let Some(short) = name.strip_suffix("_unix_ns") {
        let time = WallTime(value.as_i64().expect("a time").into());
        return Some((short.to_owned(), serde_json::to_value(time).expect("a text")));
    }
    let prefix = match name.as_str() {
        "protocol" => "PROTOCOL_",
        "state" => "STATE_",
        "direction" => "DIRECTION_",
        "source" => "OWNER_SOURCE_",
        "kind" => "FAILURE_KIND_",
        "failures" | "names" | "lookups" | "command_line" if value == json!([]) => return None,
        _ => return Some((name, in_words(value))),
    };
    let text = value.as_str().expect("an enum has a name").strip_prefix(prefix).expect("of its enum");
    Some((name, text.to_ascii_lowercase().into()))
}

/// The lines as one object, as JSON has it, and the end.
fn of_lines(head: &str, lines: &[u8]) -> (Value, Value) {
    let lines = std::str::from_utf8(lines).expect("it is text").lines();
    let mut lines: Vec<Map<String, Value>> =
        lines.map(|line| serde_json::from_str(line).expect("an object")).collect();
    let end = lines.pop().and_then(|mut line| line.remove("end")).expect("an end");
    let mut lines = lines.into_iter();
    let mut all = lines.next().and_then(|mut line| line.remove(head)).expect("a head");
    let (connections, lookups): (Vec<_>, Vec<_>) = lines.partition(|line| line.contains_key("connection"));
    let listed =
        |lines: Vec<Map<String, Value>>| lines.into_iter().flat_map(Map::into_values).collect::<Value>();
    all["connections"] = listed(connections);
    if !lookups.is_empty() {
        all["lookups"] = listed(lookups);
    }
    (all, end)
}

fn json_of(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).expect("it is JSON")
}

fn coverage() -> impl Strategy<Value = Coverage> {
    (any::<[u64; 6]>(), any::<bool>()).prop_map(
        |([connections, bytes, untracked, rolled_up, stale, ns], audited)| {
            let losses = Losses { ring_full: Loss { connections, bytes }, ..Losses::default() };
            let audit = audited.then(|| Audit { at: KernelTime(ns >> 8), stale, ..Audit::default() });
            Coverage { losses, untracked, rolled_up, audit, interval_ns: ns, ..Coverage::default() }
        },
    )
}

proptest! {
    #[test]
    fn all_forms_of_a_delta_say_the_same(
        changes in random::changes(),
        roll_ups in random::roll_ups(),
        coverage in coverage(),
        some in any::<bool>(),
    ) {
        let fields = if some { Fields::parse("state,local,total,owner,failures").expect("fields") } else { Fields::ALL };
        let lookups = known::lookups(&changes).into();
        let delta =
            Delta { changes: changes.into(), roll_ups: roll_ups.into(), lookups, coverage, ..empty_delta() };
        let json = json_of(&written(&delta, Form::Json, fields));
        let connections = json["connections"].as_array().expect("a list").len();
        let (lines, end) = of_lines("answer", &written(&delta, Form::Lines, fields));
        prop_assert_eq!(&with_lookups(lines), &json);
        prop_assert_eq!(&end, &json!({"connections": connections}));
        let protobuf = written(&delta, Form::Protobuf, fields);
        let mut told = told(&message("Answer"), &protobuf);
        prop_assert_eq!(told.as_object_mut().expect("an object").remove("end"), Some(end));
        prop_assert_eq!(&with_lookups(told), &json);
        let decoded = DynamicMessage::decode(message("Answer"), &protobuf[..]).expect("it is protobuf");
        let again = DynamicMessage::decode(message("Answer"), &decoded.encode_to_vec()[..]);
        prop_assert_eq!(again.expect("it is protobuf"), decoded);
        prop_assert_eq!(written(&delta, Form::Protobuf, fields), protobuf, "it is always the same bytes");
    }

    #[test]
    fn all_forms_of_a_listing_say_the_same(
        changes in random::changes(),
        netns in prop::option::of(0..3u32),
        limit in prop::option::of(0..20u64),
    ) {
        let matching = changes.iter().filter(|change| netns.is_none_or(|netns| change.connection.tuple.netns == netns));
        let matched = matching.count() as u64;
        let delta = Delta { changes: changes.into(), ..empty_delta() };
        let criteria = Criteria { netns, ..Criteria::default() };
        let mut json = json_of(&listed(&delta, Form::Json, &criteria, limit));
        let end = json!({"matched": matched, "told": limit.map_or(matched, |limit| limit.min(matched))});
        for name in ["matched", "told"] {
            let count = json.as_object_mut().expect("an object").remove(name);
            prop_assert_eq!(count.as_ref(), end.get(name));
        }
        prop_assert_eq!(json["connections"].as_array().expect("a list").len() as u64, end["told"].as_u64().expect("a number"));
        let (lines, lines_end) = of_lines("listing", &listed(&delta, Form::Lines, &criteria, limit));
        prop_assert_eq!((&lines, &lines_end), (&json, &end));
        let mut told = told(&message("Listing"), &listed(&delta, Form::Protobuf, &criteria, limit));
        prop_assert_eq!(told.as_object_mut().expect("an object").remove("end"), Some(end));
        prop_assert_eq!(told, json);
    }

    #[test]
    fn an_answer_that_is_cut_never_looks_whole(changes in random::changes(), cut in any::<prop::sample::Index>()) {
        let delta = Delta { changes: changes.into(), ..empty_delta() };
        let part = |form| {
            let whole = written(&delta, form, Fields::ALL);
            whole[..cut.index(whole.len())].to_vec()
        };
        prop_assert!(serde_json::from_slice::<Value>(&part(Form::Json)).is_err());
        let lines = part(Form::Lines);
        let last = lines.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty());
        let is_end = |line: &[u8]| serde_json::from_slice::<Value>(line).is_ok_and(|line| line.get("end").is_some());
        // Without its last byte, which ends the line, it says all the same.
        prop_assert!(lines.len() + 1 == written(&delta, Form::Lines, Fields::ALL).len() || !last.is_some_and(is_end));
        let whole = match DynamicMessage::decode(message("Answer"), &part(Form::Protobuf)[..]) {
            Ok(decoded) => decoded.has_field_by_name("end"),
            Err(_) => false,
        };
        prop_assert!(!whole);
    }
}
