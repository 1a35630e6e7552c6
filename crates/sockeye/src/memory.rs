//! How much memory the configured limits allow, in the kernel and in the process: the arithmetic of the table of limits in
//! ARCHITECTURE.md.
//!
//! A test holds the sizes against that table, and another the kernel's part against what the kernel says of its maps.

use encode::{LimitMemoryView, MemoryView};

use crate::config::Config;

const KIB: u64 = 1024;

/// The most that is remembered of processes, in bytes.
const PROCESSES_BYTES: u64 = 9 << 20;

/// One line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Line {
    limit: &'static str,
    in_kernel: bool,
    at_start: bool,
    bytes: u64,
}

/// What the limits of this configuration allow.
pub(crate) fn memory(config: &Config) -> MemoryView {
    let lines: Vec<Line> = of_kernel(config).into_iter().chain(of_process(config)).collect();
    let sum = |of: fn(&Line) -> bool| lines.iter().filter(|line| of(line)).map(|line| line.bytes).sum();
    MemoryView {
        kernel_at_start_bytes: sum(|line| line.in_kernel && line.at_start),
        kernel_most_bytes: sum(|line| line.in_kernel),
        process_most_bytes: sum(|line| !line.in_kernel),
        // A tally, and one more while an answer is pending.
        each_client_most_bytes: u64::from(config.limits.live_connections) * 2 * 96,
        limits: lines.iter().map(view).collect(),
    }
}

fn view(line: &Line) -> LimitMemoryView {
    LimitMemoryView {
        limit: line.limit,
        side: if line.in_kernel { "kernel" } else { "process" },
        at_start: line.at_start,
        most_bytes: line.bytes,
    }
}

fn of_kernel(config: &Config) -> Vec<Line> {
    let (limits, collect) = (&config.limits, &config.collect);
    let names = collect.dns || collect.dns_tcp;
    let doubled = |number: u32| u64::from(number).next_power_of_two();
    let line = |limit, at_start, bytes| Line { limit, in_kernel: true, at_start, bytes };
    let used = |limit, number: u32, each: u64| line(limit, false, u64::from(number) * each);
    let all = [
        (true, line("tcp_slots", true, doubled(limits.tcp_slots) * 112)),
        (true, used("spilled_slots", limits.spilled_slots, 168)),
        (true, line("ring_bytes", true, doubled(limits.ring_bytes))),
        (true, used("overflow_records", limits.overflow_records, 320)),
        (true, used("kernel_rollups", limits.kernel_rollups, 2 * 830)),
        (true, used("deferred_records", limits.deferred_records, 320)),
        (collect.connect_attempts, used("connect_attempts", limits.connect_attempts, 180)),
        (collect.udp, line("udp_slots", true, doubled(limits.udp_slots) * 232)),
        (collect.udp, used("udp_peers", limits.udp_peers, 240)),
        (collect.processes, line("process_ring_bytes", true, doubled(limits.process_ring_bytes))),
        (names, line("payload_ring_bytes", true, doubled(limits.payload_ring_bytes))),
    ];
    all.into_iter().filter_map(|(there, line)| there.then_some(line)).collect()
}

fn of_process(config: &Config) -> Vec<Line> {
    let (limits, context) = (&config.limits, &config.context);
    let names = config.collect.dns || config.collect.dns_tcp;
    let line = |limit, bytes| Line { limit, in_kernel: false, at_start: false, bytes };
    let used = |limit, number: u32, each: u64| line(limit, u64::from(number) * each);
    let processes = (u64::from(limits.processes) * 750).min(PROCESSES_BYTES);
    let all = [
        (true, used("live_connections", limits.live_connections, 256)),
        (true, used("closed_records", limits.closed_records, 256)),
        // Of the log, as much again while they grow, and of the kernel's side.
        (true, used("rollups", limits.rollups, 3 * 352)),
        (names, used("lookups", limits.lookups, 160)),
        (context.processes, line("processes", processes)),
        // An entry, and places of the index for it.
        (context.nat, used("nat_entries", limits.nat_entries, 127)),
        (names, used("names", limits.names, 260)),
        (context.routes, line("routes", u64::from(limits.routes) * 138 + 4096 * 74)),
        (true, line("answer_bytes", u64::from(limits.answer_bytes))),
        (true, line("message queue", 256 * 128 * 392)),
        (true, line("ends remembered", 16_794 * KIB)),
        (true, line("tombstones", 65_536 * 48)),
        (names, line("queries and segments of names", 6042 * KIB)),
        (true, line("cgroups, users and containers", 6042 * KIB)),
    ];
    all.into_iter().filter_map(|(there, line)| there.then_some(line)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TABLE: &str = include_str!("../../../ARCHITECTURE.md");

    #[test]
    fn each_size_is_that_of_the_table_of_limits() {
        let mut one = Config::default();
        one.collect.connect_attempts = true;
        let limits = &mut one.limits;
        for limit in [
            &mut limits.tcp_slots,
            &mut limits.spilled_slots,
            &mut limits.overflow_records,
            &mut limits.deferred_records,
            &mut limits.connect_attempts,
            &mut limits.udp_slots,
            &mut limits.udp_peers,
            &mut limits.live_connections,
            &mut limits.closed_records,
            &mut limits.lookups,
            &mut limits.names,
        ] {
            *limit = 1;
        }
        let sizes = memory(&one).limits;
        let names =
            ["tcp_slots", "spilled_slots", "overflow_records", "deferred_records", "connect_attempts"];
        let more = ["udp_slots", "udp_peers", "live_connections", "closed_records", "lookups", "names"];
        for name in names.into_iter().chain(more) {
            let row =
                TABLE.lines().find(|row| row.starts_with(&format!("| `{name}` "))).expect("it has a row");
            let size = sizes.iter().find(|line| line.limit == name).expect("it takes memory").most_bytes;
            assert!(row.contains(&format!(" {size} B")), "{name}: {size} B: {row}");
        }
    }

    #[test]
    fn what_is_off_takes_nothing_and_sums_are_those_of_the_lines() {
        let all = memory(&Config::default());
        let sum =
            |side: &str| all.limits.iter().filter(|line| line.side == side).map(|line| line.most_bytes).sum();
        assert_eq!((all.kernel_most_bytes, all.process_most_bytes), (sum("kernel"), sum("process")));
        let mut config = Config::default();
        config.collect.udp = false;
        config.collect.dns = false;
        config.collect.processes = false;
        let less = memory(&config);
        let names: Vec<_> = less.limits.iter().map(|line| line.limit).collect();
        for off in ["udp_slots", "udp_peers", "process_ring_bytes", "payload_ring_bytes", "lookups", "names"]
        {
            assert!(!names.contains(&off), "{off}");
        }
        assert_eq!(less.kernel_at_start_bytes, (262_144 * 112) + (8 << 20));
    }
}
