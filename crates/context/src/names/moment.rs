//! Points in time in four bytes, for what is kept many times.

use connections::KernelTime;

/// Seconds for which a name is fresh at least: less would be over before somebody looks at the connection.
const TTL_SECONDS_MIN: u32 = 60;
/// Seconds for which a name is fresh at most: one day.
const TTL_SECONDS_MAX: u32 = 24 * 60 * 60;

const NANOSECONDS: u64 = 100_000_000;
const PER_SECOND: u32 = 10;

/// Tenths of a second since the host was started, for 13 years; then it stands still.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(super) struct Moment(u32);

impl Moment {
    pub(super) fn of(time: KernelTime) -> Self {
        Self(u32::try_from(time.0 / NANOSECONDS).unwrap_or(u32::MAX))
    }

    pub(super) fn time(self) -> KernelTime {
        KernelTime(u64::from(self.0) * NANOSECONDS)
    }

    /// The last moment at which a record is fresh that may be kept for so many seconds.
    pub(super) fn after_ttl(self, seconds: u32) -> Self {
        Self(self.0.saturating_add(seconds.clamp(TTL_SECONDS_MIN, TTL_SECONDS_MAX) * PER_SECOND))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_fresh_for_a_minute_to_a_day() {
        let second = 1_000_000_000;
        let ends = |ttl| Moment::of(KernelTime(5 * second)).after_ttl(ttl).time().0 / second;
        assert_eq!([0, 61, u32::MAX].map(ends), [65, 66, 86_405]);
        assert_eq!(Moment::of(KernelTime(u64::MAX)).after_ttl(1), Moment(u32::MAX));
    }
}
