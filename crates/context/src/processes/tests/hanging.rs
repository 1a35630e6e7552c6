//! Files that never answer.

use std::path::Path;
use std::sync::mpsc;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use super::super::reading::HANGING_MAX;
use super::*;

/// One who opens it for reading waits for somebody who writes.
fn make_endless(path: &Path) {
    let _ = std::fs::remove_file(path);
    mknodat(CWD, path, FileType::Fifo, Mode::RUSR | Mode::WUSR, 0).expect("a pipe can be made");
}

fn let_go(path: &Path) {
    drop(std::fs::OpenOptions::new().read(true).write(true).open(path).expect("it is there"));
}

fn impatient(proc: &FakeProc) -> ProcessSettings {
    ProcessSettings { hangs_after: Duration::from_millis(50), ..settings(proc) }
}

#[test]
fn a_process_whose_command_line_is_never_told_is_told_without_it_and_keeps_nobody_else_waiting() {
    let proc = FakeProc::new("hangs");
    (1..=2).for_each(|pid| run(&proc, pid, "/bin/it", b"it\0"));
    let line = proc.0.join("1/cmdline");
    make_endless(&line);
    let processes = Processes::new(impatient(&proc), |_| None);
    let found = look(&processes, &owner(1));
    assert_eq!((program(&found), found.parent_pid), (words("/bin/it", ""), Some(2)));
    assert_eq!(program(&look(&processes, &owner(2))), words("/bin/it", "it"));
    assert_eq!(processes.counts().hung, 1);
    let_go(&line);
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes.shared.lock().hanging > 0 {
        assert!(Instant::now() < deadline, "the first reader ends");
        std::thread::yield_now();
    }
}

#[test]
fn readers_that_hang_are_replaced_a_few_times_and_one_that_comes_back_reads_on() {
    let proc = FakeProc::new("all-hang");
    let pids = 1..=u32::try_from(HANGING_MAX).expect("it is small");
    let last = pids.end() + 1;
    (1..=last).for_each(|pid| run(&proc, pid, "/bin/it", b"it\0"));
    let lines: Vec<_> = pids.clone().map(|pid| proc.0.join(format!("{pid}/cmdline"))).collect();
    lines.iter().for_each(|line| make_endless(line));
    let processes = Processes::new(impatient(&proc), |_| None);
    pids.for_each(|pid| drop(look(&processes, &owner(pid))));
    let began = Instant::now();
    assert_eq!(program(&look(&processes, &owner(last))), words("", ""), "nobody reads");
    assert!(began.elapsed() < Duration::from_secs(10), "and nobody waits for that");
    assert!(processes.degradation().expect("nothing is read").contains("4 readers of /proc hang"));
    lines.iter().for_each(|line| let_go(line));
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes.degradation().is_some() {
        assert!(Instant::now() < deadline, "a reader comes back");
        std::thread::yield_now();
    }
    assert_eq!(program(&look(&processes, &owner(last))), words("/bin/it", "it"));
}

/// Processes whose reader waits until it is let go.
fn blocked(settings: ProcessSettings) -> (Processes, mpsc::Sender<()>) {
    let (go, gone) = mpsc::channel::<()>();
    let processes = Processes::new(settings, move |_| {
        let _ = gone.recv();
        None
    });
    processes.note(&Owner { kernel: true, cgroup_id: Some(77), ..owner(1) });
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes.shared.lock().reading.is_none() {
        assert!(Instant::now() < deadline, "the reader begins");
        std::thread::yield_now();
    }
    (processes, go)
}

#[test]
fn a_look_up_ends_at_its_deadline_with_what_is_known() {
    let proc = FakeProc::new("deadline");
    run(&proc, 1, "/bin/read", b"read\0");
    let (processes, go) = blocked(settings(&proc));
    processes.apply(&[executed(1, "/bin/told", b"told\0")]);
    let looking = processes.look(Instant::now() + Duration::from_millis(20));
    let owner = Owner { cgroup_id: None, ..owner(1) };
    assert_eq!(program(&looking.of(&owner).expect("it has one")), words("/bin/told", "told"));
    drop(go);
    assert_eq!(
        program(&look(&processes, &owner)),
        words("/bin/read", "read"),
        "that was not all that can be known"
    );
}

#[test]
fn what_the_queue_has_no_room_for_is_counted_and_read_when_it_is_asked_for() {
    let proc = FakeProc::new("queue");
    (1..=8).for_each(|pid| run(&proc, pid, "/bin/it", b"it\0"));
    let (processes, go) = blocked(ProcessSettings { queue: 4, ..settings(&proc) });
    let owner = |pid| Owner { cgroup_id: None, ..owner(pid) };
    (1..=8).for_each(|pid| processes.note(&owner(pid)));
    let counts = processes.counts();
    assert_eq!((counts.queued, counts.postponed), (4, 4));
    processes.note(&owner(1));
    assert_eq!(processes.counts().postponed, 4, "it is in the queue already");
    drop(go);
    (1..=8).for_each(|pid| assert_eq!(program(&look(&processes, &owner(pid))), words("/bin/it", "it")));
}
