//! The OpenAPI document as others understand it: a validator of such documents, and a program that makes requests from it and
//! holds what the running daemon answers against it.

use std::path::Path;
use std::process::Command;

use crate::access::{RIGHT, daemon_on};
use crate::curl::get;
use crate::daemon::Daemon;
use crate::needs::{python_with, runs_here};
use crate::place::Place;

/// How many requests are made of each operation and kind at most.
const EXAMPLES: &str = "10";
const SECONDS_MAX: &str = "45";

fn run(command: &mut Command) -> String {
    let output = command.output().expect("the interpreter is there");
    let said =
        String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    said
}

#[test]
fn the_document_is_one_of_openapi() {
    let Some(python) = python_with("openapi_spec_validator") else { return };
    if !runs_here(&["curl"]) {
        return;
    }
    let (daemon, place) = (Daemon::start(), Place::new());
    let document = get(&daemon.socket(), "/openapi.json");
    assert_eq!((document.status, document.header("content-type")), (200, Some("application/json")));
    assert!(document.json()["openapi"].as_str().is_some_and(|version| version.starts_with("3.1.")));
    let file = place.write("openapi.json", document.body);
    run(Command::new(python).args(["-m", "openapi_spec_validator"]).arg(file));
}

#[test]
fn schemathesis_finds_no_undocumented_answer() {
    let Some(python) = python_with("schemathesis") else { return };
    if !runs_here(&["curl"]) {
        return;
    }
    let (_daemon, address) = daemon_on("127.0.0.1:0", "64");
    let url = format!("http://{address}");
    let place = Place::new();
    let said = run(Command::new(beside(&python, "st"))
        .current_dir(place.path())
        .args(["run", &format!("{url}/openapi.json"), "--url", &url, "-H", RIGHT])
        .args(["--max-examples", EXAMPLES, "--max-time", SECONDS_MAX, "--generation-deterministic"])
        .args(["--suppress-health-check", "all"])
        // Which texts are no addresses or ranges no schema says here, and a poll on the reference's path registers a client
        // that was removed.
        .args(["--exclude-checks", "positive_data_acceptance,use_after_free"])
        .args(["--request-timeout", "20", "--no-color", "--warnings", "off"]));
    assert!(said.contains("Tested: "), "{said}");
}

/// A program of the same environment.
fn beside(python: &Path, name: &str) -> std::path::PathBuf {
    python.with_file_name(name)
}
