//! Finding programs the way a login shell of root would, and calling those that only speak when they fail.
//!
//! It does not decide which programs are needed; `packages` does.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Directories that hold `ip` and `nginx` but are not in the `PATH` of an ordinary user.
const SYSTEM_DIRECTORIES: [&str; 3] = ["/usr/local/sbin", "/usr/sbin", "/sbin"];

/// The place of an executable in `PATH` or in the system directories.
pub(crate) fn find(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(SYSTEM_DIRECTORIES.iter().map(PathBuf::from))
        .map(|directory| directory.join(name))
        .find(|candidate| is_executable(candidate))
}

/// The first number after the word `version` in the output of `PROGRAM --version`.
pub(crate) fn major_version(program: &Path) -> Option<u32> {
    let output = Command::new(program).arg("--version").output().ok()?;
    major_version_in(&String::from_utf8_lossy(&output.stdout))
}

/// What the program writes to its standard output.
///
/// # Errors
/// How it ended, and the last line that it wrote, which is the reason.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().to_string_lossy().into_owned();
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
    }
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    let last = said.lines().rfind(|line| !line.trim().is_empty()).unwrap_or("it said nothing");
    Err(format!("{program}: {}: {}", output.status, last.trim()))
}

fn is_executable(path: &Path) -> bool {
    path.metadata().is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
}

fn major_version_in(text: &str) -> Option<u32> {
    let (_, after) = text.split_once("version ")?;
    after.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reason_is_the_last_thing_that_was_said() {
        let failure = output(Command::new("sh").args(["-c", "echo one; echo ' two ' >&2; echo >&2; exit 3"]));
        assert_eq!(failure, Err("sh: exit status: 3: two".to_owned()));
        assert_eq!(output(Command::new("sh").args(["-c", "echo a; echo b >&2"])), Ok("a\n".to_owned()));
    }

    #[test]
    fn the_major_version_is_read_from_what_compilers_print() {
        assert_eq!(major_version_in("Debian clang version 14.0.6\nTarget: x86_64"), Some(14));
        assert_eq!(major_version_in("Ubuntu clang-format version 18.1.3 (1ubuntu1)"), Some(18));
        assert_eq!(major_version_in("something else"), None);
    }
}
