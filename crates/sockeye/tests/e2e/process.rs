//! The life of the daemon: its socket file, its probes, and how it stops.

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::rc::Rc;

use rustix::process::Signal;
use serde_json::Value;

use crate::curl;
use crate::daemon::{Daemon, socket_in};
use crate::exchange::Exchange;
use crate::ledger::Ledger;
use crate::needs::runs_here;
use crate::place::Place;
use crate::raw::Raw;
use crate::wait::until;

#[test]
fn probes_and_status_answer() {
    if !runs_here(&["curl"]) {
        return;
    }
    let daemon = Daemon::start();
    let socket = daemon.socket();
    for (path, status) in [("/livez", "live"), ("/readyz", "ready")] {
        let answer = curl::get(&socket, path);
        assert_eq!((answer.status, answer.json()["status"].as_str()), (200, Some(status)), "{answer:?}");
        assert!(answer.header("x-request-id").is_some(), "{answer:?}");
    }
    let status = curl::get(&socket, "/v1/status").json();
    assert_eq!(status["version"], env!("CARGO_PKG_VERSION"));
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("proc is mounted");
    assert_eq!(status["kernel"], kernel.trim());
    let capabilities = status["capabilities"].as_array().expect("a list");
    let named = |name: &str| capabilities.iter().find(|capability| capability["name"] == name);
    for name in ["tcp live", "tcp closed", "tcp adopted", "tcp owner"] {
        let capability = named(name).unwrap_or_else(|| panic!("{name} is missing in {status}"));
        assert!(capability["served_by"].is_string(), "this host can do it: {capability}");
        assert!(capability["degradation"].is_null(), "{capability}");
    }
    assert_eq!((&status["limits"]["clients"], &status["clients"]), (&64.into(), &0.into()));
    assert!(status["programs"].as_array().is_some_and(|programs| !programs.is_empty()), "{status}");
}

#[test]
fn the_daemon_may_have_as_many_open_files_as_it_is_allowed() {
    if !runs_here(&["curl", "prlimit"]) {
        return;
    }
    let daemon = Daemon::started_by(&["prlimit", "--nofile=200:300"]);
    let limits = std::fs::read_to_string(format!("/proc/{}/limits", daemon.pid())).expect("it runs");
    let open_files = limits.lines().find(|line| line.starts_with("Max open files")).expect("it is listed");
    let numbers: Vec<_> = open_files.split_whitespace().filter(|word| word.parse::<u64>().is_ok()).collect();
    assert_eq!(numbers, ["300", "300"]);
}

#[test]
fn the_status_tells_what_the_programs_cost_unless_it_is_not_sampled() {
    const PAIRS: u64 = 50;
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let sampled = |daemon: &Daemon, name: &str| {
        curl::get(&daemon.socket(), "/network_tracer/connections");
        let status = curl::get(&daemon.socket(), "/v1/status").json();
        let programs = status["programs"].as_array().expect("a list").clone();
        let program = programs.into_iter().find(|program| program["name"] == name);
        program.unwrap_or_else(|| panic!("{name} is missing in {status}"))["sampled"].clone()
    };
    let hook = "inet_sock_set_state";
    let daemon = Daemon::with(&[("SOCKEYE_COLLECT__COST_SAMPLE_MS", "60000")]);
    until("the first window", || sampled(&daemon, hook)["window_ms"].as_u64().filter(|ms| *ms > 0));
    let runs = |name: &str| sampled(&daemon, name)["runs"].as_u64().expect("it is sampled");
    let before = runs(hook);
    let exchange = Exchange::new();
    exchange.run(usize::try_from(PAIRS).expect("it fits"), 7);
    let more = runs(hook) - before;
    assert!(more >= 5 * PAIRS, "{more} runs for {PAIRS} connections with two ends");
    assert!(sampled(&daemon, hook)["run_time_ns"].as_u64().is_some_and(|ns| ns > more * 20));
    let never = Daemon::with(&[("SOCKEYE_COLLECT__COST_SAMPLE_MS", "0")]);
    assert_eq!(sampled(&never, hook), Value::Null);
}

#[test]
fn termination_and_interrupt_end_it_cleanly_and_remove_the_socket() {
    if !runs_here(&["curl"]) {
        return;
    }
    for signal in [Signal::TERM, Signal::INT] {
        let mut daemon = Daemon::start();
        assert!(daemon.socket().exists());
        daemon.signal(signal);
        let status = daemon.wait_end();
        assert_eq!(status.code(), Some(0), "{signal:?}: {status}: {}", daemon.stderr());
        assert!(!daemon.socket().exists(), "{signal:?}");
        assert!(daemon.stderr().contains("stopped"), "{}", daemon.stderr());
    }
}

