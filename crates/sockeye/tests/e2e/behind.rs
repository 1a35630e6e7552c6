//! Who is behind connections: the programs, users and places of real processes, most of which have ended before anybody asks.

use std::io::Write;
use std::path::Path;
use std::process::{Child, ChildStdin, Command, Stdio};

use serde_json::{Value, json};

use crate::containers::{Cgroup, ID, OTHER, hierarchies};
use crate::curl;
use crate::daemon::Daemon;
use crate::echo::{Echo, fetch, fetch_by};
use crate::ledger::Ledger;
use crate::needs::{note_not_run, runs_here};
use crate::wait::until;
use crate::world::{LEFT_V4, NetNs, RIGHT_V4, VethPair};

const SECRET: &str = "hunter2";
const PROGRAMS: &[&str] = &["curl", "ip", "bash", "python3"];

fn executable_of(process: u32) -> String {
    let path = std::fs::read_link(format!("/proc/{process}/exe")).expect("it lives");
    path.to_string_lossy().into_owned()
}

/// The owner of the connection with this port at this end, as it was told last.
fn owner(ledger: &Ledger, space: &NetNs, end: &str, port: u64) -> Value {
    let told = ledger.find(space, end, port).unwrap_or_else(|| panic!("nothing of port {port}"));
    told.last["owner"].clone()
}

fn words(command_line: &Value) -> Vec<&str> {
    let words = command_line.as_array().expect("it is told").iter();
    words.map(|word| word.as_str().expect("text")).collect()
}

/// A curl and a python that have a secret in their arguments; what is told of them, and all that was answered.
fn with_a_secret(variables: &[(&str, &str)]) -> (Value, Value, String) {
    let space = NetNs::new();
    let echo = Echo::start(&space, &[&format!("--password={SECRET}")]);
    let daemon = Daemon::with(variables);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let header = format!("Authorization: Bearer {SECRET}");
    let (port, pid) = fetch(&space, "127.0.0.1", 80, &["-H", &header]);
    ledger.wait_closed(&space, 2);
    let (near, far) = (owner(&ledger, &space, "local", port), owner(&ledger, &space, "remote", port));
    assert_eq!((&near["pid"], &far["pid"]), (&pid.into(), &echo.pid().into()));
    let mut answered = format!("{near}{far}");
    for path in ["/v1/connections", "/network_tracer/debug/process_cache", "/network_tracer/debug/net_maps"] {
        answered += &curl::get(&daemon.socket(), path).body;
    }
    (near, far, answered)
}

#[test]
fn programs_are_told_with_their_arguments_and_without_secrets() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let (near, far, answered) = with_a_secret(&[]);
    assert!(near["executable"].as_str().is_some_and(|path| path.ends_with("/curl")), "{near}");
    let arguments = words(&near["command_line"]);
    assert_eq!((arguments[0], arguments[1]), ("curl", "-q"), "{near}");
    assert_eq!(arguments.last(), Some(&"http://127.0.0.1:80/"));
    assert_eq!((&near["user"], &near["parent_pid"]), (&"root".into(), &std::process::id().into()), "{near}");
    assert_eq!(near["namespace_pid"], namespace_pid(&near), "{near}");
    assert!(far["executable"].as_str().is_some_and(|path| path.contains("/python")), "{far}");
    assert_eq!(words(&far["command_line"]).last(), Some(&"--password=********"), "{far}");
    assert!(!answered.contains(SECRET), "{answered}");
}

/// In the pid namespace of the host both ids are the same; elsewhere this process has two as well.
fn namespace_pid(owner: &Value) -> Value {
    let status = std::fs::read_to_string("/proc/self/status").expect("there is a /proc");
    let ids = status.lines().find_map(|line| line.strip_prefix("NSpid:")).expect("it is told");
    assert_eq!(ids.split_whitespace().count(), 1, "the test runs in the pid namespace of its /proc");
    owner["pid"].clone()
}

