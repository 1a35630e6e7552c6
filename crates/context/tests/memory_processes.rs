//! What the processes that are remembered take, measured at the limit.

use std::time::{Duration, Instant};

use connections::{Command, Executed, Owner, OwnerSource, ProcessEvent, ProcessKey};
use context::{ProcessSettings, Processes};
use peak_alloc::PeakAlloc;

#[global_allocator]
static MEMORY: PeakAlloc = PeakAlloc;

const LIMIT: u32 = 16_384;
const LIMIT_BYTES: usize = 9 << 20;

fn key(pid: u32) -> ProcessKey {
    ProcessKey { pid, started_at_boot_ns: 5 }
}

fn executed(pid: u32, file: &[u8], arguments: &[u8]) -> ProcessEvent {
    ProcessEvent::Executed(Box::new(Executed {
        process: key(pid),
        namespace_pid: Some(7),
        parent_pid: 2,
        uid: 33,
        file: file.into(),
        arguments: arguments.into(),
        arguments_cut: false,
        cgroup_id: Some(1),
    }))
}

fn owner(pid: u32) -> Owner {
    Owner {
        pid,
        tid: pid,
        uid: 33,
        command: Command::default(),
        cgroup_id: Some(1),
        container: None,
        started_at_boot_ns: 5,
        kernel: false,
        source: OwnerSource::Connect,
    }
}

/// So many processes, each with a connection; what was measured and what was counted. They are given back, because a thread
/// of theirs may free them later than they are dropped.
fn fill(all: u32, file: &[u8], arguments: &[u8]) -> (usize, context::ProcessCounts, Processes) {
    let before = MEMORY.current_usage();
    // No process is found there.
    let settings = ProcessSettings { proc: "/nonexistent".into(), ..ProcessSettings::default() };
    let processes = Processes::new(settings, |_| None);
    for pid in 1..=all {
        processes.apply(&[executed(pid, file, arguments), ProcessEvent::Exited { process: key(pid) }]);
        let looking = processes.look(Instant::now() + Duration::from_secs(20));
        assert!(looking.of(&owner(pid)).is_some());
    }
    let counts = processes.counts();
    let taken = MEMORY.current_usage() - before;
    (taken, counts, processes)
}

#[test]
fn what_is_remembered_stays_within_its_bytes() {
    let arguments = b"/usr/lib/postgresql/15/bin/postgres\0-D\0/var/lib/postgresql/15/main\0-c\0config_file=/etc/x.conf\0";
    let (taken, usual, _kept) = fill(LIMIT + 5000, b"/usr/lib/postgresql/15/bin/postgres", arguments);
    println!("{taken} B: {usual:?}");
    assert!(usual.kept > 10_000, "a usual one has room in its share: {usual:?}");
    assert!(usual.bytes <= LIMIT_BYTES && taken <= LIMIT_BYTES, "{taken}");
    let (taken, large, _kept_too) = fill(5000, &[b'x'; 4096], &b"yyyyyyyy\0".repeat(64));
    println!("{taken} B: {large:?}");
    assert!(large.bytes <= LIMIT_BYTES && taken <= LIMIT_BYTES, "{taken}");
    assert!(large.kept > 1100 && large.evicted > 0, "{large:?}");
}
