//! The kernel tests on other kernels: which ones there are, and running the test binary on each.
//!
//! Getting a kernel is for `package`, what its machine finds for `initrd` and `init.sh`, booting for `machine`, and
//! what comes of it for `records` and `results`.

mod initrd;
mod machine;
mod package;
mod records;
mod results;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

pub(crate) use records::Outcome;
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
) -> Result<Vec<(&'static Kernel, Came)>, Stop> {
    let tests = test_binary(workspace)?;
    let store = workspace.target.join("vm");
    let tests = tests.as_path();
    let store = store.as_path();
    Ok(std::thread::scope(|scope| {
        let start =
            |kernel: &'static Kernel| (kernel, scope.spawn(move || on(kernel, store, tests, filters)));
        let started: Vec<_> = kernels.iter().copied().map(start).collect();
        let joined = |thread: std::thread::ScopedJoinHandle<'_, Came>| {
            thread.join().unwrap_or_else(|_| Came::NotRun("the thread of its machine panicked".into()))
        };
        started.into_iter().map(|(kernel, thread)| (kernel, joined(thread))).collect()
    }))
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

/// What failed tests on this kernel wrote, and where the rest is.
pub(crate) fn tell(workspace: &Workspace, kernel: &Kernel, results: &Results) {
    let said = results.said();
    if said.is_empty() && results.faults.is_empty() {
        return;
    }
    println!("\n[{}]\n{said}", kernel.name);
    let console = workspace.target.join("vm").join(kernel.name).join("console.log");
    println!("[{}] the console is in {}", kernel.name, workspace.shown(&console));
}
