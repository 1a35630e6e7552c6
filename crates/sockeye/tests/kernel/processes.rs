//! What processes do, as real ones do it: they fork, execute and end.

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, mpsc};

use collect::{Capability, CapabilityState, CollectLimits, Collector, KernelCounts, PassRequests, Report};
use connections::{Event, Executed, Owner, ProcessEvent, ProcessKey};

use crate::harness::{DEADLINE, Outcome, socket_words};
use crate::peer::{Peer, ROLE};
use crate::scene::until;
use crate::world::{RIGHT_V4, VethPair};
use crate::{Needing, Test, needs};

pub const TESTS: &[Test] = &[
    ("a_process_that_has_ended_is_told_with_file_arguments_and_user", ended_before_anybody_looks),
    ("a_process_is_named_by_pid_and_start_as_its_connections_name_it", named_as_by_connections),
    ("what_a_process_did_is_told_before_its_connections", told_before_connections),
    ("a_process_that_forks_and_does_not_execute_is_told", forks_only),
    ("a_process_in_a_pid_namespace_is_told_by_both_ids", in_a_pid_namespace),
    ("a_thread_that_executes_is_its_process", thread_executes),
    ("threads_are_not_told", threads),
    ("processes_are_not_followed_where_that_is_switched_off", switched_off),
];

pub const NEEDING: &[Needing] =
    &[("a_process_lives_until_its_last_thread_ends", needs::python, leader_ends_first)];

/// A collector alone, and what it reported of processes and of owners.
pub struct Watch {
    pub collector: Collector,
    requests: PassRequests,
    reports: mpsc::Receiver<Report>,
    pub events: Vec<ProcessEvent>,
    /// Each with the number of process events that were told before.
    owners: Vec<(Owner, usize)>,
    counts: KernelCounts,
}

impl Watch {
    pub fn start() -> Self {
        let (sender, reports) = mpsc::channel();
        Self::with(limits(), reports, move |report| {
            let _ = sender.send(report);
        })
    }

    /// Its reports go to `sink`, and arrive through `reports`.
    pub fn with(
        limits: CollectLimits,
        reports: mpsc::Receiver<Report>,
        mut sink: impl FnMut(Report) + Send + 'static,
    ) -> Self {
        let requests = PassRequests::new().expect("descriptors are left");
        let sink = move |report| {
            sink(report);
            std::ops::ControlFlow::Continue(())
        };
        let collector = Collector::start(limits, &requests, sink).expect("this host can trace");
        needs::served(collector.support(), Capability::Processes);
        let (events, owners, counts) = (Vec::new(), Vec::new(), KernelCounts::default());
        Self { collector, requests, reports, events, owners, counts }
    }

    /// Takes in one report; answers the number of the pass that it ends.
    fn take(&mut self) -> Option<u64> {
        match self.reports.recv_timeout(DEADLINE).expect("the collector reports") {
            Report::Processes(events) => self.events.extend(events),
            Report::Events(events) => {
                let told = self.events.len();
                self.owners.extend(events.iter().filter_map(owner_of).map(|owner| (owner, told)));
            }
            Report::PassEnded { request, counts, .. } => {
                self.counts = counts;
                return Some(request);
            }
            Report::Payloads(_) => {}
            Report::Failed(error) => panic!("{error}"),
        }
        None
    }

    /// Makes a pass, so that all that has happened is told, and answers what was counted by then.
    pub fn pass(&mut self) -> KernelCounts {
        let wanted = self.requests.request();
        while self.take().is_none_or(|request| request < wanted) {}
        self.counts
    }

    /// The owner of the first connection of this process, and what it had executed when that was told.
    fn behind(&self, pid: u32) -> (Owner, Option<&Executed>) {
        let (owner, told) =
            *self.owners.iter().find(|(owner, _)| owner.pid == pid).expect("a connection was told");
        let before = executions(self.events.get(..told).expect("so many were told"));
        (owner, before.into_iter().rfind(|executed| executed.process.pid == pid))
    }

    /// What was told of the process by the end of a pass, in order.
    pub fn told_of(&mut self, pid: u32) -> Vec<ProcessEvent> {
        self.pass();
        let of = |event: &&ProcessEvent| key(event).pid == pid;
        self.events.iter().filter(of).cloned().collect()
    }
}

/// With which a test begins unless it is about another bound.
pub fn limits() -> CollectLimits {
    CollectLimits { tcp_slots: 4096, audit_interval_ms: 0, ..CollectLimits::default() }
}

fn owner_of(event: &Event) -> Option<Owner> {
    match event {
        Event::Adopted(observation) | Event::Read(observation) | Event::Closed(observation, _) => {
            observation.owner
        }
        _ => None,
    }
}

/// The process that the event is of.
pub fn key(event: &ProcessEvent) -> ProcessKey {
    match event {
        ProcessEvent::Forked { child, .. } => *child,
        ProcessEvent::Executed(executed) => executed.process,
        ProcessEvent::Exited { process } => *process,
    }
}

