//! The table of privileges, row by row: with exactly what a row says the part works, without it is missing, is said to be, and
//! the rest works. And what is left of privileges once the daemon runs.

use std::os::unix::fs::chown;
use std::process::{Command, Output};
use std::rc::Rc;
use std::time::Duration;

use serde_json::Value;

use crate::curl;
use crate::daemon::{Daemon, binary, command, socket_in};
use crate::echo::{Echo, fetch};
use crate::ledger::{Ledger, status_counter};
use crate::needs::runs_here;
use crate::place::Place;
use crate::wait::{DEADLINE, until, within};
use crate::world::{RIGHT_V4, VethPair};

const NOBODY: u32 = 65534;

/// All that the defaults have a use for.
const ALL: &str = "bpf,perfmon,net_admin,sys_ptrace,dac_read_search,sys_admin";

/// What is left of it: the bits of CAP_DAC_READ_SEARCH, CAP_NET_ADMIN, CAP_SYS_PTRACE and CAP_SYS_ADMIN.
const KEPT: u64 = 1 << 2 | 1 << 12 | 1 << 19 | 1 << 21;

/// As setpriv writes sets.
fn exactly(privileges: &str) -> String {
    let mut set = "-all".to_owned();
    privileges.split(',').filter(|one| !one.is_empty()).for_each(|one| set.push_str(&format!(",+{one}")));
    set
}

/// A daemon with exactly these capabilities, and these variables in its environment.
fn with_only(privileges: &str, variables: &[&str]) -> Daemon {
    let set = exactly(privileges);
    let words = [&["env"], variables, &["setpriv", "--bounding-set", &set]].concat();
    Daemon::started_by(&words)
}

/// How a daemon ends that cannot start with these.
fn ends_with_only(privileges: &str, variables: &[(&str, &str)]) -> Output {
    let place = Place::new();
    let mut command = command("setpriv".as_ref());
    command.arg("--bounding-set").arg(exactly(privileges)).arg(binary()).arg("run");
    command.arg("--socket").arg(socket_in(&place)).arg("--config").arg(place.write("c.toml", ""));
    command.envs(variables.iter().copied()).output().expect("setpriv starts")
}

/// Why each capability of the status is not served as well as it could be, by name; all, once nothing is awaited any more.
fn degraded(daemon: &Daemon) -> Vec<(String, String)> {
    let status = curl::get(&daemon.socket(), "/v1/status").json();
    let capabilities = status["capabilities"].as_array().expect("a list").iter();
    let text = |value: &Value| value.as_str().expect("it is text").to_owned();
    capabilities
        .filter(|capability| !capability["degradation"].is_null())
        .map(|capability| (text(&capability["name"]), text(&capability["degradation"]["reason"])))
        .collect()
}

fn is_degraded(daemon: &Daemon, name: &str) -> bool {
    degraded(daemon).iter().any(|(degraded, _)| degraded == name)
}

/// The sets of capabilities of each thread, by its name.
fn threads(pid: u32) -> Vec<(String, [u64; 5], bool)> {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).expect("it runs");
    let read = |task: std::fs::DirEntry| {
        let status = std::fs::read_to_string(task.path().join("status")).ok()?;
        let field = |name: &str| status.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let bits = |name: &str| field(name).and_then(|bits| u64::from_str_radix(bits, 16).ok());
        let sets =
            ["CapPrm:", "CapEff:", "CapInh:", "CapBnd:", "CapAmb:"].map(|name| bits(name).expect("a set"));
        Some((field("Name:")?.to_owned(), sets, field("NoNewPrivs:") == Some("1")))
    };
    tasks.flatten().filter_map(read).collect()
}

/// Traffic in a namespace that is younger than the daemon is told with who was behind it.
fn traces(daemon: &Daemon) {
    let pair = VethPair::new();
    let _echo = Echo::start(&pair.right, &[]);
    let mut ledger = Ledger::register(daemon.socket(), "a");
    fetch(&pair.left, RIGHT_V4, 80, &[]);
    ledger.wait_closed(&pair.left, 1);
    let (_, told) = ledger.of(&pair.left).next().expect("it is told");
    assert_eq!(told.last["owner"]["command"], "curl", "{}", told.last);
    assert_eq!(told.last["remote"]["owner"]["command"], "python3", "{}", told.last);
}

