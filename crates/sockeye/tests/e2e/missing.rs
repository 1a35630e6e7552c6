//! What the daemon says when the host keeps something from it: in the status, in every answer and in the log, and that it goes
//! on with the rest.

use serde_json::Value;

use crate::curl;
use crate::daemon::Daemon;
use crate::echo::{Echo, ask, fetch};
use crate::ledger::Ledger;
use crate::needs::runs_here;
use crate::wait::until;
use crate::world::{RIGHT_V4, VethPair};

/// A capability in the status.
fn capability(daemon: &Daemon, name: &str) -> Value {
    let status = curl::get(&daemon.socket(), "/v1/status").json();
    let found = status["capabilities"].as_array().expect("a list").iter().find(|found| found["name"] == name);
    found.unwrap_or_else(|| panic!("{name} is missing in {status}")).clone()
}

/// Waits until the status says that it is missing; gives the reason.
fn degraded(daemon: &Daemon, name: &str) -> String {
    until("the degradation", || {
        let degradation = &capability(daemon, name)["degradation"];
        let reason = degradation["reason"].as_str()?;
        assert_eq!(degradation["name"], name);
        Some(reason.to_owned())
    })
}

/// A curl and a shell talk to the server, and are told with what can be known all the same; every answer names what cannot.
fn goes_on(daemon: &Daemon, name: &str) -> Ledger {
    let pair = VethPair::new();
    let _echo = Echo::start(&pair.right, &[]);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    fetch(&pair.left, RIGHT_V4, 80, &[]);
    ask(&pair.left, RIGHT_V4, 80);
    ledger.wait_closed(&pair.left, 2);
    let answer = ledger.poll();
    let degradations = answer["coverage"]["degradations"].as_array().expect("a list");
    assert!(degradations.contains(&name.into()), "{answer}");
    assert_eq!(answer["coverage"]["complete"], true, "no connection is missing: {answer}");
    for (command, protocol) in [("curl", "tcp"), ("bash", "udp")] {
        let mut told = ledger.of(&pair.left).map(|(_, told)| &told.last);
        let told = told.find(|told| told["protocol"] == protocol).expect("it is told");
        assert_eq!(told["owner"]["command"], command, "{told}");
        assert_eq!(told["route"]["interface"]["name"], "cable", "{told}");
        assert_eq!(told["remote"]["owner"]["command"], "python3", "{told}");
        assert_eq!(told["owner"]["command_line"][0], command, "exec tells it: {told}");
    }
    let said = daemon.stderr();
    let lines = said.lines().filter(|line| line.contains(&format!("capability=\"{name}\"")));
    assert_eq!(lines.count(), 1, "{said}");
    ledger
}

#[test]
fn translations_that_cannot_be_read_are_said_to_be_missing() {
    if !runs_here(&["curl", "ip", "bash", "python3", "setpriv"]) {
        return;
    }
    let daemon = Daemon::started_by(&["setpriv", "--bounding-set", "-net_admin"]);
    let reason = degraded(&daemon, "nat");
    assert!(reason.contains("not known") && reason.contains("not permitted"), "{reason}");
    goes_on(&daemon, "nat");
    let page = curl::get(&daemon.socket(), "/network_tracer/debug/conntrack/cached").json();
    assert_eq!((&page["Entries"], &page["IsTruncated"]), (&serde_json::json!({}), &false.into()), "{page}");
    let page = curl::get(&daemon.socket(), "/network_tracer/debug/conntrack/host").json();
    assert_eq!(page["IsTruncated"], true, "nothing could be listed: {page}");
}

#[test]
fn processes_that_may_not_be_looked_at_are_said_to_be_missing() {
    if !runs_here(&["curl", "ip", "bash", "python3", "setpriv"]) {
        return;
    }
    let daemon = Daemon::started_by(&["setpriv", "--bounding-set", "-sys_ptrace"]);
    let reason = degraded(&daemon, "process facts");
    assert!(reason.contains("CAP_SYS_PTRACE"), "{reason}");
    goes_on(&daemon, "process facts");
}

/// A process that is older than the daemon, so that no `exec` was told, has no facts but those of the kernel.
fn tells_nothing_of_the_old(daemon: &Daemon, mut ledger: Ledger, old: &VethPair) {
    fetch(&old.left, RIGHT_V4, 80, &[]);
    ledger.wait_closed(&old.right, 1);
    let (_, told) = ledger.of(&old.right).next().expect("it is told");
    let owner = &told.last["owner"];
    assert_eq!(owner["command"], "python3", "{owner}");
    for fact in ["executable", "command_line", "parent_pid"] {
        assert!(owner[fact].is_null(), "{fact}: {owner}");
    }
    let page = curl::get(&daemon.socket(), "/network_tracer/debug/process_cache");
    assert_eq!(page.status, 200);
}

#[test]
fn processes_that_are_hidden_are_said_to_be_missing() {
    if !runs_here(&["curl", "ip", "bash", "python3", "setpriv", "unshare"]) {
        return;
    }
    let old = VethPair::new();
    let _echo = Echo::start(&old.right, &[]);
    // A group that nobody is in, because those who are in it see all.
    let hidden = "mount -t proc -o hidepid=2,gid=54321 proc /proc && \
                  exec setpriv --bounding-set -sys_ptrace \"$0\" \"$@\"";
    let daemon = Daemon::started_by(&["unshare", "--mount", "--propagation", "slave", "bash", "-c", hidden]);
    let reason = degraded(&daemon, "process facts");
    assert!(reason.contains("/proc/1/stat") && reason.contains("hidepid"), "{reason}");
    let ledger = goes_on(&daemon, "process facts");
    tells_nothing_of_the_old(&daemon, ledger, &old);
}

#[test]
fn processes_of_another_pid_namespace_are_not_taken_for_those_of_the_host() {
    if !runs_here(&["curl", "ip", "bash", "python3", "unshare"]) {
        return;
    }
    let old = VethPair::new();
    let _echo = Echo::start(&old.right, &[]);
    // The one that has made the namespace hands no signal on.
    let apart = "unshare --pid --fork --mount --propagation slave --mount-proc \"$0\" \"$@\" & outer=$!
                 trap 'kill -TERM $(cat /proc/$outer/task/$outer/children)' TERM
                 wait $outer; wait $outer";
    let daemon = Daemon::started_by(&["bash", "-c", apart]);
    let reason = degraded(&daemon, "process facts");
    assert!(reason.contains("another pid namespace"), "{reason}");
    let ledger = goes_on(&daemon, "process facts");
    tells_nothing_of_the_old(&daemon, ledger, &old);
}

#[test]
fn where_nothing_is_missing_nothing_is_said_to_be() {
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    assert_eq!(ledger.poll()["coverage"]["degradations"], serde_json::json!([]));
    for name in ["process facts", "nat", "routes"] {
        let found = capability(&daemon, name);
        assert!(found["served_by"].is_string() && found["degradation"].is_null(), "{found}");
    }
    assert!(!daemon.stderr().contains("WARN"), "{}", daemon.stderr());
}
