//! 64-bit integers as text, as the JSON mapping of Protocol Buffers has them.

use std::fmt::Display;

use serde::{Serialize, Serializer};

/// An integer that is written as text, so that a reader with 64-bit floats keeps all its digits.
#[derive(Default)]
pub(super) struct Text<T>(pub(super) T);

impl<T: Display> Serialize for Text<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}