/// The events in short: what happened, and the last argument of executions.
fn in_short(events: &[ProcessEvent]) -> Vec<String> {
    let short = |event: &ProcessEvent| match event {
        ProcessEvent::Forked { .. } => "forked".to_owned(),
        ProcessEvent::Executed(executed) => {
            let last = executed.arguments.split(|byte| *byte == 0).rfind(|argument| !argument.is_empty());
            format!("executed {}", String::from_utf8_lossy(last.unwrap_or_default()))
        }
        ProcessEvent::Exited { .. } => "exited".to_owned(),
    };
    events.iter().map(short).collect()
}

fn one_key(events: &[ProcessEvent]) -> ProcessKey {
    let first = key(events.first().expect("something was told"));
    assert!(events.iter().all(|event| key(event) == first), "{events:?}");
    first
}

pub fn executions(events: &[ProcessEvent]) -> Vec<&Executed> {
    let of_executions = events.iter().filter_map(|event| match event {
        ProcessEvent::Executed(executed) => Some(&**executed),
        _ => None,
    });
    of_executions.collect()
}

/// When the process began, in hundredths of a second since boot, as the kernel itself says.
fn began(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it lives");
    let (_, after_name) = stat.rsplit_once(") ").expect("a name in brackets");
    after_name.split(' ').nth(19).and_then(|began| began.parse().ok()).expect("a number")
}

/// Runs to its end; answers its id.
pub fn run_to_end(command: &mut Command) -> u32 {
    let mut child = command.spawn().expect("the program is there");
    child.wait().expect("it was started here");
    child.id()
}

fn ended_before_anybody_looks() -> Outcome {
    let mut watch = Watch::start();
    let pid = run_to_end(Command::new("/bin/true").args(["one", "", "two words"]).uid(1000));
    let events = watch.told_of(pid);
    assert_eq!(in_short(&events), ["forked", "executed two words", "exited"]);
    let process = one_key(&events);
    let own = std::process::id();
    let Some(ProcessEvent::Forked { parent, .. }) = events.first() else { panic!("{events:?}") };
    assert_eq!((parent.pid, parent.started_at_boot_ns / 10_000_000), (own, began(own)));
    let executed = (*executions(&events).first().expect("it executed")).clone();
    let cgroup_id = executed.cgroup_id;
    let expected = Executed {
        process,
        namespace_pid: Some(pid),
        parent_pid: own,
        uid: 1000,
        file: b"/bin/true".to_vec(),
        arguments: b"/bin/true\0one\0\0two words\0".to_vec(),
        arguments_cut: false,
        cgroup_id,
    };
    assert_eq!(executed, expected);
}

/// The key leads from a connection to what its process executed.
fn named_as_by_connections() -> Outcome {
    let mut watch = Watch::start();
    let world = VethPair::new();
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    let port = server.listen("0.0.0.0");
    let pid = client.pid();
    let began = began(pid);
    client.connect("c", RIGHT_V4, port);
    client.kill();
    let events = watch.told_of(pid);
    let (owner, executed) = watch.behind(pid);
    let executed = executed.expect("it was told before its connection");
    let process = one_key(&events);
    assert_eq!(process, ProcessKey { pid, started_at_boot_ns: owner.started_at_boot_ns });
    assert_eq!(process.started_at_boot_ns / 10_000_000, began);
    assert_eq!((executed.process, executed.cgroup_id), (process, owner.cgroup_id));
    assert!(executed.arguments.ends_with(format!("\0{ROLE}\0").as_bytes()), "{executed:?}");
}

/// Also of a process that begins, connects and ends while the collector is between its two rings.
fn told_before_connections() -> Outcome {
    let world = VethPair::new();
    let mut server = Peer::start(&world.right);
    let port = server.listen("0.0.0.0");
    let held = Arc::new(Mutex::new(()));
    let (of_sink, (entered, reached)) = (Arc::clone(&held), mpsc::channel());
    let (sender, reports) = mpsc::channel();
    let mut watch = Watch::with(limits(), reports, move |report| {
        let of_processes = matches!(report, Report::Processes(_));
        let _ = sender.send(report);
        if of_processes {
            let _ = entered.send(());
            let _held = of_sink.lock().expect("nobody panics with it");
        }
    });
    watch.pass();
    let hold = held.lock().expect("nobody panics with it");
    while reached.try_recv().is_ok() {}
    run_to_end(&mut Command::new("/bin/true"));
    reached.recv_timeout(DEADLINE).expect("what it did is told");
    let mut client = Peer::start(&world.left);
    let pid = client.pid();
    let local = client.connect("c", RIGHT_V4, port);
    server.ask("accept s");
    server.kill();
    client.kill();
    until("the close", || socket_words(&world.left, local, port).is_empty());
    drop(hold);
    watch.pass();
    watch.behind(pid).1.expect("it was told before its connection");
}

