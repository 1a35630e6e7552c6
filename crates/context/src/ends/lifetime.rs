//! When a connection lived, as exactly as it takes to tell whether two can be the ends of one.

use connections::{Connection, KernelTime};

/// Times are kept in units of 2^26 ns, 67 ms: 32 bits of them last for 9 years after boot.
const UNIT_BITS: u32 = 26;

/// The end of one that lives.
const LIVES: u32 = u32::MAX;

/// From when to when a connection lived, in units.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Lifetime {
    opened: u32,
    closed: u32,
}

impl Lifetime {
    /// One that is older than the tracer began with the host.
    pub(super) fn of(connection: &Connection) -> Self {
        Self {
            opened: connection.opened_at.map_or(0, units),
            closed: connection.closed_at.map_or(LIVES, units),
        }
    }

    /// True where they lived at the same time, or so close to each other that it may be only that one was seen later: less
    /// than two units, 134 ms, and never less than one.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.opened <= other.closed.saturating_add(1) && other.opened <= self.closed.saturating_add(1)
    }

    /// Which of two ended first.
    pub(super) fn closed(self) -> u32 {
        self.closed
    }
}

fn units(time: KernelTime) -> u32 {
    u32::try_from(time.0 >> UNIT_BITS).map_or(LIVES - 1, |units| units.min(LIVES - 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_of_less_than_a_unit_is_none_and_one_of_two_is_one() {
        let unit = 1 << UNIT_BITS;
        let at = |opened: u64, closed: Option<u64>| Lifetime {
            opened: units(KernelTime(opened)),
            closed: closed.map_or(LIVES, |closed| units(KernelTime(closed))),
        };
        let first = at(0, Some(10 * unit + unit / 2));
        for (opened, expected) in [(5, true), (10, true), (11, true), (12, false), (50, false)] {
            let later = at(opened * unit, None);
            assert_eq!((first.overlaps(later), later.overlaps(first)), (expected, expected), "{opened}");
        }
    }

    #[test]
    fn no_time_is_too_late() {
        assert_eq!(units(KernelTime(u64::MAX)), LIVES - 1);
    }
}
