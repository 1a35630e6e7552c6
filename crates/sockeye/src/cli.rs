//! The command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::config::Backend;
use crate::exit;

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq, Subcommand)]
pub enum Command {
    /// Trace this host and answer requests until SIGINT or SIGTERM
    Run(Overrides),
    /// Say what this host lets the tracer do, and what is missing, without tracing
    Doctor(Doctor),
}

/// What the doctor is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Doctor {
    /// Answer in JSON
    #[arg(long)]
    pub json: bool,
    /// As for `run`, so that what is judged is what would run
    #[command(flatten)]
    pub overrides: Overrides,
}

/// Whether the kernel's types are used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Btf {
    /// If the kernel tells them
    Auto,
    /// Not even then
    None,
}

/// Flags that stand above the environment and the configuration file.
#[derive(Debug, Clone, Default, PartialEq, Eq, Args)]
pub struct Overrides {
    /// Path of the unix socket to listen on
    #[arg(long, value_name = "PATH")]
    pub socket: Option<PathBuf>,
    /// Configuration file; without this flag /etc/sockeye/sockeye.toml, if it exists
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where connections come from; otherwise what the configuration says
    #[arg(long, value_name = "BACKEND", value_enum)]
    pub backend: Option<Backend>,
    /// `none`: as on a kernel that does not tell its types (BTF)
    #[arg(long, value_name = "auto|none", value_enum)]
    pub btf: Option<Btf>,
    /// off, error, warn, info, debug or trace
    #[arg(long, value_name = "LEVEL")]
    pub log_level: Option<String>,
}

#[derive(Debug, Parser)]
#[command(
    name = "sockeye",
    version = concat!(env!("CARGO_PKG_VERSION")),
    about = "A network tracer for Linux hosts: every TCP connection by process, served over HTTP",
    after_help = "Every configuration key can be set in the environment: SOCKEYE_SECTION__KEY=value.\n\
                  Exit codes: 0 stopped, or tracing is possible; 1 failure, or it is not; 64 bad usage or configuration; \
                  77 missing privilege."
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

/// There is nothing to run: help, the version, or a usage error.
#[derive(Debug)]
pub struct Answer(clap::Error);

impl Answer {
    /// Prints it: help and version on standard output with exit code 0, errors on standard error with 64.
    #[must_use]
    pub fn print(&self) -> ExitCode {
        let failed = self.0.use_stderr();
        // When nobody reads it, there is nobody to tell.
        let _ = self.0.print();
        if failed { ExitCode::from(exit::USAGE) } else { ExitCode::SUCCESS }
    }
}

/// Parses the arguments, the program's own name included.
///
/// # Errors
/// [`Answer`] when there is nothing to run.
pub fn parse(arguments: impl IntoIterator<Item = OsString>) -> Result<Command, Answer> {
    Arguments::try_parse_from(arguments).map(|arguments| arguments.command).map_err(Answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(line: &str) -> Result<Command, Answer> {
        parse(line.split(' ').map(OsString::from))
    }

    #[test]
    fn flags_reach_the_overrides() {
        let Ok(Command::Run(overrides)) = parsed("sockeye run --socket /a --config b --log-level debug")
        else {
            panic!("a good line parses")
        };
        assert_eq!(overrides.socket, Some("/a".into()));
        assert_eq!(overrides.config, Some("b".into()));
        assert_eq!(overrides.log_level.as_deref(), Some("debug"));
    }

    #[test]
    fn the_doctor_takes_the_flags_of_run_and_its_own() {
        let Ok(Command::Doctor(doctor)) = parsed("sockeye doctor --json --config b") else {
            panic!("a good line parses")
        };
        assert!(doctor.json);
        assert_eq!(doctor.overrides.config, Some("b".into()));
    }

    #[test]
    fn bad_usage_is_an_error_and_the_version_is_not() {
        assert!(parsed("sockeye run --sokcet /a").is_err_and(|answer| answer.0.use_stderr()));
        assert!(parsed("sockeye").is_err_and(|answer| answer.0.use_stderr()));
        assert!(parsed("sockeye --version").is_err_and(|answer| !answer.0.use_stderr()));
    }
}
