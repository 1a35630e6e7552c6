//! Times of the wall clock as RFC 3339 text. Reads no clock.

use connections::{KernelTime, WallOffset};
use jiff::Timestamp;
use serde::{Serialize, Serializer};

/// A time of the wall clock in nanoseconds since the Unix epoch.
///
/// Serialized as RFC 3339 in UTC with nine digits, such as `2026-11-22T10:00:00.000000001Z`. Beyond the years
/// -9999 and 9999 it is the last time that can be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct WallTime(pub i128);

impl WallTime {
    /// The wall clock at a time of the kernel's clock.
    #[must_use]
    pub fn of(time: KernelTime, wall: WallOffset) -> Self {
        Self(wall.unix_nanoseconds(time))
    }
}

impl Serialize for WallTime {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let last = if self.0 < 0 { Timestamp::MIN } else { Timestamp::MAX };
        let timestamp = Timestamp::from_nanosecond(self.0).unwrap_or(last);
        serializer.collect_str(&format_args!("{timestamp:.9}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(nanoseconds: i128) -> String {
        serde_json::to_string(&WallTime(nanoseconds)).expect("a string is serializable")
    }

    #[test]
    fn times_are_utc_with_nine_digits() {
        assert_eq!(text(0), "\"1970-01-01T00:00:00.000000000Z\"");
        assert_eq!(text(1_795_341_600_000_000_001), "\"2026-11-22T10:00:00.000000001Z\"");
    }

    #[test]
    fn times_that_cannot_be_written_become_the_last_that_can() {
        assert!(text(i128::MAX).starts_with("\"9999-12-30T"), "{}", text(i128::MAX));
        assert!(text(i128::MIN).starts_with("\"-009999-01-0"), "{}", text(i128::MIN));
    }
}