fn forks_only() -> Outcome {
    let mut watch = Watch::start();
    // The shell has forked when it says the id.
    let script = "(exit 0) & echo $!; wait";
    let output = Command::new("/bin/sh").args(["-c", script]).output().expect("there is a shell");
    let child: u32 = String::from_utf8_lossy(&output.stdout).trim().parse().expect("an id");
    let events = watch.told_of(child);
    assert_eq!(in_short(&events), ["forked", "exited"]);
    one_key(&events);
    let Some(ProcessEvent::Forked { parent, .. }) = events.first() else { panic!("{events:?}") };
    let of_parent = watch.told_of(parent.pid);
    assert_eq!(one_key(&of_parent), *parent);
    assert_eq!(in_short(&of_parent), ["forked", &format!("executed {script}"), "exited"]);
}

fn in_a_pid_namespace() -> Outcome {
    let mut watch = Watch::start();
    let outer = run_to_end(Command::new("unshare").args(["--pid", "--fork", "/bin/true", "inside"]));
    watch.pass();
    let inside = executions(&watch.events).into_iter().find(|executed| executed.parent_pid == outer);
    let inside = inside.expect("the one inside executed");
    assert_eq!(inside.arguments, b"/bin/true\0inside\0");
    assert_eq!(inside.namespace_pid, Some(1));
    assert_ne!(inside.process.pid, 1, "the id is that of the initial namespace");
    let pid = inside.process.pid;
    let events = watch.told_of(pid);
    assert_eq!(in_short(&events), ["forked", "executed inside", "exited"]);
    one_key(&events);
}

fn binary() -> Command {
    let mut command = Command::new(std::env::current_exe().expect("the binary has a path"));
    command.arg(ROLE);
    command
}

/// The thread takes over id and start of the first thread, which ends without an end of the process.
fn thread_executes() -> Outcome {
    let mut watch = Watch::start();
    let pid = run_to_end(binary().args(["executes", "/bin/true", "last"]));
    let events = watch.told_of(pid);
    assert_eq!(in_short(&events), ["forked", "executed last", "executed last", "exited"]);
    one_key(&events);
    let files: Vec<_> = executions(&events).iter().map(|executed| executed.file.clone()).collect();
    assert_eq!(files.last().expect("two"), b"/bin/true");
    assert_ne!(files.first().expect("two"), b"/bin/true");
}

fn threads() -> Outcome {
    let mut watch = Watch::start();
    let own = std::process::id();
    // The second ends while the process lives.
    for _ in 0..2 {
        let thread = std::thread::spawn(|| std::fs::read_link("/proc/thread-self").expect("it is there"));
        let told = thread.join().expect("it does not panic");
        let tid = told.file_name().and_then(|tid| tid.to_str()?.parse().ok()).expect("an id");
        assert_eq!(watch.told_of(tid), [], "a thread of {own}");
    }
    assert_eq!(watch.told_of(own), []);
}

const LEADER_ENDS: &str = "
import ctypes, sys, threading
threading.Thread(target=sys.stdin.readline).start()
ctypes.CDLL(None).pthread_exit(None)
";

fn leader_ends_first() -> Outcome {
    let mut watch = Watch::start();
    let mut child: Child = Command::new("python3")
        .args(["-c", LEADER_ENDS])
        .stdin(Stdio::piped())
        .spawn()
        .expect("Python is there");
    let pid = child.id();
    let is_zombie = || {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).expect("it was not waited for");
        stat.rsplit_once(") ").is_some_and(|(_, after_name)| after_name.starts_with('Z'))
    };
    until("the end of the first thread", is_zombie);
    let events = watch.told_of(pid);
    let process = one_key(&events);
    let exit = ProcessEvent::Exited { process };
    assert!(!events.contains(&exit), "{:?}", in_short(&events));
    writeln!(child.stdin.take().expect("piped")).expect("the other thread reads");
    child.wait().expect("it was started here");
    let events = watch.told_of(pid);
    assert_eq!(one_key(&events), process);
    assert_eq!(events.iter().filter(|event| **event == exit).count(), 1, "{:?}", in_short(&events));
}

fn switched_off() -> Outcome {
    let (sender, reports) = mpsc::channel();
    let limits = CollectLimits { follow_processes: false, ..limits() };
    let mut watch = Watch::with(limits, reports, move |report| {
        let _ = sender.send(report);
    });
    run_to_end(&mut Command::new("/bin/true"));
    watch.pass();
    assert_eq!(watch.events, []);
    let support = watch.collector.support();
    let state = support.capabilities.iter().find(|state| state.capability.name() == "processes");
    let CapabilityState { served_by, degradation, .. } = state.expect("it is listed");
    assert_eq!((served_by, degradation), (&None, &None), "that is no degradation");
    let of_processes = |(name, _): &&(String, u32)| name.starts_with("sched_process");
    assert_eq!(support.programs.iter().find(of_processes), None);
}
