//! The Python packages that the end-to-end tests read answers with, in an environment of their own below the target directory.
//!
//! It is made when it is missing or when the list has changed. Which tests need it is not known here.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::programs;
use crate::workspace::Workspace;

/// Variable that tells the tests why there is no environment.
pub(crate) const MISSING: &str = "SOCKEYE_PYTHON_MISSING";

/// Where it is, below the target directory.
const PLACE: &str = "python";
/// The list, below the root.
const REQUIREMENTS: &str = "xtask/python-requirements.txt";
/// A copy of the list in the environment, written when all of it is installed.
const INSTALLED: &str = "installed.txt";

/// Makes sure that the environment is there with the packages of the list.
///
/// # Errors
/// Why it cannot be had, for a person.
pub(crate) fn provide(workspace: &Workspace) -> Result<(), String> {
    let list = workspace.root.join(REQUIREMENTS);
    let wanted =
        std::fs::read_to_string(&list).map_err(|error| format!("reading {REQUIREMENTS}: {error}"))?;
    let place = workspace.target.join(PLACE);
    let installed = place.join(INSTALLED);
    if std::fs::read_to_string(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    let python = programs::find("python3").ok_or("python3 is missing")?;
    println!("making {} with the packages of {REQUIREMENTS}", workspace.shown(&place));
    execute(Command::new(python).args(["-m", "venv", "--clear"]).arg(&place))?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    execute(Command::new(interpreter(&place)).args(pip).arg(&list))?;
    std::fs::write(&installed, wanted).map_err(|error| format!("writing {}: {error}", installed.display()))
}

fn interpreter(place: &Path) -> PathBuf {
    place.join("bin/python3")
}

fn execute(command: &mut Command) -> Result<(), String> {
    programs::output(command).map(drop).map_err(|reason| format!("no Python environment: {reason}"))
}
