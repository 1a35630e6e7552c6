//! The values of our messages in JSON, where it has others than protobuf: times are text, and enums have short names.
//!
//! The messages and the names in them are generated from the schema; which function writes which field is said in
//! `build.rs`.

use serde::{Serialize, Serializer};

use super::proto;
use crate::wall_time::WallTime;

/// Nanoseconds since the Unix epoch are RFC 3339 text.
pub(super) fn time<S: Serializer>(unix_ns: &i64, serializer: S) -> Result<S::Ok, S::Error> {
    WallTime(i128::from(*unix_ns)).serialize(serializer)
}

/// The same where they are optional; absent ones are left out.
pub(super) fn time_if_any<S: Serializer>(unix_ns: &Option<i64>, serializer: S) -> Result<S::Ok, S::Error> {
    unix_ns.map(|unix_ns| WallTime(i128::from(unix_ns))).serialize(serializer)
}

/// An enum is its short name.
pub(super) fn name<S: Serializer, E: Named>(number: &i32, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(E::try_from(*number).map_or("unspecified", |value| value.name()))
}

/// The same where it is optional; an absent one is left out.
pub(super) fn name_if_any<S: Serializer, E: Named>(
    number: &Option<i32>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    name::<S, E>(&number.unwrap_or_default(), serializer)
}

/// An enum of the schema.
pub(super) trait Named: TryFrom<i32> {
    /// Its name in JSON: that of the domain.
    fn name(self) -> &'static str;
}

/// An enum of the schema that has the values of the domain's, each with its name there.
macro_rules! named {
    ($($message:ident { $($value:ident)+ })+) => {
        $(
            impl Named for proto::$message {
                fn name(self) -> &'static str {
                    match self {
                        $(Self::$value => connections::$message::$value.name(),)+
                        Self::Unspecified => "unspecified",
                    }
                }
            }

            impl From<connections::$message> for proto::$message {
                fn from(value: connections::$message) -> Self {
                    match value {
                        $(connections::$message::$value => Self::$value,)+
                    }
                }
            }
        )+
    };
}

named!(
    Protocol { Tcp Udp }
    State {
        Open SynSent SynReceived Established FinWait1 FinWait2 CloseWait LastAck Closing Closed
    }
    Direction { Unknown Incoming Outgoing }
    OwnerSource { Listener Descriptor Close Connect Send }
    FailureKind { Refused Reset TimedOut Unreachable Aborted Abandoned }
);
