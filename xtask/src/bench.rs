//! `cargo x bench`: the measurements in `crates/sockeye/examples/bench`, built for release and run as root.
//!
//! What is measured, and how, is the example's own matter.

use std::os::unix::process::CommandExt;

use crate::install;
use crate::packages::Use;
use crate::stop::Stop;
use crate::superuser;
use crate::workspace::Workspace;

/// It compiles what it compares with, makes a namespace with `ip`, and compares with `ss`.
const USES: [Use; 2] = [Use::Build, Use::Kernel];

/// Runs the command; it returns only if cargo could not be started.
pub(crate) fn run(arguments: &[String]) -> Result<(), Stop> {
    let workspace = Workspace::locate()?;
    install::provide(&USES)?;
    let mut cargo = workspace.cargo();
    cargo.args(["run", "--release", "--package", "sockeye", "--example", "bench"]);
    if !superuser::is_root() {
        cargo.args(["--config", superuser::RUNNER]);
    }
    let error = cargo.arg("--").args(arguments).exec();
    Err(Stop::Failed(format!("running cargo: {error}")))
}