#[test]
fn a_daemon_that_is_stopped_while_it_loads_leaves_no_socket() {
    if !runs_here(&[]) {
        return;
    }
    let place = Rc::new(Place::new());
    let mut daemon = Daemon::spawn_in(&place, &[]);
    until("the socket", || socket_in(&place).exists().then_some(()));
    daemon.signal(Signal::TERM);
    let status = daemon.wait_end();
    assert!(status.success(), "{status}: {}", daemon.stderr());
    assert!(!socket_in(&place).exists(), "the socket was left");
}

#[test]
fn an_answer_in_flight_at_the_end_is_finished() {
    const CONNECTIONS: usize = 1500;
    if !runs_here(&["curl", "ip"]) {
        return;
    }
    let mut daemon = Daemon::start();
    let mut ledger = Ledger::register(daemon.socket(), "a");
    let exchange = Exchange::new();
    exchange.run(CONNECTIONS, 7);
    // Larger than all buffers on its way, so that most of it is not yet written when the end comes.
    let mut answer = Raw::ask(&daemon.socket(), &ledger.path());
    answer.read_some(1000);
    daemon.signal(Signal::TERM);
    until("the end of accepting", || (!daemon.socket().exists()).then_some(()));
    assert!(daemon.running(), "it waits for the answer to be finished");
    let body = answer.chunked_body();
    assert!(body.len() > 1 << 20, "{} bytes fit into buffers and prove nothing", body.len());
    let answer: Value = serde_json::from_str(&body).expect("the answer is whole");
    ledger.add(answer);
    assert_eq!(ledger.closed(&exchange.space), 2 * CONNECTIONS);
    let status = daemon.wait_end();
    assert_eq!(status.code(), Some(0), "{status}: {}", daemon.stderr());
    assert!(daemon.stderr().contains("answers_cut=0"), "{}", daemon.stderr());
}

#[test]
fn a_connection_without_a_request_does_not_hold_up_the_end() {
    if !runs_here(&["curl"]) {
        return;
    }
    let mut daemon = Daemon::start();
    let idle = std::os::unix::net::UnixStream::connect(daemon.socket()).expect("the daemon listens");
    let mut answered = Raw::ask(&daemon.socket(), "/livez");
    answered.read_some(1);
    daemon.signal(Signal::TERM);
    assert_eq!(daemon.wait_end().code(), Some(0), "{}", daemon.stderr());
    drop((idle, answered));
}

#[test]
fn a_stale_socket_is_replaced() {
    if !runs_here(&["curl"]) {
        return;
    }
    let place = Rc::new(Place::new());
    drop(UnixListener::bind(socket_in(&place)).expect("the place is empty"));
    assert!(socket_in(&place).exists(), "its file outlives a listener");
    let daemon = Daemon::start_in(&place, &[]);
    assert_eq!(curl::get(&daemon.socket(), "/livez").status, 200);
}

#[test]
fn a_path_that_is_no_socket_is_refused_and_left_alone() {
    if !runs_here(&[]) {
        return;
    }
    let place = Rc::new(Place::new());
    place.write("s.sock", "precious");
    let said = ends_with_failure(&place);
    assert!(said.contains("s.sock") && said.contains("is no socket"), "{said}");
    assert_eq!(std::fs::read_to_string(socket_in(&place)).expect("it is still there"), "precious");
    std::fs::remove_file(socket_in(&place)).expect("it is ours");
    std::fs::create_dir(socket_in(&place)).expect("it was removed");
    let said = ends_with_failure(&place);
    assert!(said.contains("is no socket"), "{said}");
    assert!(socket_in(&place).is_dir());
}

#[test]
fn a_second_daemon_on_a_live_socket_is_refused_and_the_first_goes_on() {
    if !runs_here(&["curl"]) {
        return;
    }
    let place = Rc::new(Place::new());
    let first = Daemon::start_in(&place, &[]);
    let mut ledger = Ledger::register(first.socket(), "a");
    let instance = ledger.poll()["instance"].clone();
    let said = ends_with_failure(&place);
    assert!(said.contains("another daemon is listening") && said.contains("s.sock"), "{said}");
    assert_eq!(ledger.poll()["instance"], instance, "the first one answers, and knows its client");
}

#[test]
fn the_socket_is_open_to_its_user_and_group_only() {
    if !runs_here(&[]) {
        return;
    }
    let daemon = Daemon::start();
    let metadata = std::fs::symlink_metadata(daemon.socket()).expect("the socket is there");
    assert!(metadata.file_type().is_socket());
    assert_eq!(metadata.permissions().mode() & 0o7777, 0o660);
}

/// Starts a daemon that must fail to start; gives what it said.
fn ends_with_failure(place: &Rc<Place>) -> String {
    let mut daemon = Daemon::spawn_in(place, &[]);
    let status = daemon.wait_end();
    let said = daemon.stderr();
    assert_eq!(status.code(), Some(1), "{status}: {said}");
    assert_eq!(said.lines().count(), 1, "one line: {said}");
    said
}
