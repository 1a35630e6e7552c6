//! Processes that the tests start, compared with what another reader of `/proc` finds.

use std::io::{Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::process::{Child, Command as Program, Stdio};

use super::*;

#[expect(unreachable_pub, reason = "it is shared with tests that are crates")]
#[path = "../../../../sockeye/tests/fixtures/not_run.rs"]
mod not_run;

const ID: &str = "9f7a5c0e3b1d2f4a6c8e0b2d4f6a8c0e1f3b5d7a9c0e2f4b6d8a0c1e3f5b7d9a";

/// A process that waits for a line, and that is ended in the end.
struct Running(Child);

impl Running {
    fn start(program: &str, arguments: &[&str]) -> Self {
        let mut program = Program::new(program);
        program.args(arguments).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::inherit());
        Self(program.spawn().expect("it is installed"))
    }

    fn say(&mut self, line: &str) {
        let input = self.0.stdin.as_mut().expect("it is a pipe");
        writeln!(input, "{line}").and_then(|()| input.flush()).expect("it lives");
    }

    /// Waits for one byte.
    fn hear(&mut self) {
        let output = self.0.stdout.as_mut().expect("it is a pipe");
        output.read_exact(&mut [0]).expect("it lives");
    }

    fn owner(&self) -> Owner {
        owner_in(Path::new("/proc"), self.0.id())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn owner_in(proc: &Path, pid: u32) -> Owner {
    let process = procfs::process::Process::new_with_root(proc.join(pid.to_string())).expect("it lives");
    let started_at_boot_ns = process.stat().expect("it lives").starttime * TICK_NS + 777;
    Owner {
        pid,
        tid: pid,
        uid: rustix::process::getuid().as_raw(),
        started_at_boot_ns,
        cgroup_id: None,
        ..owner(pid)
    }
}

/// True when the test can run here; if not, that is noted.
fn runs_here(reason: Option<&str>) -> bool {
    let thread = std::thread::current();
    let note = |reason| not_run::not_run("unit", thread.name().unwrap_or("unnamed"), reason);
    reason.is_none_or(|reason| {
        note(reason).unwrap_or_else(|failure| panic!("{failure}"));
        false
    })
}

fn needs_root() -> Option<&'static str> {
    (!rustix::process::geteuid().is_root()).then_some("needs root")
}

fn real() -> Processes {
    Processes::new(ProcessSettings::default(), |_| None)
}

/// Waits until it is told like this.
fn until(mut holds: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !holds() {
        assert!(Instant::now() < deadline, "it did not come");
        std::thread::yield_now();
    }
}

#[test]
fn a_process_is_told_as_another_reader_finds_it() {
    let running = Running::start("cat", &["-u", "--", "-"]);
    let processes = real();
    let oracle = procfs::process::Process::new(running.0.id().cast_signed()).expect("it lives");
    // Until it runs its program, it is a copy of this one.
    until(|| oracle.cmdline().is_ok_and(|line| line.first().is_some_and(|name| name == "cat")));
    let found = look(&processes, &running.owner());
    let executable = oracle.exe().expect("it is ours").to_string_lossy().into_owned();
    assert_eq!(program(&found), (executable, oracle.cmdline().expect("it is ours").join(" ")));
    assert_eq!(found.parent_pid, Some(std::process::id()));
    let namespace_pid = oracle.status().expect("it is ours").nspid.and_then(|pids| pids.last().copied());
    assert_eq!(found.namespace_pid.map(u32::cast_signed), namespace_pid);
    let uid = rustix::process::getuid().as_raw();
    assert_eq!(found.uid, Some(uid));
    if uid == 0 {
        assert_eq!(found.user.as_deref(), Some("root"));
        assert_eq!(processes.degradation(), None);
    }
}

#[test]
fn a_process_that_runs_another_program_is_read_again() {
    let mut running = Running::start("bash", &["-c", "echo; read line; exec cat"]);
    running.hear();
    let (processes, owner) = (real(), running.owner());
    let name = || {
        let found = look(&processes, &owner);
        found.executable.as_deref().and_then(|path| path.rsplit('/').next()).map(str::to_owned)
    };
    assert_eq!(name().as_deref(), Some("bash"));
    running.say("go");
    running.say("a");
    running.hear();
    assert_eq!(name().as_deref(), Some("bash"), "nobody has told of it");
    let ProcessEvent::Executed(event) = executed(owner.pid, "cat", b"cat\0") else { unreachable!() };
    processes
        .apply(&[ProcessEvent::Executed(Box::new(Executed { process: state::key_of(&owner), ..*event }))]);
    assert_eq!(name().as_deref(), Some("cat"));
    assert!(look(&processes, &owner).executable.as_deref().is_some_and(|path| path.starts_with('/')));
}

#[test]
fn a_process_that_has_ended_is_told_if_it_was_read_and_not_if_it_was_not() {
    let (first, second) = (Running::start("cat", &[]), Running::start("cat", &[]));
    let processes = real();
    let owners = [first.owner(), second.owner()];
    until(|| look(&real(), &owners[0]).executable.as_deref().is_some_and(|path| path.ends_with("/cat")));
    look(&processes, &owners[0]);
    drop((first, second));
    let [read, unread] = owners.map(|owner| look(&processes, &owner).executable.clone());
    assert!(read.is_some_and(|path| path.ends_with("/cat")) && unread.is_none());
    assert_eq!(processes.counts().gone, 1);
}

/// In a pid namespace of its own, so that no other process takes the id.
#[test]
fn two_processes_with_one_id_are_not_taken_for_each_other() {
    if !runs_here(needs_root()) {
        return;
    }
    let script = "next() { echo 99 > /proc/sys/kernel/ns_last_pid; }
        next; cat <&3 & echo; read line; kill $!; wait $!
        next; sleep 1000 & echo; read line; kill $!";
    let inner = format!("exec 3<>/dev/ptmx; {script}");
    let mut running = Running::start("unshare", &["--pid", "--fork", "--mount-proc", "bash", "-c", &inner]);
    running.hear();
    // The shell is the only child of the one that has made the namespace.
    let outer = running.0.id();
    let children = std::fs::read_to_string(format!("/proc/{outer}/task/{outer}/children")).expect("it lives");
    let proc = Path::new("/proc").join(children.trim()).join("root/proc");
    let processes =
        Processes::new(ProcessSettings { proc: proc.clone(), ..ProcessSettings::default() }, |_| None);
    assert!(
        processes.degradation().is_some_and(|text| text.contains("another pid namespace")),
        "{processes:?}"
    );
    let first = owner_in(&proc, 100);
    let name = |owner: &Owner| {
        let found = look(&processes, owner);
        found.executable.as_deref().and_then(|path| path.rsplit('/').next()).map(str::to_owned)
    };
    until(|| std::fs::read_link(proc.join("100/exe")).is_ok_and(|path| path.ends_with("cat")));
    assert_eq!(name(&first).as_deref(), Some("cat"));
    // They began in one tick of the clock otherwise.
    let tick = first.started_at_boot_ns / TICK_NS;
    until(|| boot_ns() / TICK_NS > tick + 1);
    running.say("next");
    running.hear();
    let second = owner_in(&proc, 100);
    assert_ne!(first.started_at_boot_ns, second.started_at_boot_ns);
    until(|| std::fs::read_link(proc.join("100/exe")).is_ok_and(|path| path.ends_with("sleep")));
    assert_eq!((name(&first).as_deref(), name(&second).as_deref()), (Some("cat"), Some("sleep")));
    let fresh = Processes::new(ProcessSettings { proc, ..ProcessSettings::default() }, |_| None);
    assert_eq!(look(&fresh, &first).executable, None);
    assert_eq!(fresh.counts().mismatched, 1);
    running.say("end");
}

fn boot_ns() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    now.tv_sec.cast_unsigned() * 1_000_000_000 + now.tv_nsec.cast_unsigned()
}