#[test]
fn secrets_are_told_where_the_configuration_says_so() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let (near, far, _) = with_a_secret(&[("SOCKEYE_CONTEXT__SCRUB_ARGUMENTS", "false")]);
    let header = format!("Authorization: Bearer {SECRET}");
    assert!(words(&near["command_line"]).contains(&&*header), "{near}");
    assert_eq!(words(&far["command_line"]).last(), Some(&&*format!("--password={SECRET}")), "{far}");
}

#[test]
fn nothing_of_processes_is_told_where_the_configuration_says_so() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let off = ("SOCKEYE_CONTEXT__PROCESSES", "false");
    let (near, far, answered) = with_a_secret(&[off]);
    for owner in [near, far] {
        for fact in ["executable", "command_line", "user", "parent_pid", "namespace_pid", "unit", "pod_uid"] {
            assert!(owner[fact].is_null(), "{fact}: {owner}");
        }
        assert!(owner["command"].is_string() && owner["uid"] == 0, "the kernel says these: {owner}");
    }
    assert!(!answered.contains(SECRET), "{answered}");
    let daemon = Daemon::with(&[off]);
    assert_eq!(curl::get(&daemon.socket(), "/network_tracer/debug/process_cache").status, 404);
    let status = curl::get(&daemon.socket(), "/v1/status").json();
    let mut capabilities = status["capabilities"].as_array().expect("a list").iter();
    assert!(capabilities.all(|capability| capability["name"] != "process facts"), "{status}");
}

#[test]
fn a_child_that_runs_no_program_of_its_own_is_told_with_that_of_its_parent() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let space = NetNs::new();
    let _echo = Echo::start(&space, &[]);
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let program = "
import os, socket
child = os.fork()
if child == 0:
    s = socket.create_connection(('127.0.0.1', 80))
    s.sendall(b'x')
    s.recv(100)
    s.close()
    os._exit(0)
os.waitpid(child, 0)
print(child)
";
    let mut command = Command::new("python3");
    command.args(["-c", program, "of the parent"]).stdout(Stdio::piped());
    let child = space.inside(|| command.spawn()).expect("python is installed");
    let parent = child.id();
    let output = child.wait_with_output().expect("it is our child");
    let pid: u32 =
        String::from_utf8_lossy(&output.stdout).trim().parse().expect("it says the id of its child");
    ledger.wait_closed(&space, 2);
    let owner = owner(&ledger, &space, "remote", 80);
    assert_eq!((&owner["pid"], &owner["parent_pid"]), (&pid.into(), &parent.into()), "{owner}");
    assert!(owner["executable"].as_str().is_some_and(|path| path.contains("/python")), "{owner}");
    assert_eq!(words(&owner["command_line"]).last(), Some(&"of the parent"), "{owner}");
}

#[test]
fn two_processes_with_one_id_in_a_pid_namespace_are_told_each_for_itself() {
    if !runs_here(&["curl", "ip", "bash", "python3", "unshare"]) {
        return;
    }
    let space = NetNs::new();
    let _echo = Echo::start(&space, &[]);
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    // The shell waits for each of its children before it makes the next.
    let script = "for word in first second; do
            echo 99 > /proc/sys/kernel/ns_last_pid
            curl -q -sS --noproxy '*' -o /dev/null -A $word http://127.0.0.1/ || exit 1
            true
        done";
    let mut command = Command::new("unshare");
    command.args(["--pid", "--fork", "--mount-proc", "bash", "-c", script]);
    assert!(space.inside(|| command.status()).expect("it is installed").success());
    ledger.wait_closed(&space, 4);
    let clients = ledger.of(&space).map(|(_, told)| &told.last).filter(|told| told["remote"]["port"] == 80);
    let mut clients: Vec<&Value> = clients.map(|told| &told["owner"]).collect();
    clients.sort_by_key(|owner| owner["started_at_boot_ns"].as_u64());
    let [first, second] = clients[..] else { panic!("two clients, not {clients:?}") };
    assert_ne!(first["pid"], second["pid"]);
    for (owner, word) in [(first, "first"), (second, "second")] {
        assert_eq!(owner["namespace_pid"], 100, "{owner}");
        assert!(words(&owner["command_line"]).contains(&word), "{owner}");
    }
}

/// A shell that connects each time it is told to, to a port of the loopback.
struct Shell {
    child: Child,
    input: ChildStdin,
}

