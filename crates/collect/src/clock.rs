//! The clocks: the kernel's monotonic one, and its distance to the wall clock.

use connections::{KernelTime, WallOffset};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// The kernel's monotonic clock now: the clock of every record of the kernel side.
#[must_use]
pub fn kernel_now() -> KernelTime {
    let now = nanoseconds(clock_gettime(ClockId::Monotonic));
    KernelTime(u64::try_from(now).expect("the monotonic clock counts from boot"))
}

/// The distance of the wall clock from the monotonic clock now.
#[must_use]
pub fn wall_offset() -> WallOffset {
    let monotonic = nanoseconds(clock_gettime(ClockId::Monotonic));
    WallOffset(nanoseconds(clock_gettime(ClockId::Realtime)) - monotonic)
}

fn nanoseconds(time: Timespec) -> i128 {
    i128::from(time.tv_sec) * 1_000_000_000 + i128::from(time.tv_nsec)
}