/// Cgroups below one of the test's own; removed in the end.
struct Cgroups(Vec<PathBuf>);

impl Cgroups {
    /// `None` where there is no such hierarchy, or it cannot be written.
    fn new(kind: &str, test: &str, names: &[&str]) -> Option<Self> {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("there is one");
        let mount = mounts.lines().find(|line| line.contains(kind))?;
        let outer =
            Path::new(mount.split(' ').nth(4)?).join(format!("sockeye-{test}-{}", std::process::id()));
        std::fs::create_dir(&outer).ok()?;
        let mut all = Self(vec![outer.clone()]);
        for name in names {
            let inner = outer.join(name);
            std::fs::create_dir_all(&inner).ok()?;
            all.0.extend(inner.ancestors().take_while(|path| *path != outer).map(Path::to_owned));
        }
        Some(all)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0[0].join(name)
    }

    fn id(&self, name: &str) -> u64 {
        std::fs::metadata(self.path(name)).expect("it was made").ino()
    }

    fn take(&self, name: &str, pid: u32) {
        std::fs::write(self.path(name).join("cgroup.procs"), pid.to_string()).expect("it may be moved");
    }
}

impl Drop for Cgroups {
    fn drop(&mut self) {
        self.0.sort_by_key(|path| std::cmp::Reverse(path.components().count()));
        self.0.iter().for_each(|path| drop(std::fs::remove_dir(path)));
    }
}