impl Shell {
    fn start(space: &NetNs) -> Self {
        let mut command = Command::new("bash");
        let script = "while read port; do exec 3<>/dev/tcp/127.0.0.1/$port; echo x >&3; read line <&3; exec 3>&-; done";
        command.args(["-c", script]).stdin(Stdio::piped());
        let mut child = space.inside(|| command.spawn()).expect("the shell starts");
        let input = child.stdin.take().expect("it is a pipe");
        Self { child, input }
    }

    fn connect(&mut self) {
        writeln!(self.input, "80").expect("it reads");
    }
}

impl Drop for Shell {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const POD: &str = "2f399ae7-38a0-11e9-b7a8-0a0a0a0a0a0a";

#[test]
fn each_connection_is_told_with_the_place_that_its_process_was_in_then() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let pod = format!("kubepods-burstable-pod{}.slice/cri-containerd-{OTHER}.scope", POD.replace('-', "_"));
    let docker = format!("docker-{ID}.scope");
    let names = ["system.slice/a.service", &docker, &pod, "system.slice/b.service"];
    let made = hierarchies().0.and_then(|hierarchy| {
        names.iter().map(|name| Cgroup::new(&hierarchy, name)).collect::<Option<Vec<_>>>()
    });
    let Some(cgroups) = made else {
        note_not_run("no hierarchy of cgroups of version 2 can be written");
        return;
    };
    let space = NetNs::new();
    let _echo = Echo::start(&space, &[]);
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let mut shell = Shell::start(&space);
    for (connected, cgroup) in cgroups.iter().enumerate() {
        cgroup.take(shell.child.id());
        shell.connect();
        ledger.wait_closed(&space, 2 * (connected + 1));
    }
    let clients = ledger.of(&space).map(|(_, told)| &told.last).filter(|told| told["remote"]["port"] == 80);
    let mut clients: Vec<&Value> = clients.collect();
    clients.sort_by_key(|told| told["opened_at"].as_str());
    let place = |told: &&Value| {
        let owner = &told["owner"];
        json!([owner["unit"], owner["container_id"], owner["pod_uid"]])
    };
    let places: Vec<Value> = clients.iter().map(place).collect();
    let scope = format!("cri-containerd-{OTHER}.scope");
    let expected = [
        json!(["a.service", null, null]),
        json!([docker, ID, null]),
        json!([scope, OTHER, POD]),
        json!(["b.service", null, null]),
    ];
    assert_eq!(places, expected);
    let page = curl::get(&daemon.socket(), "/network_tracer/debug/process_cache").json();
    let shown = &page[shell.child.id().to_string()][0];
    let executable = format!("executable:{}", executable_of(shell.child.id()));
    assert_eq!(shown["Pid"], shell.child.id(), "{page}");
    assert!(shown["Tags"].as_array().is_some_and(|tags| tags.contains(&executable.into())), "{shown}");
}

#[test]
fn on_a_host_with_version_1_a_process_that_lives_is_told_with_its_place_there() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let name = format!("kubepods/burstable/pod{POD}/{ID}");
    let Some(cgroup) = hierarchies().1.and_then(|hierarchy| Cgroup::new(&hierarchy, &name)) else {
        note_not_run("no hierarchy of cgroups of version 1 can be written");
        return;
    };
    let space = NetNs::new();
    let _echo = Echo::start(&space, &[]);
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let mut shell = Shell::start(&space);
    cgroup.take(shell.child.id());
    shell.connect();
    ledger.wait_closed(&space, 2);
    let owner = owner(&ledger, &space, "remote", 80);
    assert_eq!((&owner["pod_uid"], &owner["container_id"]), (&POD.into(), &ID.into()), "{owner}");
}

