//! What this process costs the host: processor time and memory. What its programs in the kernel cost is known
//! to `collect`.

use encode::Process;
use rustix::time::{ClockId, clock_gettime};

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// The cost until now.
pub(crate) fn own_cost() -> Process {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    // The time of a process begins with it, so neither part is negative.
    let (seconds, rest) = (u64::try_from(time.tv_sec), u64::try_from(time.tv_nsec));
    let cpu_ns = seconds.unwrap_or_default().saturating_mul(NANOSECONDS_PER_SECOND);
    Process { cpu_ns: cpu_ns.saturating_add(rest.unwrap_or_default()), resident_bytes: resident_bytes() }
}

/// `None` without `/proc`.
fn resident_bytes() -> Option<u64> {
    let pages = std::fs::read_to_string("/proc/self/statm").ok()?;
    let resident: u64 = pages.split(' ').nth(1)?.parse().ok()?;
    resident.checked_mul(rustix::param::page_size().try_into().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn processor_time_and_memory_are_those_of_this_process() {
        let before = own_cost();
        let touched = vec![1_u8; 64 << 20];
        let after = own_cost();
        assert!(after.cpu_ns > before.cpu_ns, "filling memory takes time: {before:?} {after:?}");
        assert!(after.resident_bytes >= Some(touched.len() as u64), "{after:?}");
    }
}