#[test]
fn what_is_not_needed_on_is_given_up_by_every_thread_and_all_goes_on() {
    if !runs_here(&["curl", "ip", "python3"]) {
        return;
    }
    let daemon = Daemon::start();
    traces(&daemon);
    let seen = threads(daemon.pid());
    for thread in ["sockeye", "collect", "state", "nat-events", "nat-dumps", "processes", "tokio-rt-worker"] {
        assert!(seen.iter().any(|(name, ..)| name == thread), "{thread} is missing among {seen:?}");
    }
    for (name, sets, no_new_privileges) in seen {
        assert_eq!(sets, [KEPT, KEPT, 0, 0, 0], "{name}");
        assert!(no_new_privileges, "{name}");
    }
    assert_eq!(degraded(&daemon), []);
    let kept = "kept=\"CAP_NET_ADMIN,CAP_SYS_PTRACE,CAP_DAC_READ_SEARCH,CAP_SYS_ADMIN\"";
    assert!(daemon.stderr().contains(kept), "{}", daemon.stderr());
}

#[test]
fn what_the_configuration_does_not_use_is_given_up_too() {
    if !runs_here(&["curl", "setpriv"]) {
        return;
    }
    let daemon = with_only(
        ALL,
        &[
            "SOCKEYE_COLLECT__BACKEND=bpf",
            "SOCKEYE_COLLECT__AUDIT_INTERVAL_S=0",
            "SOCKEYE_COLLECT__COST_SAMPLE_MS=0",
            "SOCKEYE_CONTEXT__NAT=false",
            "SOCKEYE_CONTEXT__ROUTES=false",
            "SOCKEYE_CONTEXT__PROCESSES=false",
        ],
    );
    until("every thread without", || {
        threads(daemon.pid()).iter().all(|(_, sets, _)| sets[..3] == [1 << 2, 1 << 2, 0]).then_some(())
    });
    assert_eq!(degraded(&daemon), []);
    let exchange = crate::exchange::Exchange::new();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    exchange.run(3, 7);
    ledger.wait_closed(&exchange.space, 6);
}

#[test]
fn exactly_the_capabilities_of_the_table_suffice_for_all_as_root_and_as_another_user() {
    if !runs_here(&["curl", "ip", "python3", "setpriv"]) {
        return;
    }
    let all = ["SOCKEYE_COLLECT__CONNECT_ATTEMPTS=true", "SOCKEYE_COLLECT__DNS_TCP=true"];
    let daemon = with_only(ALL, &all);
    traces(&daemon);
    assert_eq!(degraded(&daemon), []);
    drop(daemon);
    let place = Rc::new(Place::new());
    chown(place.path(), Some(NOBODY), Some(NOBODY)).expect("root may");
    let set = exactly(ALL);
    let (inheritable, ambient) = (format!("--inh-caps={set}"), format!("--ambient-caps={set}"));
    let user = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", &inheritable, &ambient];
    let daemon = Daemon::started_in_by(&place, &[&["env"], &all[..], &user].concat());
    let uid = std::fs::read_to_string(format!("/proc/{}/status", daemon.pid())).expect("it runs");
    assert!(uid.contains("Uid:\t65534\t65534\t65534\t65534"), "{uid}");
    traces(&daemon);
    assert_eq!(degraded(&daemon), []);
    for (name, [permitted, effective, inheritable, _, ambient], no_new_privileges) in threads(daemon.pid()) {
        assert_eq!([permitted, effective, inheritable, ambient], [KEPT, KEPT, 0, 0], "{name}");
        assert!(no_new_privileges, "{name}");
    }
}

