//! The two forms of the reference's dialect against one another: what protobuf says, read by a decoder that knows the schema
//! alone, is what JSON says; and read and written again it is the same.

#[path = "fixtures/context.rs"]
mod context;
mod fixtures;
#[path = "fixtures/known.rs"]
mod known;
#[path = "fixtures/random.rs"]
mod random;

use std::sync::LazyLock;

use connections::WallOffset;
use deltas::{Coverage, Delta};
use encode::{Answer, reference};
use fixtures::empty_delta;
use proptest::prelude::*;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, MessageDescriptor, SerializeOptions};
use serde_json::Value;

static CONNECTIONS: LazyLock<MessageDescriptor> = LazyLock::new(|| {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/proto/reference.proto");
    let files = protox::compile([schema], [concat!(env!("CARGO_MANIFEST_DIR"), "/proto")]);
    let pool = DescriptorPool::from_file_descriptor_set(files.expect("it compiles")).expect("it is whole");
    pool.get_message_by_name("datadog.process_agent.Connections").expect("the schema has it")
});

fn written(delta: &Delta, form: reference::Form) -> Vec<u8> {
    let answer =
        Answer { delta, wall: WallOffset(0), instance: "", degradations: &[], context: &known::context() };
    let mut bytes = Vec::new();
    reference::write_connections(&mut bytes, &answer, form).expect("a vector takes everything");
    bytes
}

/// Without what is null: the decoder leaves absent messages out.
fn present(value: Value) -> Value {
    match value {
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(_, value)| !value.is_null());
            fields.map(|(name, value)| (name, present(value))).collect()
        }
        Value::Array(values) => values.into_iter().map(present).collect(),
        other => other,
    }
}

proptest! {
    #[test]
    fn both_forms_say_the_same_and_nothing_is_lost_in_them(
        changes in random::changes(),
        roll_ups in random::roll_ups(),
        untracked in any::<u64>(),
    ) {
        let coverage = Coverage { untracked, ..Coverage::default() };
        let lookups = known::lookups(&changes).into();
        let delta =
            Delta { changes: changes.into(), roll_ups: roll_ups.into(), lookups, coverage, ..empty_delta() };
        let protobuf = written(&delta, reference::Form::Protobuf);
        let decoded = DynamicMessage::decode(CONNECTIONS.clone(), &protobuf[..]).expect("it is protobuf");
        let options = SerializeOptions::new().skip_default_fields(false);
        let told = decoded.serialize_with_options(serde_json::value::Serializer, &options).expect("it is JSON");
        let json = serde_json::from_slice(&written(&delta, reference::Form::Json)).expect("it is JSON");
        prop_assert_eq!(present(told), present(json));
        let again = DynamicMessage::decode(CONNECTIONS.clone(), &decoded.encode_to_vec()[..]);
        prop_assert_eq!(again.expect("it is protobuf"), decoded);
        prop_assert_eq!(written(&delta, reference::Form::Protobuf), protobuf, "it is always the same bytes");
    }
}
