//! `sockeye doctor`: its verdict, its exit codes, its JSON, and that it leaves a running daemon alone.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::process::Output;

use serde_json::Value;

use crate::curl;
use crate::daemon::{Daemon, binary, command};
use crate::needs::runs_here;
use crate::openapi::check_named;
use crate::place::Place;

const NOBODY: u32 = 65534;

/// Asks the doctor in a place of its own, with these arguments and variables.
fn ask(place: &Place, arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command(binary());
    command.arg("doctor").args(["--socket".as_ref(), place.of("s.sock").as_os_str()]);
    command.arg("--config").arg(place.write("doctor.toml", "")).args(arguments);
    command.envs(variables.iter().copied()).output().expect("the binary starts")
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The answer, which is as the document promises.
fn json(output: &Output) -> Value {
    let value = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {output:?}"));
    check_named("Diagnosis", &value).unwrap_or_else(|broken| panic!("{broken}: {value}"));
    value
}

#[test]
fn the_doctor_tells_a_person_whether_tracing_is_possible_in_the_first_line_and_why_below() {
    if !runs_here(&[]) {
        return;
    }
    let output = ask(&Place::new(), &[], &[]);
    let said = text(&output);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(said.starts_with("Tracing is possible here"), "{said}");
    for title in ["This host", "What serves what", "Privileges", "Memory of the configured limits"] {
        assert!(said.lines().any(|line| line == title), "{title}: {said}");
    }
    assert!(said.contains("nobody listens") && said.contains("tp_btf/inet_sock_set_state"), "{said}");
    assert!(said.lines().all(|line| line.chars().count() <= 100), "{said}");
}

#[test]
fn the_doctor_answers_in_json_as_documented_and_the_kernel_agrees_with_its_arithmetic() {
    if !runs_here(&[]) {
        return;
    }
    let output = ask(&Place::new(), &["--json"], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = json(&output);
    let kernel = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("proc is mounted");
    assert_eq!(told["host"]["kernel"], kernel.trim());
    let number = |value: &Value| value.as_u64().unwrap_or_else(|| panic!("{value} is no number"));
    let computed = number(&told["memory"]["kernel_at_start_bytes"]);
    let taken = number(&told["maps_bytes"]);
    // What the kernel takes beside: buckets of the hashes, and what maps of one entry have.
    assert!((computed..computed + computed / 4).contains(&taken), "{taken} of {computed} bytes");
    // A quarter of the slots, and the kernel's own number moves as the arithmetic says.
    let fewer = json(&ask(&Place::new(), &["--json"], &[("SOCKEYE_LIMITS__TCP_SLOTS", "65536")]));
    let less = taken - number(&fewer["maps_bytes"]);
    let computed_less = computed - number(&fewer["memory"]["kernel_at_start_bytes"]);
    assert_eq!(computed_less, 3 * 65_536 * 112);
    assert!(less.abs_diff(computed_less) < computed_less / 50, "{less} of {computed_less} bytes");
}

#[test]
fn the_doctor_names_the_missing_privilege_and_exits_with_77() {
    if !runs_here(&[]) {
        return;
    }
    let place = Place::new();
    // The directory of the build may be closed to other users.
    let copy = place.of("sockeye");
    std::fs::copy(binary(), &copy).expect("there is room for a copy");
    std::fs::set_permissions(&copy, PermissionsExt::from_mode(0o755)).expect("it is ours");
    let ask = |arguments: &[&str]| {
        let mut command = command(&copy);
        command.arg("doctor").args(arguments).uid(NOBODY).gid(NOBODY).current_dir("/");
        command.output().expect("the copy starts")
    };
    let output = ask(&[]);
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    let said = text(&output);
    assert!(said.starts_with("Tracing is not possible here: missing privilege CAP_BPF and"), "{said}");
    let told = json(&ask(&["--json"]));
    assert_eq!(told["tracing"], "not permitted");
    let parts = told["privileges"].as_array().expect("a list");
    let programs = parts.iter().find(|part| part["name"] == "programs").expect("it is listed");
    assert_eq!(programs["missing"], serde_json::json!(["CAP_BPF", "CAP_PERFMON"]));
}

#[test]
fn the_doctor_exits_with_1_where_nothing_can_be_traced_and_says_what_refuses() {
    if !runs_here(&[]) {
        return;
    }
    let refuse = [("SOCKEYE_COLLECT__BACKEND", "bpf"), ("SOCKEYE_COLLECT__REFUSE", "[\"tp_btf\"]")];
    let output = ask(&Place::new(), &[], &refuse);
    assert_eq!(output.status.code(), Some(1), "{output:?}");
    assert!(text(&output).starts_with("Tracing is not possible here: "), "{output:?}");
    assert!(text(&output).contains("refused by collect.refuse"), "{output:?}");
    let told = json(&ask(&Place::new(), &["--json"], &refuse));
    assert_eq!((&told["tracing"], &told["capabilities"]), (&"impossible".into(), &Value::Array(Vec::new())));
}

#[test]
fn the_doctor_says_what_polling_would_leave_out() {
    if !runs_here(&[]) {
        return;
    }
    let output = ask(&Place::new(), &["--json", "--backend", "polling"], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let told = json(&output);
    assert_eq!(told["tracing"], "degraded");
    assert!(told["absent"].as_array().is_some_and(|absent| absent.len() >= 3), "{told}");
}

#[test]
fn the_doctor_exits_with_64_for_bad_usage_and_bad_configuration() {
    for arguments in [&["--jsno"][..], &["more"]] {
        let output = ask(&Place::new(), arguments, &[]);
        assert_eq!(output.status.code(), Some(64), "{output:?}");
    }
    let output = ask(&Place::new(), &[], &[("SOCKEYE_LIMITS__CLIENTS", "0")]);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
}

#[test]
fn the_doctor_leaves_a_running_daemon_alone() {
    if !runs_here(&["curl"]) {
        return;
    }
    let place = std::rc::Rc::new(Place::new());
    let daemon = Daemon::start_in(&place, &[]);
    let programs = || {
        let status = curl::get(&daemon.socket(), "/v1/status").json();
        let programs = status["programs"].as_array().expect("a list").clone();
        programs.into_iter().map(|program| program["id"].clone()).collect::<Vec<_>>()
    };
    let before = programs();
    let output = ask(&place, &[], &[]);
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    assert!(text(&output).contains("a daemon listens"), "{output:?}");
    assert_eq!(programs(), before);
    assert_eq!(curl::get(&daemon.socket(), "/readyz").status, 200);
}
