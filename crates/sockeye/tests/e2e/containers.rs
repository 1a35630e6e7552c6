//! Containers as cgroups make them, in both versions of the hierarchy, and the filter by container.

use std::fs;
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::curl;
use crate::daemon::Daemon;
use crate::needs::{note_not_run, runs_here};
use crate::wait::until;
use crate::world::NetNs;

pub const ID: &str = "9f7a5c0e3b1d2f4a6c8e0b2d4f6a8c0e1f3b5d7a9c0e2f4b6d8a0c1e3f5b7d9a";
pub const OTHER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

/// A cgroup that looks like a container, below one of the test's own.
pub struct Cgroup {
    hierarchy: PathBuf,
    inner: PathBuf,
}

impl Cgroup {
    /// `None` where the hierarchy cannot be written.
    pub fn new(hierarchy: &Path, name: &str) -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let inner = hierarchy.join(format!("sockeye-test-{}-{number}", std::process::id())).join(name);
        fs::create_dir_all(&inner).ok()?;
        Some(Self { hierarchy: hierarchy.to_owned(), inner })
    }

    /// The program, started by a shell that is in the cgroup before it becomes it.
    pub fn command(&self, program: &str) -> Command {
        let mut command = Command::new("bash");
        let script = format!("echo $$ > {} && exec \"$0\" \"$@\"", self.inner.join("cgroup.procs").display());
        command.args(["-c", &script, program]);
        command
    }

    /// Moves the process.
    pub fn take(&self, pid: u32) {
        fs::write(self.inner.join("cgroup.procs"), pid.to_string()).expect("root may move it");
    }

    /// A shell that is in the cgroup before it does anything else sends six bytes to the port; while it lives, `meanwhile`
    /// is done.
    fn send(&self, space: &NetNs, port: u16, meanwhile: impl FnOnce()) {
        let script = format!("exec 3> /dev/udp/127.0.0.1/{port}; echo hello >&3; read -t 30 line");
        let mut command = self.command("bash");
        command.args(["-c", &script]).stdin(Stdio::piped());
        let server = space.inside(|| UdpSocket::bind(("127.0.0.1", port))).expect("the port is free");
        server.set_read_timeout(Some(Duration::from_secs(10))).expect("a socket has a time-out");
        let mut shell = space.inside(|| command.spawn()).expect("the shell starts");
        let received = server.recv(&mut [0; 16]);
        meanwhile();
        drop(shell.stdin.take());
        shell.wait().expect("it is our child");
        assert_eq!(received.expect("it arrived"), 6);
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let own = self.inner.ancestors().take_while(|path| *path != self.hierarchy);
        own.for_each(|path| drop(fs::remove_dir(path)));
    }
}

/// Where the hierarchies are mounted: that of version 2, and one of version 1.
pub fn hierarchies() -> (Option<PathBuf>, Option<PathBuf>) {
    let mounts = fs::read_to_string("/proc/self/mountinfo").expect("there is one");
    let find = |kind: &str| {
        let line = mounts.lines().find(|line| line.contains(kind))?;
        Some(PathBuf::from(line.split(' ').nth(4)?))
    };
    (find(" - cgroup2 "), find(" - cgroup cgroup rw,pids").or_else(|| find(" - cgroup cgroup rw,freezer")))
}

/// The connections from this namespace to the port.
fn sent(answer: &Value, space: &NetNs, port: u16) -> Vec<Value> {
    let all = answer["connections"].as_array().expect("a list").iter();
    all.filter(|told| told["netns"] == space.inode() && told["remote"]["port"] == port).cloned().collect()
}

/// What a client is told of datagrams from the cgroup.
fn told(cgroup: &Cgroup, variables: &[(&str, &str)]) -> Vec<Value> {
    let (daemon, space) = (Daemon::with(variables), NetNs::new());
    for client in ["a", "b"] {
        curl::request(&daemon.socket(), 0, "PUT", &format!("/v1/clients/{client}"));
    }
    let closed = || crate::ledger::status_counter(&daemon.socket(), "connections_closed");
    let before = closed();
    // A poll makes a pass, in which the process is seen while it lives.
    cgroup.send(&space, 7500, || drop(curl::get(&daemon.socket(), "/v1/clients/b/connections")));
    until("the closes", || (closed() >= before + 2).then_some(()));
    sent(&curl::get(&daemon.socket(), "/v1/clients/a/connections").json(), &space, 7500)
}

fn check(cgroup: &Cgroup) {
    let all = told(cgroup, &[]);
    let [one] = &all[..] else { panic!("one connection, not {all:?}") };
    assert_eq!(one["owner"]["container_id"], ID, "{one}");
    let rule = |id: &str| format!("[{{ container = \"{id}\" }}]");
    for (key, id, expected) in
        [("EXCLUDE", ID, 0), ("EXCLUDE", OTHER, 1), ("INCLUDE", ID, 1), ("INCLUDE", OTHER, 0)]
    {
        let (name, rule) = (format!("SOCKEYE_FILTERS__{key}"), rule(id));
        assert_eq!(told(cgroup, &[(&name, &rule)]).len(), expected, "{name}={rule}");
    }
}

#[test]
fn a_container_is_known_by_its_cgroup_and_can_be_excluded() {
    if !runs_here(&["curl", "ip", "bash"]) {
        return;
    }
    let made = hierarchies().0.and_then(|hierarchy| Cgroup::new(&hierarchy, &format!("docker-{ID}.scope")));
    match made {
        Some(cgroup) => check(&cgroup),
        None => note_not_run("no hierarchy of cgroups of version 2 can be written"),
    }
}

#[test]
fn a_container_of_version_1_alone_is_known_by_its_process() {
    if !runs_here(&["curl", "ip", "bash"]) {
        return;
    }
    match hierarchies().1.and_then(|hierarchy| Cgroup::new(&hierarchy, ID)) {
        Some(cgroup) => check(&cgroup),
        None => note_not_run("no hierarchy of cgroups of version 1 can be written"),
    }
}