#[test]
fn programs_take_bpf_and_perfmon_and_each_is_named_where_it_is_missing() {
    if !runs_here(&["curl", "setpriv"]) {
        return;
    }
    for (held, missing) in [("perfmon", "CAP_BPF"), ("bpf", "CAP_PERFMON")] {
        let output = ends_with_only(held, &[]);
        assert_eq!(output.status.code(), Some(77), "{held}: {output:?}");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains(&format!("missing privilege {missing}:")), "{said}");
    }
    // The rest works with these two; and an administrator may all of it.
    let daemon = with_only("bpf,perfmon", &[]);
    for name in ["tcp live", "tcp closed", "tcp owner", "processes"] {
        assert!(!is_degraded(&daemon, name), "{name}: {:?}", degraded(&daemon));
    }
    drop(daemon);
    assert!(!is_degraded(&with_only("sys_admin", &[]), "tcp closed"));
}

#[test]
fn programs_at_cgroups_take_net_admin() {
    if !runs_here(&["curl", "setpriv"]) {
        return;
    }
    let asked = ["SOCKEYE_COLLECT__CONNECT_ATTEMPTS=true", "SOCKEYE_COLLECT__DNS_TCP=true"];
    for (held, served) in [("bpf,perfmon", false), ("bpf,perfmon,net_admin", true)] {
        let daemon = with_only(held, &asked);
        for name in ["tcp attempts", "dns tcp"] {
            assert_eq!(!is_degraded(&daemon, name), served, "{held}: {:?}", degraded(&daemon));
        }
        assert!(!is_degraded(&daemon, "tcp closed"));
    }
}

#[test]
fn other_namespaces_and_costs_take_sys_admin_and_the_own_namespace_does_not() {
    if !runs_here(&["curl", "ip", "setpriv"]) {
        return;
    }
    let other = VethPair::new();
    let sampled = ["SOCKEYE_COLLECT__COST_SAMPLE_MS=60000"];
    let seen = |daemon: &Daemon| {
        let status = until("the first audit", || {
            curl::get(&daemon.socket(), "/network_tracer/connections");
            let status = curl::get(&daemon.socket(), "/v1/status").json();
            (!status["audit"].is_null()).then_some(status)
        });
        let programs = status["programs"].as_array().expect("a list");
        (status["audit"].clone(), programs.iter().any(|program| !program["sampled"].is_null()))
    };
    let daemon = with_only("bpf,perfmon,net_admin,sys_ptrace", &sampled);
    let (audit, costs) = seen(&daemon);
    assert!(is_degraded(&daemon, "tcp adopted"), "{:?}", degraded(&daemon));
    assert!(!is_degraded(&daemon, "tcp closed"));
    assert!(!costs, "the kernel does not count for it");
    assert_eq!(audit["namespaces"], 1, "its own: {audit}");
    assert!(audit["unread"].as_u64() >= Some(2), "the two of {}: {audit}", other.left.name());
    drop(daemon);
    let daemon = with_only("bpf,perfmon,net_admin,sys_ptrace,sys_admin", &sampled);
    let (audit, costs) = seen(&daemon);
    assert!(!is_degraded(&daemon, "tcp adopted"), "{:?}", degraded(&daemon));
    assert!(costs);
    assert!(audit["namespaces"].as_u64() >= Some(3) && audit["unread"] == 0, "{audit}");
}

#[test]
fn namespaces_that_are_not_mounted_and_executables_take_sys_ptrace() {
    if !runs_here(&["curl", "setpriv", "unshare", "sleep"]) {
        return;
    }
    let mut apart = Command::new("unshare").args(["--net", "sleep", "60"]).spawn().expect("it starts");
    let own = std::fs::read_link("/proc/self/ns/net").expect("proc is mounted");
    let of_it = format!("/proc/{}/ns/net", apart.id());
    until("its namespace", || (std::fs::read_link(&of_it).ok()? != own).then_some(()));
    let listened = |daemon: &Daemon| {
        until("the namespaces", || {
            Some(status_counter(&daemon.socket(), "nat_namespaces")).filter(|it| *it > 0)
        })
    };
    let without = with_only("bpf,perfmon,net_admin,sys_admin", &[]);
    until("the degradation", || is_degraded(&without, "process facts").then_some(()));
    let mounted = listened(&without);
    drop(without);
    let with = with_only("bpf,perfmon,net_admin,sys_admin,sys_ptrace", &[]);
    until("one more", || (listened(&with) > mounted).then_some(()));
    assert!(!is_degraded(&with, "process facts"), "{:?}", degraded(&with));
    apart.kill().and_then(|()| apart.wait()).expect("it is a child");
}

