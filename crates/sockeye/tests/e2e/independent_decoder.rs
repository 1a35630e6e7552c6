//! The reference's dialect as somebody else reads it: the protobuf package of Python, with descriptors from a list of what
//! clients of the reference expect. The decoder is `crates/encode/tests/decode_reference.py`.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::needs::python_with;

/// Something of the crate that writes the dialect.
fn encode(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../encode").join(path)
}

/// What the decoder says, for these arguments.
fn decoded(python: &Path, what: &str, files: &[&Path]) -> String {
    let mut command = Command::new(python);
    // It leaves no compiled files behind.
    command.arg("-B").arg(encode("tests/decode_reference.py")).arg(what).args(files);
    let output = command.output().expect("the interpreter is there");
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{what} of {files:?}: {complaint}");
    String::from_utf8(output.stdout).expect("the decoder speaks UTF-8")
}

#[test]
fn our_schema_is_what_clients_of_the_reference_expect() {
    let Some(python) = python_with("google.protobuf") else { return };
    decoded(&python, "schema", &[&encode("proto/reference.proto")]);
}

#[test]
fn another_decoder_reads_one_message_from_both_forms() {
    let Some(python) = python_with("google.protobuf") else { return };
    for name in ["reference", "reference_udp"] {
        let [protobuf, json] = ["hex", "json"].map(|form| encode(&format!("tests/golden/{name}.{form}")));
        decoded(&python, "golden", &[&protobuf, &json]);
    }
}
