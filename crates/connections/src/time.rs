//! Time as the kernel counts it, and its distance to the wall clock.
//!
//! Reads no clock: both values are handed in by whoever does.

/// Nanoseconds of the kernel's monotonic clock (`CLOCK_MONOTONIC`, `bpf_ktime_get_ns`): counted from boot,
/// never set back, standing still while the host is suspended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct KernelTime(pub u64);

impl KernelTime {
    /// Nanoseconds from `earlier` to `self`; 0 if `earlier` is later.
    #[must_use]
    pub fn nanoseconds_since(self, earlier: KernelTime) -> u64 {
        self.0.saturating_sub(earlier.0)
    }
}

/// What is added to a [`KernelTime`] to get nanoseconds since the Unix epoch.
///
/// Looked at for each answer, so that a corrected wall clock shows in the next one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WallOffset(pub i128);

impl WallOffset {
    /// Nanoseconds since the Unix epoch at `time`.
    #[must_use]
    pub fn unix_nanoseconds(self, time: KernelTime) -> i128 {
        self.0 + i128::from(time.0)
    }
}
