//! What the binary says and answers to its caller when it does not run: exit codes and the one line that says why.

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Output;

use crate::daemon::{binary, command};
use crate::needs::runs_here;
use crate::place::Place;

/// A user and group without any privilege.
const NOBODY: u32 = 65534;

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = command(binary());
    command.args(arguments).envs(variables.iter().copied()).output().expect("the binary starts")
}

/// The line that it wrote to standard error, of which there must be one.
fn line(output: &Output) -> String {
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(text.lines().count(), 1, "one line: {text}");
    assert!(text.starts_with("sockeye: "), "{text}");
    assert!(output.stdout.is_empty(), "errors go to standard error");
    text.trim_end().to_owned()
}

/// Arguments of a run whose configuration is `config`.
fn run_with(place: &Place, config: &str) -> [String; 5] {
    let config = place.write("sockeye.toml", config);
    let text = |path: &Path| path.to_str().expect("the place has a plain name").to_owned();
    let socket = place.of("s.sock");
    ["run".into(), "--config".into(), text(&config), "--socket".into(), text(&socket)]
}

fn refused(config: &str, variables: &[(&str, &str)]) -> String {
    let place = Place::new();
    let arguments = run_with(&place, config);
    let output = run(&arguments.each_ref().map(String::as_str), variables);
    assert_eq!(output.status.code(), Some(64), "{output:?}");
    assert!(!place.of("s.sock").exists(), "nothing was begun");
    line(&output)
}

#[test]
fn the_version_is_told_on_standard_output() {
    let output = run(&["--version"], &[]);
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout),
        format!("sockeye {}\n", env!("CARGO_PKG_VERSION")),
        "{output:?}"
    );
    assert!(output.stderr.is_empty(), "{output:?}");
}

#[test]
fn bad_usage_exits_with_64() {
    for arguments in [&[][..], &["walk"], &["run", "--sokcet", "/a"], &["run", "--socket"], &["run", "more"]]
    {
        let output = run(arguments, &[]);
        assert_eq!(output.status.code(), Some(64), "{arguments:?}: {output:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty(), "{arguments:?}: {output:?}");
    }
    let output = run(&["run", "--sokcet", "/a"], &[]);
    assert!(String::from_utf8_lossy(&output.stderr).contains("--socket"), "a suggestion: {output:?}");
}

#[test]
fn an_unknown_configuration_key_exits_with_64_and_a_suggestion() {
    let said = refused("[limits]\nclosed_record = 5\n", &[]);
    assert!(said.contains("sockeye.toml: unknown key limits.closed_record, "), "{said}");
    assert!(said.ends_with("did you mean limits.closed_records?"), "{said}");
    let said = refused("", &[("SOCKEYE_LIMITS__CLEINTS", "5")]);
    assert_eq!(
        said,
        "sockeye: SOCKEYE_LIMITS__CLEINTS: unknown key limits.cleints, did you mean limits.clients?"
    );
}

#[test]
fn a_bad_value_in_the_environment_exits_with_64_and_names_the_variable() {
    for value in ["many", "-1", "", "99999999999"] {
        let said = refused("", &[("SOCKEYE_LIMITS__CLIENTS", value)]);
        assert!(said.contains("SOCKEYE_LIMITS__CLIENTS"), "{value:?}: {said}");
    }
    for (name, value) in [
        ("LIMITS__CLIENTS", "0"),
        ("CLIENTS__TTL_S", "9"),
        ("LISTEN__MODE", "rw"),
        ("LOG__LEVEL", "loud=very"),
    ] {
        let said = refused("", &[(&format!("SOCKEYE_{name}"), value)]);
        let key = name.to_lowercase().replace("__", ".");
        assert!(said.contains(&key) && said.contains(value), "{said}");
    }
}

#[test]
fn a_configuration_that_cannot_be_read_exits_with_64() {
    let said = refused("[limits\n", &[]);
    assert!(said.contains("sockeye.toml is no TOML"), "{said}");
    let output = run(&["run", "--config", "/nonexistent/sockeye.toml"], &[]);
    assert_eq!(output.status.code(), Some(64));
    assert!(line(&output).contains("/nonexistent/sockeye.toml"), "{output:?}");
}

#[test]
fn owners_and_groups_that_do_not_exist_exit_with_64() {
    for (key, file) in [("owner", "/etc/passwd"), ("group", "/etc/group")] {
        let said = refused(&format!("[listen]\n{key} = \"nobody-of-this-name\"\n"), &[]);
        assert!(said.contains(&format!("listen.{key} = \"nobody-of-this-name\"")), "{said}");
        assert!(said.contains(&format!("no such name in {file}")), "{said}");
    }
}

#[test]
fn tcp_without_a_token_that_is_good_and_kept_well_exits_with_64_and_what_to_do() {
    let tcp = |address: &str| refused(&format!("[listen]\ntcp = \"{address}\"\n"), &[]);
    let said = tcp("127.0.0.1:8125");
    assert!(said.contains("without listen.token_file") && said.contains("every user of this host"), "{said}");
    assert!(said.contains("/dev/urandom"), "{said}");
    let said = tcp("0.0.0.0:8125");
    assert!(said.contains("everybody who reaches this address"), "{said}");
    let said = tcp("localhost:8125");
    assert!(said.contains("listen.tcp = \"localhost:8125\": an address and a port"), "{said}");

    let place = Place::new();
    let with = |token: &Path| {
        let token = token.to_str().expect("the place has a plain name");
        refused("", &[("SOCKEYE_LISTEN__TCP", "127.0.0.1:0"), ("SOCKEYE_LISTEN__TOKEN_FILE", token)])
    };
    let said = with(&place.of("none"));
    assert!(said.contains("listen.token_file: cannot read") && said.contains("No such file"), "{said}");
    let token = place.write("token", "0123456789abcdef");
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o644)).expect("it is ours");
    let said = with(&token);
    assert!(
        said.contains("(mode 0644)") && said.contains(&format!("chmod o= {}", token.display())),
        "{said}"
    );
    std::fs::set_permissions(&token, std::fs::Permissions::from_mode(0o640)).expect("it is ours");
    place.write("token", "0123456789abcde\n");
    let said = with(&token);
    assert!(said.contains("16 to 512 visible ASCII characters"), "{said}");
    assert!(!said.contains("0123456789abcde"), "a token is not for the log: {said}");
}

#[test]
fn missing_privilege_exits_with_77_and_one_line_that_names_it_and_the_way_to_get_it() {
    if !runs_here(&[]) {
        return;
    }
    let place = Place::new();
    let arguments = run_with(&place, "");
    // The directory of the build may be closed to other users.
    let copy = place.of("sockeye");
    std::fs::copy(binary(), &copy).expect("there is room for a copy");
    std::fs::set_permissions(&copy, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    let mut command = command(&copy);
    command.args(arguments).uid(NOBODY).gid(NOBODY).current_dir("/");
    let output = command.output().expect("the copy starts");
    assert_eq!(output.status.code(), Some(77), "{output:?}");
    let said = line(&output);
    assert!(said.contains("missing privilege CAP_BPF and CAP_PERFMON"), "{said}");
    assert!(said.contains("run as root") && said.contains("setcap cap_bpf,cap_perfmon"), "{said}");
    assert!(!place.of("s.sock").exists());
}
