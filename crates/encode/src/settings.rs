//! The settings of a client as a registration says them, read from JSON.

use std::fmt;

use deltas::{Settings, TTL_NS_MAX, TTL_NS_MIN};
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::Value;

use crate::client_view::{ROLLUP_ALLOWED, view_named};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// Why settings cannot be taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidSettings {
    /// They are no JSON object.
    NotAnObject,
    /// A field is there twice, so it says two things.
    Twice {
        /// Its name.
        name: String,
    },
    /// There is no such field.
    UnknownField {
        /// Its name.
        name: String,
    },
    /// A field has a value that it must not have.
    InvalidValue {
        /// Its name.
        name: &'static str,
        /// The value, as JSON.
        value: String,
        /// What it may be.
        allowed: String,
    },
}

/// The names of all settings.
pub const SETTINGS_ALLOWED: &str = "ttl_s and rollup";

/// Reads the settings from JSON; nothing at all is no settings.
///
/// # Errors
/// [`InvalidSettings`].
pub fn read_settings(json: &[u8]) -> Result<Settings, InvalidSettings> {
    let mut settings = Settings::default();
    if json.trim_ascii().is_empty() {
        return Ok(settings);
    }
    let Fields(fields) = serde_json::from_slice(json).map_err(|_| InvalidSettings::NotAnObject)?;
    for (index, (name, value)) in fields.iter().enumerate() {
        if fields.iter().take(index).any(|(earlier, _)| earlier == name) {
            return Err(InvalidSettings::Twice { name: name.clone() });
        }
        match name.as_str() {
            "ttl_s" => settings.ttl_ns = Some(ttl_ns(value)?),
            "rollup" => {
                settings.view = Some(value.as_str().and_then(view_named).ok_or_else(|| rollup(value))?)
            }
            _ => return Err(InvalidSettings::UnknownField { name: name.clone() }),
        }
    }
    Ok(settings)
}

fn ttl_ns(value: &Value) -> Result<u64, InvalidSettings> {
    let ttl_ns = value.as_u64().and_then(|seconds| seconds.checked_mul(NANOSECONDS_PER_SECOND));
    ttl_ns.filter(|ttl_ns| (TTL_NS_MIN..=TTL_NS_MAX).contains(ttl_ns)).ok_or_else(|| {
        let (min, max) = (TTL_NS_MIN / NANOSECONDS_PER_SECOND, TTL_NS_MAX / NANOSECONDS_PER_SECOND);
        let allowed = format!("an integer from {min} to {max}");
        InvalidSettings::InvalidValue { name: "ttl_s", value: value.to_string(), allowed }
    })
}

fn rollup(value: &Value) -> InvalidSettings {
    let allowed = ROLLUP_ALLOWED.to_owned();
    InvalidSettings::InvalidValue { name: "rollup", value: value.to_string(), allowed }
}

/// The fields of an object in their order, those that are there twice included.
struct Fields(Vec<(String, Value)>);

impl<'de> Deserialize<'de> for Fields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;

        impl<'de> Visitor<'de> for Object {
            type Value = Fields;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Fields, A::Error> {
                let mut fields = Vec::new();
                while let Some(field) = map.next_entry()? {
                    fields.push(field);
                }
                Ok(Fields(fields))
            }
        }

        deserializer.deserialize_map(Object)
    }
}

#[cfg(test)]
mod tests {
    use deltas::View;

    use super::*;

    #[test]
    fn what_is_not_said_is_not_set() {
        let minute = Some(60 * NANOSECONDS_PER_SECOND);
        for (json, ttl_ns, view) in [
            ("", None, None),
            (" \n", None, None),
            ("{}", None, None),
            (r#"{"ttl_s": 60}"#, minute, None),
            (r#"{"rollup": "none"}"#, None, Some(View::Each)),
            (r#" {"rollup":"ports","ttl_s":60} "#, minute, Some(View::Ports)),
        ] {
            assert_eq!(read_settings(json.as_bytes()), Ok(Settings { ttl_ns, view }), "{json}");
        }
    }

    #[test]
    fn what_is_no_object_is_refused() {
        for json in ["x", "{", "{} {}", "[]", "60", "null", "\"ttl_s\"", "{\"ttl_s\":60,}", "{1:2}", "\u{0}"]
        {
            assert_eq!(read_settings(json.as_bytes()), Err(InvalidSettings::NotAnObject), "{json}");
        }
    }

    #[test]
    fn unknown_and_repeated_fields_are_refused_by_name() {
        let unknown = |name: &str| Err(InvalidSettings::UnknownField { name: name.to_owned() });
        assert_eq!(read_settings(br#"{"ttl_s": 60, "ttl": 60}"#), unknown("ttl"));
        assert_eq!(read_settings(br#"{"": null}"#), unknown(""));
        let twice = Err(InvalidSettings::Twice { name: "ttl_s".to_owned() });
        assert_eq!(read_settings(br#"{"ttl_s": 60, "ttl_s": 60}"#), twice);
    }

    #[test]
    fn values_of_another_type_or_out_of_range_are_refused_with_what_is_allowed() {
        let values =
            ["9", "3601", "-60", "60.0", "6e1", "\"60\"", "null", "true", "[60]", "18446744073709551616"];
        for value in values {
            let refused = read_settings(format!("{{\"ttl_s\": {value}}}").as_bytes());
            let Err(InvalidSettings::InvalidValue { name: "ttl_s", allowed, .. }) = refused else {
                panic!("{value}: {refused:?}");
            };
            assert_eq!(allowed, "an integer from 10 to 3600");
        }
        for value in ["\"Ports\"", "\"\"", "true", "null", "1"] {
            let refused = read_settings(format!("{{\"rollup\": {value}}}").as_bytes());
            let (name, allowed) = ("rollup", "ports or none".to_owned());
            assert_eq!(
                refused,
                Err(InvalidSettings::InvalidValue { name, value: value.to_owned(), allowed })
            );
        }
        for seconds in [10, 3600] {
            let read = read_settings(format!("{{\"ttl_s\": {seconds}}}").as_bytes());
            assert_eq!(read.map(|settings| settings.ttl_ns), Ok(Some(seconds * NANOSECONDS_PER_SECOND)));
        }
    }
}
