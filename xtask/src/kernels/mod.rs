//! The kernel tests on other kernels: which ones there are, and running the test binary on each.
//!
//! Getting a kernel is for `package`, what its machine finds for `initrd` and `init.sh`, booting for `machine`, what
//! comes of it for `records` and `results`, and what should come of it for `known` and `page`.

mod host;
mod initrd;
mod known;
mod machine;
mod package;
mod page;
mod records;
mod results;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

pub(crate) use records::Outcome;
#[cfg(test)]
pub(crate) use results::Ended;
pub(crate) use results::Results;

use crate::stop::{Stop, failed};
use crate::workspace::Workspace;

/// The name of the probe that tells how each capability is served, and a role of the test binary.
const PROBE: &str = "support";
/// A test that takes longer is stopped.
const SECONDS: u64 = 240;

/// A kernel that Debian has.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Kernel {
    /// How its version begins.
    pub(crate) name: &'static str,
    /// Archives and suites, whose newest kernel it is.
    suites: &'static [(&'static str, &'static str)],
}

#[rustfmt::skip]
static KERNELS: [Kernel; 4] = [
    Kernel { name: "5.10", suites: &[("debian", "bullseye"), ("debian-security", "bullseye-security")] },
    Kernel { name: "6.1", suites: &[("debian", "bookworm"), ("debian-security", "bookworm-security")] },
    Kernel { name: "6.12", suites: &[("debian", "trixie"), ("debian-security", "trixie-security")] },
    Kernel { name: "7", suites: &[("debian", "sid")] },
];

/// What comes of a kernel.
#[derive(Debug)]
pub(crate) enum Came {
    /// It cannot be had; the reason.
    NotRun(String),
    Results(Box<Results>),
}

impl Kernel {
    /// The kernel of that name.
    pub(crate) fn named(name: &str) -> Option<&'static Self> {
        KERNELS.iter().find(|kernel| kernel.name == name)
    }
}

/// Runs the tests whose name contains one of `filters`, or all, on each of `kernels`, all at once.
pub(crate) fn run(
    workspace: &Workspace,
    kernels: &[&'static Kernel],
    filters: &[String],
) -> Result<Vec<(String, Came)>, Stop> {
    let tests = &test_binary(workspace)?;
    let store = &workspace.target.join("vm");
    Ok(std::thread::scope(|scope| {
        let start =
            |kernel: &'static Kernel| (kernel, scope.spawn(move || on(kernel, store, tests, filters)));
        let started: Vec<_> = kernels.iter().copied().map(start).collect();
        let broken = |_| {
            let faults = vec!["the thread of its machine panicked".to_owned()];
            Came::Results(Box::new(Results { faults, ..Results::default() }))
        };
        let joined =
            started.into_iter().map(|(kernel, thread)| (kernel.name, thread.join().unwrap_or_else(broken)));
        joined.map(|(name, came)| (name.to_owned(), came)).collect()
    }))
}

/// How the host's own kernel serves each capability; with `accept` also if nothing is known of its release.
pub(crate) fn on_host(workspace: &Workspace, accept: bool) -> Result<(String, Came), Stop> {
    let tests = test_binary(workspace)?;
    host::run(&workspace.root, &tests, accept).map_err(Stop::Failed)
}

/// Holds what came of a kernel against what is checked in, or checks it in: a difference is a fault of the run.
pub(crate) fn compare(
    workspace: &Workspace,
    name: &str,
    results: &mut Results,
    accept: bool,
) -> Result<(), Stop> {
    // Of a run that broke off it is not known what it would have found.
    if !results.faults.is_empty() || results.served.is_empty() {
        return Ok(());
    }
    let root = &workspace.root;
    let known = known::read(root, name).map_err(Stop::Failed)?;
    if accept {
        known::write(root, name, &known.unwrap_or_default().with(results)).map_err(Stop::Failed)?;
        return page::write(root).map_err(Stop::Failed);
    }
    let differences = match known {
        Some(known) => known.differences(results),
        None => vec![format!("{}/{name}.tsv is missing", known::PLACE)],
    };
    if !differences.is_empty() {
        results.faults.push(format!(
            "what it found is not what is checked in, which `--accept` changes: {}",
            differences.join("; ")
        ));
    }
    Ok(())
}

fn on(kernel: &Kernel, store: &Path, tests: &Path, filters: &[String]) -> Came {
    let image = match package::provide(kernel, store) {
        Ok(image) => image,
        Err(reason) => return Came::NotRun(reason),
    };
    let mut results = Results::default();
    let end = initrd::build(&image, tests, filters, SECONDS).and_then(|initrd| {
        machine::run(&image, &initrd, Duration::from_secs(SECONDS + 60), |line| {
            if let Some(shown) = results.take(line) {
                println!("[{}] {shown}", kernel.name);
            }
        })
    });
    results.finish(end);
    Came::Results(Box::new(results))
}

/// Builds the kernel tests and says where they are.
fn test_binary(workspace: &Workspace) -> Result<PathBuf, Stop> {
    if let Some(given) = std::env::var_os("SOCKEYE_KERNEL_TESTS") {
        return std::path::absolute(given).map_err(failed("resolving SOCKEYE_KERNEL_TESTS"));
    }
    let mut cargo = workspace.cargo();
    cargo.args(["test", "--workspace", "--test", "kernel", "--no-run", "--message-format=json"]);
    let built = cargo.stderr(Stdio::inherit()).output().map_err(failed("running cargo test"))?;
    if !built.status.success() {
        return Err(Stop::Failed("the kernel tests do not compile".into()));
    }
    let messages = String::from_utf8_lossy(&built.stdout).into_owned();
    let artifact = messages
        .lines()
        .filter(|line| line.contains("\"name\":\"kernel\""))
        .find_map(|line| line.split_once("\"executable\":\"")?.1.split('"').next());
    artifact
        .map(PathBuf::from)
        .ok_or_else(|| Stop::Failed("cargo names no binary of the kernel tests".into()))
}

/// Where the rest of what a machine said is.
pub(crate) fn tell(workspace: &Workspace, kernel: &str, results: &Results) {
    let console = workspace.target.join("vm").join(kernel).join(machine::CONSOLE);
    if !results.faults.is_empty() && console.exists() {
        println!("[{kernel}] the console is in {}", workspace.shown(&console));
    }
}