#[test]
fn in_version_2_each_connection_has_the_unit_that_its_process_was_in() {
    let names = [&format!("docker-{ID}.scope"), "system.slice/b.service"].map(str::to_owned);
    let names = names.each_ref().map(|name| &**name);
    let Some(cgroups) = Cgroups::new(" - cgroup2 ", "v2", &names) else {
        runs_here(Some("no hierarchy of cgroups of version 2 can be written"));
        return;
    };
    let running = Running::start("cat", &[]);
    let [first, second] = names.map(|name| (cgroups.id(name), cgroups.path(name)));
    let by_id =
        move |id| [&first, &second].into_iter().find(|(other, _)| *other == id).map(|(_, path)| path.clone());
    let processes = Processes::new(ProcessSettings::default(), by_id.clone());
    let mut containers = crate::Containers::new(by_id);
    let at = |name| {
        cgroups.take(name, running.0.id());
        Owner { cgroup_id: Some(cgroups.id(name)), ..running.owner() }
    };
    let owners = names.map(at);
    for _ in 0..2 {
        let units = owners.each_ref().map(|owner| look(&processes, owner).unit.clone());
        assert_eq!(units.each_ref().map(Option::as_deref), [Some(names[0]), Some("b.service")]);
        let containers = owners.each_ref().map(|owner| containers.of(owner).map(|id| id.to_string()));
        assert_eq!(containers, [Some(ID.to_owned()), None]);
    }
    drop(running);
}

#[test]
fn on_a_host_with_version_1_the_pod_is_that_of_its_path_there() {
    let uid = "2f399ae7-38a0-11e9-b7a8-0a0a0a0a0a0a";
    let name = format!("kubepods/burstable/pod{uid}/{ID}");
    let Some(cgroups) = Cgroups::new(" - cgroup cgroup rw,pids", "v1", &[&name]) else {
        runs_here(Some("no hierarchy of cgroups of version 1 can be written"));
        return;
    };
    let running = Running::start("cat", &[]);
    cgroups.take(&name, running.0.id());
    let root = Owner { cgroup_id: Some(1), ..running.owner() };
    assert_eq!(look(&real(), &root).pod.as_deref(), Some(uid));
    let container = crate::Containers::new(|_| None).of(&root).map(|id| id.to_string());
    assert_eq!(container.as_deref(), Some(ID));
    drop(running);
}

/// The test runs itself as a user who may not look at others.
#[test]
fn one_who_may_not_look_at_others_says_so_and_counts_them() {
    const TOLD: &str = "SOCKEYE_TEST_OF_NOBODY";
    if std::env::var_os(TOLD).is_none() {
        if !runs_here(needs_root()) {
            return;
        }
        let name = "processes::tests::real::one_who_may_not_look_at_others_says_so_and_counts_them";
        let mut program = Program::new("setpriv");
        let own = std::fs::read_link("/proc/self/exe").expect("there is a /proc");
        // Through the descriptor of one who may, because the path of it need not be open to everybody.
        let binary = std::fs::File::open(own).expect("it runs");
        program.args([
            "--reuid=65534",
            "--regid=65534",
            "--clear-groups",
            "--bounding-set=-all",
            "/proc/self/fd/0",
        ]);
        program.args(["--exact", name, "--nocapture"]).env(TOLD, "1").stdin(binary).current_dir("/");
        let output = program.output().expect("it is installed");
        assert!(output.status.success(), "{output:?}");
        return;
    }
    let processes = real();
    assert!(processes.degradation().expect("others are refused").contains("CAP_SYS_PTRACE"));
    let parent = owner_in(Path::new("/proc"), std::os::unix::process::parent_id());
    let found = look(&processes, &parent);
    assert_eq!(found.executable, None);
    assert!(found.command_line.is_some() && found.namespace_pid.is_some(), "these are for everybody");
    assert_eq!(processes.counts().refused, 1);
}
