//! How far the wall clock is from the kernel's: one moment has one time in all answers, unless the wall clock was set.
//!
//! Reads no clock: what was read is passed in.

use std::cell::Cell;

use connections::WallOffset;

/// Between the looks at the two clocks time passes, so that no reading is exact. Two that differ by less are of one distance.
const SAME_NS: u128 = 1_000_000;

/// The distance that answers are made with.
#[derive(Debug)]
pub(crate) struct Wall(Cell<WallOffset>);

impl Wall {
    pub(crate) fn new(read: WallOffset) -> Self {
        Self(Cell::new(read))
    }

    /// The distance to use, after it was read anew.
    pub(crate) fn offset(&self, read: WallOffset) -> WallOffset {
        if read.0.abs_diff(self.0.get().0) >= SAME_NS {
            self.0.set(read);
        }
        self.0.get()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_has_one_time_until_the_clock_is_set() {
        let wall = Wall::new(WallOffset(5_000_000_000));
        for read in [5_000_000_007, 4_999_999_000, 5_000_999_999] {
            assert_eq!(wall.offset(WallOffset(read)), WallOffset(5_000_000_000));
        }
        for set in [5_001_000_000, -7, 9_000_000_000] {
            assert_eq!(wall.offset(WallOffset(set)), WallOffset(set));
            assert_eq!(wall.offset(WallOffset(set + 100)), WallOffset(set));
        }
    }
}
