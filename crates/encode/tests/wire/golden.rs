//! Byte for byte: what the two dialects write for the fixed answer.
//!
//! A wanted change is taken over with `UPDATE_GOLDEN=1 cargo test -p encode`, and read before it is kept.

use std::path::Path;

use encode::{native, reference};

use crate::world;

#[test]
fn the_native_dialect_is_as_written_down() {
    let text = world::written(native::write_delta, &world::delta());
    assert_golden("native.json", &text);
}

#[test]
fn the_reference_dialect_is_as_written_down() {
    let text = world::written(reference::write_connections, &world::delta());
    assert_golden("reference.json", &text);
}

pub(crate) fn assert_golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(&path, text).expect("the golden file is writable");
    }
    let golden = std::fs::read_to_string(&path).expect("the golden file is there");
    assert_eq!(text, golden, "{}", path.display());
}
