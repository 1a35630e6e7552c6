//! The machine that the numbers are of: what it is, and what else it does.

use std::thread::available_parallelism;

/// One line that belongs above every table.
pub fn describe() -> String {
    let cpus = available_parallelism().map_or(1, usize::from);
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let model = model.map_or("unknown model", |(_, name)| name.trim());
    let system = rustix::system::uname();
    format!("{cpus} CPUs ({model}), Linux {}", system.release().to_string_lossy())
}

/// Load averages of 1, 5 and 15 minutes, the measurement itself included.
pub fn load() -> String {
    let text = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    text.split(' ').take(3).collect::<Vec<_>>().join(" ")
}
