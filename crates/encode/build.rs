//! Generates the protobuf messages of `proto/` into `OUT_DIR`, with a compiler that is a crate: `protoc` is not needed.
//!
//! Their JSON form is generated here too: it follows from the schema, so that no field can be in one form and not in the
//! other. For the messages of the reference it is the JSON mapping of Protocol Buffers with all defaults present; ours have
//! one that is for people (`src/native/json.rs`).

use std::path::PathBuf;

use prost_build::Config;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{DescriptorProto, FieldDescriptorProto};

/// The package of the reference's messages.
const REFERENCE: &str = "datadog.process_agent";

fn main() {
    println!("cargo::rerun-if-changed=proto");
    let files: Vec<PathBuf> = std::fs::read_dir("proto")
        .expect("the schemas are there")
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    let schemas = protox::compile(&files, ["proto"])
        .unwrap_or_else(|error| panic!("the protobuf schemas did not compile: {error:?}"));
    let mut config = Config::new();
    // Ordered maps: the same answer is always the same bytes.
    config.btree_map(["."]);
    for file in &schemas.file {
        for message in &file.message_type {
            let path = format!(".{}.{}", file.package(), message.name());
            config.message_attribute(&path, "#[derive(serde::Serialize)]");
            for field in &message.field {
                let attribute = match file.package() {
                    REFERENCE => of_reference(message, field),
                    _ => of_ours(message, field),
                };
                config.field_attribute(format!("{path}.{}", field.name()), attribute);
            }
        }
    }
    config.compile_fds(schemas).expect("what protox compiles can be generated");
}

/// Names are those of the schema, and what JSON has no type for is written by a function of `src/reference/json.rs`.
fn of_reference(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    if message.name() == "Connections" && ["conns", "dns", "domains"].contains(&field.name()) {
        return STREAMED.into();
    }
    let name = field.json_name();
    match function(message, field) {
        Some(function) => {
            format!("#[serde(rename = {name:?}, serialize_with = \"crate::reference::json::{function}\")]")
        }
        None => format!("#[serde(rename = {name:?})]"),
    }
}

/// What is absent is left out; times and enums are written by a function of `src/native/json.rs`.
fn of_ours(message: &DescriptorProto, field: &FieldDescriptorProto) -> String {
    let is_listed = ["Answer", "Listing"].contains(&message.name());
    if is_listed && ["connections", "lookups", "end"].contains(&field.name()) {
        return STREAMED.into();
    }
    let mut attributes = Vec::new();
    let if_any = if field.proto3_optional() { "_if_any" } else { "" };
    if let Some(name) = field.name().strip_suffix("_unix_ns") {
        attributes.push(format!("rename = {name:?}, serialize_with = \"crate::native::json::time{if_any}\""));
    } else if field.r#type() == Type::Enum {
        let name = field.type_name().rsplit('.').next().unwrap_or_default();
        let function = format!("crate::native::json::name{if_any}::<_, super::proto::{name}>");
        attributes.push(format!("serialize_with = {function:?}"));
    }
    if field.proto3_optional() {
        attributes.push("skip_serializing_if = \"Option::is_none\"".into());
    } else if LEFT_OUT_IF_EMPTY.contains(&(message.name(), field.name())) {
        attributes.push("skip_serializing_if = \"Vec::is_empty\"".into());
    }
    format!("#[serde({})]", attributes.join(", "))
}

/// Lists that are most often empty.
const LEFT_OUT_IF_EMPTY: [(&str, &str); 4] = [
    ("Connection", "failures"),
    ("Connection", "names"),
    ("Connection", "lookups"),
    ("Owner", "command_line"),
];

/// Written one at a time, and never in the message.
const STREAMED: &str = "#[serde(skip)]";

fn function(message: &DescriptorProto, field: &FieldDescriptorProto) -> Option<String> {
    let entry = message.nested_type.iter().find(|nested| field.type_name().ends_with(nested.name()));
    // The value of a map is the second field of its entry.
    let value = entry.and_then(|entry| entry.field.get(1));
    let (one, shape) = match (value, field.label()) {
        (Some(value), _) => (value, "_map"),
        (None, Label::Repeated) => (field, "_list"),
        (None, _) => (field, ""),
    };
    match one.r#type() {
        Type::Int64 | Type::Uint64 => Some(format!("text{shape}")),
        Type::Bytes => Some(format!("base64{shape}")),
        Type::Enum => {
            let name = one.type_name().rsplit('.').next().unwrap_or_default();
            // As the names of the generated types are written.
            let name = name.replace("CORE", "Core");
            Some(format!("name{shape}::<_, super::proto::{name}>"))
        }
        _ => None,
    }
}
