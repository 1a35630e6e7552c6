//! Waiting for a condition, never for a time.

use std::time::{Duration, Instant};

/// What is waited for comes within this time, or the test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// Pause between two looks, so that waiting does not take the processor from what is waited for.
const PAUSE: Duration = Duration::from_millis(5);

/// Looks until there is something.
pub fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    within(DEADLINE, &mut look).unwrap_or_else(|| panic!("{what} did not come within {DEADLINE:?}"))
}

/// Looks until there is something, or the time is over.
pub fn within<T>(time: Duration, mut look: impl FnMut() -> Option<T>) -> Option<T> {
    let begin = Instant::now();
    loop {
        if let Some(found) = look() {
            return Some(found);
        }
        if begin.elapsed() > time {
            return None;
        }
        std::thread::sleep(PAUSE);
    }
}
