//! `cargo x fuzz`: one of the targets in `fuzz/`, for some time, with the nightly toolchain and cargo-fuzz.
//!
//! What a target does with its bytes is its own matter. What the fuzzer finds stays in `fuzz/artifacts`, what it learns in
//! `fuzz/corpus`; git knows neither.

use std::path::PathBuf;
use std::process::{Command, Stdio};

use crate::install;
use crate::packages::Use;
use crate::programs;
use crate::stop::{Stop, failed};
use crate::workspace::Workspace;

/// The fuzzer is a part of the compiler that only this toolchain lets programs use.
const TOOLCHAIN: &str = "nightly";
const TARGET: &str = "client_operations";
/// Longer inputs find nothing that shorter ones do not, and take longer.
const MAX_LEN: &str = "-max_len=512";
/// Long sequences from the start, not only when short ones find nothing new.
const LENGTHS: &str = "-len_control=0";
/// An input takes milliseconds. One that takes so many seconds is a finding.
const TIMEOUT: &str = "-timeout=20";

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    target: String,
    seconds: u64,
}

/// Runs the command.
pub(crate) fn run(arguments: &[String]) -> Result<(), Stop> {
    let options = Options::parse(arguments)?;
    let workspace = Workspace::locate()?;
    let source = workspace.root.join("fuzz/fuzz_targets").join(&options.target).join("main.rs");
    if !source.is_file() {
        let source = workspace.shown(&source);
        return Err(Stop::Usage(format!("there is no target `{}`: {source} is missing", options.target)));
    }
    install::provide(&[Use::Build])?;
    provide_toolchain()?;
    provide_fuzzer(&workspace)?;
    let corpus = workspace.root.join("fuzz/corpus").join(&options.target);
    std::fs::create_dir_all(&corpus).map_err(failed(format!("making {}", corpus.display())))?;
    let status = fuzzer(&workspace, &options, corpus).status().map_err(failed("running cargo fuzz"))?;
    if status.success() {
        return Ok(());
    }
    Err(Stop::Failed(format!(
        "the fuzzer found something, or could not run; docs/development.md says how to go on with what is in \
         fuzz/artifacts/{}",
        options.target
    )))
}

/// New inputs go to the corpus; the seeds are only read.
fn fuzzer(workspace: &Workspace, options: &Options, corpus: PathBuf) -> Command {
    let mut command = nightly(workspace);
    // Nothing that is fuzzed is unsafe, and no byte of an input is compared with anything: both would only cost time.
    command.args(["cargo", "fuzz", "run", "--sanitizer", "none", "--no-trace-compares", "--target-dir"]);
    command.arg(workspace.target.join("fuzz")).arg(&options.target).arg(corpus);
    let seeds = workspace.root.join("fuzz/seeds").join(&options.target);
    command.args(seeds.is_dir().then_some(seeds));
    command.args(["--", MAX_LEN, LENGTHS, TIMEOUT, "-print_final_stats=1"]);
    let words = workspace.root.join(format!("fuzz/dictionaries/{}.dict", options.target));
    command.args(words.is_file().then(|| format!("-dict={}", words.display())));
    command.arg(format!("-max_total_time={}", options.seconds));
    command
}

/// A command under the nightly toolchain. What cargo told this process is about the other toolchain.
fn nightly(workspace: &Workspace) -> Command {
    let mut command = Command::new("rustup");
    command.args(["run", TOOLCHAIN]).current_dir(&workspace.root);
    command.env_remove("CARGO").env_remove("RUSTUP_TOOLCHAIN");
    command
}

fn provide_toolchain() -> Result<(), Stop> {
    let advice = format!("install it with `rustup toolchain install {TOOLCHAIN} --profile minimal`");
    if programs::find("rustup").is_none() {
        return Err(Stop::Failed(format!(
            "fuzzing needs rustup (https://rustup.rs) and its toolchain {TOOLCHAIN}: {advice}"
        )));
    }
    let mut rustc = Command::new("rustup");
    rustc.args(["run", TOOLCHAIN, "rustc", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if rustc.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    Err(Stop::Failed(format!("fuzzing needs the toolchain {TOOLCHAIN}, which is not here: {advice}")))
}

/// Builds cargo-fuzz if it is missing.
fn provide_fuzzer(workspace: &Workspace) -> Result<(), Stop> {
    let mut version = nightly(workspace);
    version.args(["cargo", "fuzz", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if version.status().is_ok_and(|status| status.success()) {
        return Ok(());
    }
    println!("This machine lacks cargo-fuzz; `cargo install cargo-fuzz` builds it, once.");
    let mut cargo = workspace.cargo();
    cargo.args(["install", "--locked", "cargo-fuzz"]);
    let status = cargo.status().map_err(failed("running cargo install"))?;
    if status.success() { Ok(()) } else { Err(Stop::Failed("cargo-fuzz could not be installed".into())) }
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Stop> {
        let (mut target, mut seconds) = (None, 60);
        let mut rest = arguments.iter();
        while let Some(argument) = rest.next() {
            let given = match argument.strip_prefix("--seconds=") {
                Some(given) => given,
                None if argument == "--seconds" => rest.next().map_or("", String::as_str),
                None if argument.starts_with('-') || target.is_some() => {
                    return Err(Stop::Usage(format!("`fuzz` does not know `{argument}`")));
                }
                None => {
                    target = Some(argument.clone());
                    continue;
                }
            };
            // For the fuzzer 0 means without end.
            seconds = given
                .parse()
                .ok()
                .filter(|seconds| *seconds > 0)
                .ok_or_else(|| Stop::Usage("`--seconds` needs a number of seconds, at least 1".into()))?;
        }
        Ok(Self { target: target.unwrap_or_else(|| TARGET.into()), seconds })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options(arguments: &[&str]) -> Result<Options, Stop> {
        let arguments: Vec<String> = arguments.iter().map(|&argument| argument.to_owned()).collect();
        Options::parse(&arguments)
    }

    #[test]
    fn a_target_and_a_time_can_be_given() {
        let expected = |target: &str, seconds| Options { target: target.into(), seconds };
        assert_eq!(options(&[]).unwrap(), expected(TARGET, 60));
        assert_eq!(options(&["--seconds", "5", "other"]).unwrap(), expected("other", 5));
        assert_eq!(options(&["other", "--seconds=600"]).unwrap(), expected("other", 600));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for arguments in [&["--seconds"][..], &["--seconds", "0"], &["--seconds=x"], &["a", "b"], &["--jobs"]]
        {
            assert!(matches!(options(arguments), Err(Stop::Usage(_))), "{arguments:?}");
        }
    }
}
