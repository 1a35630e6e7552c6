//! How the process ends: its exit codes, and the one line that says why.

use std::process::ExitCode;

use collect::MissingPrivilege;

use crate::access::AccessError;

/// Something failed.
pub const FAILURE: u8 = 1;
/// Bad usage or configuration.
pub const USAGE: u8 = 64;
/// A privilege is missing.
pub const PRIVILEGE: u8 = 77;

/// Prints the error with its causes on one line of standard error.
#[must_use]
#[expect(clippy::print_stderr, reason = "the last word of the process, whatever the log level")]
pub fn with(code: u8, error: &anyhow::Error) -> ExitCode {
    eprintln!("sockeye: {error:#}");
    ExitCode::from(code)
}

/// The exit code of an error of the running process.
#[must_use]
pub fn code_of(error: &anyhow::Error) -> u8 {
    if error.is::<MissingPrivilege>() {
        PRIVILEGE
    } else if error.is::<AccessError>() {
        USAGE
    } else {
        FAILURE
    }
}
