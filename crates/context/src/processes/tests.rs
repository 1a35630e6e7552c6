//! Processes in a `/proc` made of files, and real ones.

mod bounds;
mod hanging;
mod places;
mod real;

use std::sync::Arc;
use std::time::{Duration, Instant};

use connections::{Command, Executed, Owner, OwnerSource, Process, ProcessEvent, ProcessKey};

use super::*;
use crate::proc::fixtures::FakeProc;

/// The clock has a hundred ticks in a second.
const TICK_NS: u64 = 10_000_000;

fn key(pid: u32) -> ProcessKey {
    ProcessKey { pid, started_at_boot_ns: 5000 * TICK_NS + 123 }
}

fn owner(pid: u32) -> Owner {
    let ProcessKey { pid, started_at_boot_ns } = key(pid);
    Owner {
        pid,
        tid: pid,
        uid: 33,
        command: Command::default(),
        cgroup_id: Some(1),
        container: None,
        started_at_boot_ns,
        kernel: false,
        source: OwnerSource::Connect,
    }
}

fn executed(pid: u32, file: &str, arguments: &[u8]) -> ProcessEvent {
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

fn settings(proc: &FakeProc) -> ProcessSettings {
    let passwd = proc.0.join("passwd");
    std::fs::write(&passwd, "www-data:x:33:33\n").expect("it is writable");
    ProcessSettings { proc: proc.0.clone(), passwd, ..ProcessSettings::default() }
}

fn of_v2(proc: &FakeProc) -> Processes {
    Processes::new(settings(proc), |id| (id == 9).then(|| "/system.slice/nine.service".into()))
}

/// A process that can be read.
fn run(proc: &FakeProc, pid: u32, executable: &str, line: &[u8]) {
    proc.start(pid, 5000);
    proc.link_executable(pid, executable);
    proc.write(pid, "cmdline", line);
    proc.write(
        pid,
        "status",
        format!("Pid:\t{pid}\nPPid:\t2\nUid:\t33\t0\t0\t0\nNSpid:\t{pid}\t8\n").as_bytes(),
    );
    proc.write(pid, "cgroup", b"0::/system.slice/read.service\n");
}

fn look(processes: &Processes, owner: &Owner) -> Arc<Process> {
    processes.look(Instant::now() + Duration::from_secs(20)).of(owner).expect("it has a process")
}

/// Executable, and arguments with spaces between.
fn program(process: &Process) -> (String, String) {
    let line: Vec<_> = process.command_line.iter().flatten().map(|argument| &**argument).collect();
    (process.executable.as_deref().unwrap_or_default().to_owned(), line.join(" "))
}

fn words(executable: &str, line: &str) -> (String, String) {
    (executable.to_owned(), line.to_owned())
}

#[test]
fn a_process_is_read_when_its_owner_is_looked_for_and_only_once() {
    let proc = FakeProc::new("read-once");
    run(&proc, 1, "/usr/bin/it", b"it\0--token=abc\0");
    let processes = of_v2(&proc);
    let found = look(&processes, &owner(1));
    let expected = Process {
        key: key(1),
        namespace_pid: Some(8),
        parent_pid: Some(2),
        executable: Some("/usr/bin/it".into()),
        command_line: Some(["it".into(), "--token=********".into()].into()),
        command_line_cut: false,
        uid: Some(33),
        user: Some("www-data".into()),
        unit: None,
        pod: None,
    };
    assert_eq!(*found, expected);
    assert!(Arc::ptr_eq(&found, &look(&processes, &owner(1))));
    assert_eq!((processes.counts().read, processes.counts().kept), (1, 1));
    assert_eq!(processes.degradation(), None);
}

#[test]
fn a_process_that_an_event_names_is_read_without_anybody_asking() {
    let proc = FakeProc::new("noted");
    run(&proc, 1, "/usr/bin/it", b"it\0");
    let processes = of_v2(&proc);
    processes.note(&Owner { cgroup_id: Some(9), ..owner(1) });
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes.counts().read == 0 || processes.counts().queued > 0 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    proc.end(1);
    let known = look(&processes, &Owner { cgroup_id: Some(9), ..owner(1) });
    assert_eq!((program(&known), known.unit.as_deref()), (words("/usr/bin/it", "it"), Some("nine.service")));
}

#[test]
fn exec_tells_of_a_process_that_has_gone() {
    let proc = FakeProc::new("exec-gone");
    let processes = of_v2(&proc);
    processes
        .apply(&[executed(1, "./it", b"it\0--password\0abc\0"), ProcessEvent::Exited { process: key(1) }]);
    let found = look(&processes, &owner(1));
    assert_eq!(program(&found), words("./it", "it --password ********"));
    assert_eq!((found.parent_pid, found.namespace_pid, found.uid), (Some(2), Some(7), Some(33)));
    assert_eq!((processes.counts().gone, processes.counts().ended), (0, 1), "it is not looked for in /proc");
    processes.apply(&[executed(3, "/bin/it", b"it\0")]);
    assert_eq!(program(&look(&processes, &owner(3))), words("/bin/it", "it"));
    assert_eq!((processes.counts().gone, processes.counts().ended), (1, 2), "its end was not told");
}

#[test]
fn what_proc_shows_is_better_than_what_exec_was_told() {
    let proc = FakeProc::new("exec-read");
    run(&proc, 1, "/usr/bin/python3", b"python3\0./script\0");
    let processes = of_v2(&proc);
    processes.apply(&[executed(1, "./script", b"script\0")]);
    assert_eq!(program(&look(&processes, &owner(1))), words("/usr/bin/python3", "python3 ./script"));
}

#[test]
fn a_process_that_runs_another_program_is_told_with_that() {
    let proc = FakeProc::new("exec-again");
    run(&proc, 1, "/bin/first", b"first\0");
    let processes = of_v2(&proc);
    assert_eq!(program(&look(&processes, &owner(1))), words("/bin/first", "first"));
    run(&proc, 1, "/bin/second", b"second\0");
    assert_eq!(program(&look(&processes, &owner(1))), words("/bin/first", "first"), "it is remembered");
    processes.apply(&[executed(1, "second", b"second\0")]);
    assert_eq!(program(&look(&processes, &owner(1))), words("/bin/second", "second"));
    proc.end(1);
    processes.apply(&[executed(1, "third", b"third\0x\0")]);
    assert_eq!(program(&look(&processes, &owner(1))), words("third", "third x"));
}

#[test]
fn what_was_read_of_the_program_before_is_not_told_of_the_one_after_it() {
    let proc = FakeProc::new("exec-meanwhile");
    let settings = settings(&proc);
    let mut state = State::new(&settings, false, [].into_iter().collect());
    let (now, owner) = (Instant::now(), Owner { cgroup_id: None, ..owner(1) });
    assert!(!state.is_settled(&owner, now, false));
    assert_eq!(state.take(now), Some(Task::Process(key(1))));
    let (wanted, former) = state.wanted(key(1)).expect("it has not ended");
    run(&proc, 1, "/bin/former", b"former\0");
    let read = facts::read(&proc.0, key(1), wanted, &settings.scrub);
    state.apply(happened(&executed(1, "/bin/latter", b"latter\0"), &settings));
    assert_eq!(state.queued(), 0, "it is being read");
    state.store(key(1), read, former, now);
    assert_eq!(program(&state.complete(&owner, now, false)), words("/bin/latter", "latter"));
    assert_eq!(state.complete(&owner, now, false).namespace_pid, Some(8), "ids stay");
    assert_eq!(state.take(now), Some(Task::Process(key(1))), "it is read again");
    run(&proc, 1, "/bin/really", b"latter\0");
    let (wanted, latter) = state.wanted(key(1)).expect("it has not ended");
    state.store(key(1), facts::read(&proc.0, key(1), wanted, &settings.scrub), latter, now);
    assert!(state.is_settled(&owner, now, false) && state.queued() == 0);
    assert_eq!(program(&state.complete(&owner, now, true)), words("/bin/really", "latter"));
}

#[test]
fn an_owner_that_runs_another_program_is_read_without_anybody_asking() {
    let proc = FakeProc::new("exec-owner");
    (1..=2).for_each(|pid| run(&proc, pid, "/bin/first", b"first\0"));
    let processes = of_v2(&proc);
    look(&processes, &owner(1));
    (1..=2).for_each(|pid| run(&proc, pid, "/bin/second", b"second\0"));
    processes.apply(&[executed(1, "second", b"second\0"), executed(2, "second", b"second\0")]);
    let deadline = Instant::now() + Duration::from_secs(20);
    while processes.counts().read < 2 {
        assert!(Instant::now() < deadline);
        std::thread::yield_now();
    }
    (1..=2).for_each(|pid| proc.end(pid));
    assert_eq!(program(&look(&processes, &owner(1))), words("/bin/second", "second"));
    assert_eq!(program(&look(&processes, &owner(2))), words("second", "second"), "it owned nothing before");
}

#[test]
fn names_of_users_are_looked_for_again_after_ten_seconds() {
    let proc = FakeProc::new("names-again");
    let mut state = State::new(&settings(&proc), false, [].into_iter().collect());
    let began = Instant::now();
    let mut asks_after = |seconds| state.asks_for_users(began + Duration::from_secs(seconds));
    assert!(!asks_after(9) && asks_after(11) && !asks_after(20) && asks_after(21));
}

#[test]
fn a_child_begins_as_its_parent_is() {
    let proc = FakeProc::new("fork");
    let processes = of_v2(&proc);
    let forked = |parent, child| ProcessEvent::Forked { parent: key(parent), child: key(child) };
    processes.apply(&[forked(9, 10), executed(1, "/bin/a", b"a\0"), forked(1, 2), forked(2, 3)]);
    assert_eq!(processes.counts().kept, 3, "of a parent that is not known nothing is known");
    processes.apply(&[executed(1, "/bin/b", b"b\0")]);
    let child = look(&processes, &owner(3));
    assert_eq!((program(&child), child.key), (words("/bin/a", "a"), key(3)));
    assert_eq!((child.parent_pid, child.namespace_pid), (Some(2), None));
    processes.apply(&[executed(2, "/bin/c", b"c\0")]);
    assert_eq!(program(&look(&processes, &owner(2))), words("/bin/c", "c"));
    let mut all = Vec::new();
    processes
        .each(|process, _| all.push((process.key.pid, process.executable.as_deref().map(str::to_owned))));
    all.sort();
    assert_eq!(
        all,
        [(1, "/bin/b"), (2, "/bin/c"), (3, "/bin/a")].map(|(pid, path)| (pid, Some(path.to_owned())))
    );
}

#[test]
fn a_fork_that_is_told_late_adds_what_is_missing_and_replaces_nothing() {
    let proc = FakeProc::new("fork-late");
    run(&proc, 2, "/bin/read", b"read\0");
    let processes = of_v2(&proc);
    assert_eq!(program(&look(&processes, &owner(3))), words("", ""));
    look(&processes, &owner(2));
    let forked = |child| ProcessEvent::Forked { parent: key(1), child: key(child) };
    processes.apply(&[executed(1, "/bin/a", b"a\0"), forked(2), forked(3)]);
    assert_eq!(program(&look(&processes, &owner(2))), words("/bin/read", "read"));
    assert_eq!(program(&look(&processes, &owner(3))), words("/bin/a", "a"));
}

#[test]
fn nothing_is_told_of_a_process_whose_id_another_one_has() {
    let proc = FakeProc::new("other");
    run(&proc, 1, "/bin/other", b"other\0");
    let processes = of_v2(&proc);
    let former = Owner { started_at_boot_ns: 4999 * TICK_NS, ..owner(1) };
    let found = look(&processes, &former);
    assert_eq!((program(&found), found.parent_pid), (words("", ""), None));
    assert_eq!((found.uid, found.user.as_deref()), (Some(33), Some("www-data")), "the owner says who it was");
    assert_eq!((processes.counts().mismatched, processes.counts().ended), (1, 1));
    assert_eq!(program(&look(&processes, &owner(1))), words("/bin/other", "other"));
}

#[test]
fn a_task_of_the_kernel_runs_no_program_and_nothing_is_read_of_it() {
    let proc = FakeProc::new("kernel");
    run(&proc, 1, "/bin/it", b"it\0");
    let processes = of_v2(&proc);
    processes.apply(&[executed(2, "/bin/it", b"it\0")]);
    for pid in [1, 2] {
        let found = look(&processes, &Owner { kernel: true, ..owner(pid) });
        assert_eq!((program(&found), found.uid), (words("", ""), Some(33)));
    }
    assert_eq!((processes.counts().read, processes.counts().gone), (0, 0));
    assert!(processes.look(Instant::now()).of(&Owner { pid: 0, ..owner(1) }).is_none());
}

#[test]
fn each_user_of_a_process_is_named() {
    let proc = FakeProc::new("users");
    run(&proc, 1, "/bin/it", b"it\0");
    let processes = of_v2(&proc);
    let (first, second) = (owner(1), Owner { uid: 4, ..owner(1) });
    assert_eq!(look(&processes, &first).user.as_deref(), Some("www-data"));
    let other = look(&processes, &second);
    assert_eq!((other.uid, other.user.as_deref(), program(&other)), (Some(4), None, words("/bin/it", "it")));
    assert!(Arc::ptr_eq(&other, &look(&processes, &second)) && processes.counts().read == 1);
    let mut state = processes.shared.lock();
    state.store_names([(4, "four".into())].into_iter().collect());
    drop(state);
    assert_eq!(look(&processes, &second).user.as_deref(), Some("four"));
    assert_eq!(look(&processes, &first).user, None);
}

#[test]
fn without_a_proc_what_the_events_tell_is_told_and_the_rest_is_said_to_be_missing() {
    let proc = FakeProc::new("no-proc");
    let processes = of_v2(&proc);
    assert!(processes.degradation().expect("nothing can be read").contains("hidepid"));
    processes.apply(&[executed(2, "/bin/it", b"it\0")]);
    assert_eq!(program(&look(&processes, &owner(2))), words("/bin/it", "it"));
    let unknown = look(&processes, &Owner { cgroup_id: Some(9), ..owner(1) });
    assert_eq!((program(&unknown), unknown.unit.as_deref()), (words("", ""), Some("nine.service")));
}
