//! Byte for byte: what the two dialects write for the fixed answer.
//!
//! A wanted change is taken over with `UPDATE_GOLDEN=1 cargo test -p encode`, and read before it is kept.

use std::path::Path;

use connections::Criteria;
use encode::native::{Fields, Form, Listing, write_listing};

use crate::world;

#[test]
fn the_native_dialect_is_as_written_down() {
    let text = world::written_with(world::native_json, &world::delta(), &world::context());
    assert_golden("native.json", &text);
}

#[test]
fn the_lines_and_the_protobuf_of_the_native_dialect_are_as_written_down() {
    assert_golden(
        "native.ndjson",
        &world::written_with(world::native(Form::Lines), &world::delta(), &world::context()),
    );
    let protobuf = world::written_bytes(world::native(Form::Protobuf), &world::delta(), &world::context());
    assert_golden("native.hex", &hex(&protobuf));
}

#[test]
fn a_listing_is_as_written_down() {
    for (form, name) in
        [(Form::Json, "listing.json"), (Form::Lines, "listing.ndjson"), (Form::Protobuf, "listing.hex")]
    {
        let criteria = Criteria { port: Some(0..=443), ..Criteria::default() };
        let delta = world::delta();
        let listing = Listing {
            delta: &delta,
            wall: world::WALL,
            instance: "4c1d-1795341595",
            criteria: &criteria,
            fields: Fields::ALL,
            limit: Some(2),
            context: &world::context(),
        };
        let mut bytes = Vec::new();
        write_listing(&mut bytes, &listing, form).expect("a vector takes everything");
        let text =
            if form == Form::Protobuf { hex(&bytes) } else { String::from_utf8_lossy(&bytes).into_owned() };
        assert_golden(name, &text);
    }
}

#[test]
fn the_reference_dialect_is_as_written_down() {
    let text = world::written_with(world::reference_json, &world::delta(), &world::context());
    assert_golden("reference.json", &text);
}

#[test]
fn the_protobuf_of_the_reference_dialect_is_as_written_down() {
    let bytes = world::written_bytes(world::reference_protobuf, &world::delta(), &world::context());
    assert_golden("reference.hex", &hex(&bytes));
}

/// Bytes as text that a person can compare: 32 in a line.
pub(crate) fn hex(bytes: &[u8]) -> String {
    let line = |line: &[u8]| line.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect();
    bytes.chunks(32).map(line).collect::<Vec<String>>().concat()
}

pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the golden file is writable");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    assert_eq!(text, golden, "{}", path.display());
}
