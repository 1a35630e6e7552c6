//! Being root: who runs this, and how to do one thing with the rights of root.
//!
//! It keeps no rights; each command that needs them goes through here by itself.

use std::os::unix::fs::MetadataExt;
use std::process::{Command, Stdio};

use crate::programs;

/// Options for cargo that start what it built through sudo, with the environment kept.
pub(crate) const RUNNER: &str = "target.'cfg(unix)'.runner = ['sudo', '-E']";

/// The numeric user and group of this process.
pub(crate) fn ids() -> (u32, u32) {
    // The owner of /proc/self is the effective user of the process; where /proc is missing nothing else works either.
    std::fs::metadata("/proc/self").map_or((u32::MAX, u32::MAX), |own| (own.uid(), own.gid()))
}

/// Whether this process is root.
pub(crate) fn is_root() -> bool {
    ids().0 == 0
}

/// Whether there is a way to become root, perhaps with a password.
pub(crate) fn is_within_reach() -> bool {
    is_root() || programs::find("sudo").is_some()
}

/// Whether tests can run as root without asking anybody.
pub(crate) fn is_free() -> bool {
    is_root()
        || Command::new("sudo")
            .args(["-n", "-E", "true"])
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .is_ok_and(|status| status.success())
}

/// A command that runs as root with the given variables set. sudo drops variables, so `env` sets them behind it.
pub(crate) fn command(program: &str, variables: &[(String, String)]) -> Command {
    if is_root() {
        let mut command = Command::new(program);
        command.envs(variables.iter().cloned());
        return command;
    }
    let mut command = Command::new("sudo");
    if !variables.is_empty() {
        command.arg("env").args(variables.iter().map(|(name, value)| format!("{name}={value}")));
    }
    command.arg(program);
    command
}
