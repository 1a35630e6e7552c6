//! CPU time: of this thread, of this process, of its threads by name, and of its children.

use anyhow::{Context, ensure};
use nix::sys::resource::{UsageWho, getrusage};
use nix::sys::time::TimeValLike;
use rustix::time::{ClockId, clock_gettime};

/// CPU time of this thread, in nanoseconds.
pub fn thread_ns() -> f64 {
    read(ClockId::ThreadCPUTime)
}

/// CPU time of all threads of this process, in nanoseconds.
pub fn process_ns() -> f64 {
    read(ClockId::ProcessCPUTime)
}

fn read(clock: ClockId) -> f64 {
    let time = clock_gettime(clock);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}

/// CPU time of the children that were waited for, in nanoseconds.
pub fn children_ns() -> anyhow::Result<f64> {
    let usage = getrusage(UsageWho::RUSAGE_CHILDREN)?;
    Ok((usage.user_time() + usage.system_time()).num_microseconds() as f64 * 1e3)
}

/// CPU time of the threads of this process that have this name, in nanoseconds. A thread that runs at this
/// moment may be told up to a tick short.
pub fn threads_ns(name: &str) -> anyhow::Result<f64> {
    let (mut sum, mut found) = (0.0, false);
    for thread in std::fs::read_dir("/proc/self/task")? {
        let thread = thread?.path();
        // A thread may end meanwhile.
        let Ok(command) = std::fs::read_to_string(thread.join("comm")) else { continue };
        if command.trim_end() == name {
            found = true;
            let times = std::fs::read_to_string(thread.join("schedstat"));
            let times = times.context("the kernel does not tell how long threads ran (CONFIG_SCHED_INFO)")?;
            sum += times.split(' ').next().context("schedstat is empty")?.parse::<f64>()?;
        }
    }
    ensure!(found, "no thread is called {name}");
    Ok(sum)
}
