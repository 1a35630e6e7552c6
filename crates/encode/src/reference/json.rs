//! The values of the reference's messages in JSON, where JSON has no type for them (the JSON mapping of Protocol Buffers).
//!
//! The messages and the names in them are generated from the schema; which function writes which field is said in
//! `build.rs`.

use std::collections::BTreeMap;
use std::fmt::Display;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Serialize, Serializer};

use super::proto;

/// A 64-bit integer is text, so that a reader with 64-bit floats keeps all its digits.
pub(super) fn text<S: Serializer>(number: &impl Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(number)
}

/// A map to 64-bit integers.
pub(super) fn text_map<S: Serializer>(
    map: &BTreeMap<impl Serialize, impl Display>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(map.iter().map(|(key, number)| (key, Text(number))))
}

struct Text<'a, T>(&'a T);

impl<T: Display> Serialize for Text<'_, T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self.0)
    }
}

/// Bytes are base64.
pub(super) fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(&STANDARD.encode(bytes))
}

/// An enum is its name; a number without a name stays one.
pub(super) fn name<S: Serializer, E: Named>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    Name::<E>::of(*number).serialize(serializer)
}

/// A list of enums.
pub(super) fn name_list<S: Serializer, E: Named>(numbers: &[i32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(numbers.iter().map(|number| Name::<E>::of(*number)))
}

/// A map to enums.
pub(super) fn name_map<S: Serializer, E: Named>(
    map: &BTreeMap<impl Serialize, i32>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(map.iter().map(|(key, number)| (key, Name::<E>::of(*number))))
}

enum Name<E> {
    Known(E),
    Unknown(i32),
}

impl<E: Named> Name<E> {
    fn of(number: i32) -> Self {
        E::try_from(number).map_or(Self::Unknown(number), Self::Known)
    }
}

impl<E: Named> Serialize for Name<E> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Name::Known(value) => serializer.serialize_str(value.name()),
            Name::Unknown(number) => serializer.serialize_i32(*number),
        }
    }
}

/// An enum of the schema.
pub(super) trait Named: TryFrom<i32> {
    /// Its name in the schema.
    fn name(&self) -> &'static str;
}

/// The generated names have the same signature and no trait.
macro_rules! named {
    ($($name:ident)*) => {
        $(impl Named for proto::$name {
            fn name(&self) -> &'static str {
                self.as_str_name()
            }
        })*
    };
}

named!(
    ConnectionDirection ConnectionFamily ConnectionType CoreResult EphemeralPortState KernelHeaderFetchResult
    ProtocolType RuntimeCompilationResult
);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_base64_and_numbers_without_a_name_stay_numbers() {
        let connection = proto::Connection {
            http_aggregations: vec![0xfb, 0xff, 0],
            direction: 77,
            protocol: Some(proto::ProtocolStack { stack: vec![4, 99] }),
            ..proto::Connection::default()
        };
        let json = serde_json::to_value(&connection).expect("it has text keys");
        assert_eq!(json["httpAggregations"], "+/8A");
        assert_eq!(json["direction"], 77);
        assert_eq!(json["protocol"]["stack"], serde_json::json!(["protocolTLS", 99]));
    }
}