#[test]
fn without_events_of_processes_those_that_live_are_told() {
    if !runs_here(&["curl", "ip", "bash", "python3", "setpriv"]) {
        return;
    }
    let variables =
        [("SOCKEYE_COLLECT__PROCESSES", "false"), ("SOCKEYE_CONTEXT__SCRUB_WORDS", "[\"session\"]")];
    let space = NetNs::new();
    let daemon = Daemon::with(&variables);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let echo = Echo::start(&space, &[&format!("--session-id={SECRET}")]);
    let nobody = {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=65534", "--regid=65534", "--clear-groups", "curl"]);
        command
    };
    let (port, _) = fetch_by(&space, nobody, "127.0.0.1", 80, &[]);
    ledger.wait_closed(&space, 2);
    let far = owner(&ledger, &space, "remote", port);
    assert_eq!(far["executable"], executable_of(echo.pid()), "{far}");
    assert_eq!(words(&far["command_line"]).last(), Some(&"--session-id=********"), "{far}");
    let near = owner(&ledger, &space, "local", port);
    assert_eq!((&near["uid"], &near["user"]), (&65534.into(), &"nobody".into()), "{near}");
}

#[test]
fn the_processes_of_listening_sockets_are_told() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let space = NetNs::new();
    let daemon = Daemon::start();
    let echo = Echo::start(&space, &["an argument"]);
    let answer = curl::get(&daemon.socket(), "/v1/listeners").json();
    let listeners = answer["listeners"].as_array().expect("a list").iter();
    let here: Vec<&Value> = listeners.filter(|listener| listener["netns"] == space.inode()).collect();
    assert_eq!(here.len(), 2, "{here:?}");
    for listener in here {
        let owner = &listener["owner"];
        assert_eq!(owner["pid"], echo.pid(), "{listener}");
        assert_eq!(owner["executable"], executable_of(echo.pid()), "{listener}");
        assert_eq!(words(&owner["command_line"]).last(), Some(&"an argument"), "{listener}");
    }
}

#[test]
fn both_ends_of_a_connection_between_containers_are_told_with_the_other_container() {
    if !runs_here(PROGRAMS) {
        return;
    }
    let made = hierarchies().0.and_then(|hierarchy: std::path::PathBuf| {
        let of = |id: &str| Cgroup::new(Path::new(&hierarchy), &format!("docker-{id}.scope"));
        Some((of(ID)?, of(OTHER)?))
    });
    let Some((one, other)) = made else {
        note_not_run("no hierarchy of cgroups of version 2 can be written");
        return;
    };
    let pair = VethPair::new();
    let _echo = Echo::start_by(&pair.right, other.command("python3"), &[]);
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    assert_eq!(curl::get(&daemon.socket(), "/network_tracer/register?client_id=b").status, 200);
    let (port, pid) = fetch_by(&pair.left, one.command("curl"), RIGHT_V4, 80, &[]);
    ledger.wait_closed(&pair.left, 1);
    ledger.wait_closed(&pair.right, 1);
    let near = &ledger.find(&pair.left, "local", port).expect("it is told").last;
    let far = &ledger.find(&pair.right, "remote", port).expect("it is told").last;
    assert_eq!(
        (&near["owner"]["container_id"], &near["remote"]["owner"]["container_id"]),
        (&ID.into(), &OTHER.into())
    );
    assert_eq!(
        (&far["owner"]["container_id"], &far["remote"]["owner"]["container_id"]),
        (&OTHER.into(), &ID.into())
    );
    assert_eq!(
        (&far["remote"]["owner"]["pid"], &far["remote"]["netns"]),
        (&pid.into(), &pair.left.inode().into())
    );
    assert_eq!((&far["remote"]["address"], &near["nat"]), (&LEFT_V4.into(), &Value::Null), "{near}");
    let message = until("the message", || {
        let message = curl::get(&daemon.socket(), "/network_tracer/connections?client_id=b").json();
        (!message["conns"].as_array()?.is_empty()).then_some(message)
    });
    let containers = |space: &NetNs| {
        let netns = space.inode();
        let mut conns = message["conns"].as_array().expect("a list").iter();
        let conn = conns.find(|conn| conn["netNS"] == netns).expect("it is told");
        json!([conn["laddr"]["containerId"], conn["raddr"]["containerId"], conn["intraHost"]])
    };
    assert_eq!(containers(&pair.left), json!([ID, OTHER, true]));
    assert_eq!(containers(&pair.right), json!([OTHER, ID, true]));
}
