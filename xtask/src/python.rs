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

/// The last line that a failing program writes is the reason.
fn execute(command: &mut Command) -> Result<(), String> {
    let line = format!("{command:?}");
    let output = command.output().map_err(|error| format!("{line}: {error}"))?;
    if output.status.success() {
        return Ok(());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("no Python environment: {}: {}", output.status, last.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_thing_that_was_said() {
        let failure =
            execute(Command::new("sh").args(["-c", "echo one; echo ' two ' >&2; echo >&2; exit 3"]));
        assert_eq!(failure, Err("no Python environment: exit status: 3: two".to_owned()));
        assert_eq!(execute(Command::new("sh").args(["-c", "exit 0"])), Ok(()));
    }
}