#[test]
fn translations_take_net_admin() {
    if !runs_here(&["curl", "setpriv"]) {
        return;
    }
    let without = with_only("bpf,perfmon,sys_ptrace,sys_admin", &[]);
    until("the degradation", || is_degraded(&without, "nat").then_some(()));
    drop(without);
    let with = with_only("bpf,perfmon,sys_ptrace,net_admin", &[]);
    until("the own namespace", || (status_counter(&with.socket(), "nat_namespaces") == 1).then_some(()));
}

#[test]
fn a_socket_for_others_takes_chown_and_a_low_port_takes_net_bind_service() {
    if !runs_here(&["curl", "setpriv"]) {
        return;
    }
    let said = |output: &Output| String::from_utf8_lossy(&output.stderr).into_owned();
    let output = ends_with_only(ALL, &[("SOCKEYE_LISTEN__GROUP", "1234")]);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("owner and group"), "{output:?}");
    drop(with_only(&format!("{ALL},chown"), &["SOCKEYE_LISTEN__GROUP=1234"]));
    let place = Place::new();
    let token = place.write("token", "0123456789abcdef");
    std::fs::set_permissions(&token, std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .expect("it is ours");
    let token = token.to_str().expect("it is text");
    let low = [("SOCKEYE_LISTEN__TCP", "127.0.0.1:917"), ("SOCKEYE_LISTEN__TOKEN_FILE", token)];
    let output = ends_with_only(ALL, &low);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(said(&output).contains("127.0.0.1:917"), "{output:?}");
    let low = low.map(|(name, value)| format!("{name}={value}"));
    drop(with_only(&format!("{ALL},net_bind_service"), &low.each_ref().map(String::as_str)));
}

#[test]
fn polling_takes_sys_ptrace_for_owners_and_none_to_list() {
    if !runs_here(&["curl", "setpriv"]) {
        return;
    }
    let closed = |daemon: &Daemon| {
        let all = degraded(daemon);
        let said =
            all.into_iter().find(|(name, _)| name == "tcp owner").expect("polling always knows less").1;
        let number =
            said.split_once("the files of ").and_then(|(_, rest)| rest.split(' ').next()?.parse().ok());
        number.unwrap_or(0_u32)
    };
    // The host may have few processes, or some outside of a container that nobody may look at.
    let sleepers: Vec<_> = (0..20).map(|_| Sleeper::start()).collect();
    let polling = ["SOCKEYE_COLLECT__BACKEND=polling"];
    let without = with_only("", &polling);
    let with = with_only("sys_ptrace,dac_read_search", &polling);
    let mut seen = (0, 0);
    let told = within(DEADLINE, || {
        seen = (closed(&without), closed(&with));
        (seen.0 >= 20 && seen.1 + 10 <= seen.0).then_some(())
    });
    assert!(told.is_some(), "{} are closed without, {} with", seen.0, seen.1);
    drop(sleepers);
}

/// A process with the privileges of the test, until it is dropped.
struct Sleeper(std::process::Child);

impl Sleeper {
    fn start() -> Self {
        Self(Command::new("sleep").arg("600").spawn().expect("sleep starts"))
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ended_before = self.0.kill();
        let _ended = self.0.wait();
    }
}

/// Of a processor: on a host that has one to spare this is how long it takes, but for the tenth of a second in which it
/// measures the clock of the kernel.
#[test]
fn from_the_start_to_ready_it_takes_less_than_two_seconds() {
    if !runs_here(&["curl"]) {
        return;
    }
    let took = || {
        let daemon = Daemon::start();
        let status = curl::get(&daemon.socket(), "/v1/status").json();
        Duration::from_nanos(status["process"]["cpu_ns"].as_u64().expect("it is a number"))
    };
    let least = (0..3).map(|_| took()).min().expect("three");
    assert!(least < Duration::from_millis(1900), "{least:?}");
}
