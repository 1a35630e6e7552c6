//! `cargo x run`: build the daemon and become it, with a development configuration.
//!
//! This process is replaced by the daemon, so that the terminal's signals and the exit code are the daemon's own.
//! What is printed once it answers comes from `announce`, a process beside it.

use std::ffi::OsString;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};

use crate::announce;
use crate::install;
use crate::packages::Use;
use crate::stop::{Stop, failed};
use crate::superuser;
use crate::workspace::Workspace;

/// What building and trying the daemon needs.
const USES: [Use; 2] = [Use::Build, Use::Paste];

/// What the command line asks for.
#[derive(Debug, PartialEq, Eq)]
struct Options {
    release: bool,
    /// Further arguments of `sockeye run`.
    daemon: Vec<String>,
}

/// Runs the command; it returns only if the daemon could not be started.
pub(crate) fn run(arguments: &[String]) -> Result<(), Stop> {
    let options = Options::parse(arguments)?;
    let workspace = Workspace::locate()?;
    install::provide(&USES)?;
    build(&workspace, &options)?;

    let default = workspace.target.join("sockeye.sock");
    let configuration = workspace.target.join("sockeye.toml");
    write_configuration(&configuration, &default)?;
    if !superuser::is_root() {
        ask_for_password()?;
    }
    // Read after the default was written down: a path given on the command line wins over the file.
    let socket = options.socket()?.unwrap_or(default);
    // A socket that answers before the start belongs to another daemon; ours will refuse it and say so.
    if !announce::answers(&socket) {
        announce::in_background(&socket)?;
    }
    let binary = workspace.target.join(options.profile()).join("sockeye");
    println!(
        "Starting {} run --config {}; Ctrl-C stops it.",
        workspace.shown(&binary),
        workspace.shown(&configuration)
    );
    let error = superuser::command(&binary.to_string_lossy(), &own_variables())
        .args([OsString::from("run"), "--config".into(), configuration.into()])
        .args(&options.daemon)
        .exec();
    Err(Stop::Failed(format!("starting {}: {error}", binary.display())))
}

fn build(workspace: &Workspace, options: &Options) -> Result<(), Stop> {
    let mut cargo = workspace.cargo();
    cargo.args(["build", "--package", "sockeye"]);
    if options.release {
        cargo.arg("--release");
    }
    let status = cargo.status().map_err(failed("running cargo build"))?;
    if status.success() { Ok(()) } else { Err(Stop::Silent) }
}

fn write_configuration(file: &Path, socket: &Path) -> Result<(), Stop> {
    let (user, group) = superuser::ids();
    let text = configuration(socket, (user != 0).then_some(group));
    std::fs::write(file, text).map_err(failed(format!("writing {}", file.display())))
}

/// The development configuration. The socket belongs to root; `group` lets the person who started it in.
fn configuration(socket: &Path, group: Option<u32>) -> String {
    let path = socket.to_string_lossy().replace('\\', "\\\\").replace('"', "\\\"");
    let group = group.map(|id| format!("group = \"{id}\"\n")).unwrap_or_default();
    format!("# Written by `cargo x run` at each start.\n[listen]\nsocket = \"{path}\"\n{group}")
}

/// Lets sudo ask before the clock of the announcement runs.
fn ask_for_password() -> Result<(), Stop> {
    let status =
        superuser::command("true", &[]).status().map_err(failed("tracing needs root: running sudo"))?;
    if status.success() { Ok(()) } else { Err(Stop::Failed("tracing needs root, and sudo refused".into())) }
}

/// Variables of the person that reach the daemon also through sudo.
fn own_variables() -> Vec<(String, String)> {
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .filter(|(name, _)| name.starts_with("SOCKEYE_") || name == "RUST_BACKTRACE")
        .collect()
}

impl Options {
    fn parse(arguments: &[String]) -> Result<Self, Stop> {
        let mut release = false;
        let mut rest = arguments.iter();
        for argument in rest.by_ref() {
            match argument.as_str() {
                "--release" => release = true,
                "--" => break,
                other => return Err(Stop::Usage(format!("`run` does not know `{other}`"))),
            }
        }
        Ok(Self { release, daemon: rest.cloned().collect() })
    }

    fn profile(&self) -> &'static str {
        if self.release { "release" } else { "debug" }
    }

    /// The socket that the daemon's own arguments name, if they do.
    fn socket(&self) -> Result<Option<PathBuf>, Stop> {
        let mut arguments = self.daemon.iter();
        while let Some(argument) = arguments.next() {
            let given = match argument.strip_prefix("--socket=") {
                Some(path) => Some(path),
                None if argument == "--socket" => arguments.next().map(String::as_str),
                None => None,
            };
            if let Some(path) = given {
                return std::path::absolute(path).map(Some).map_err(failed("resolving --socket"));
            }
        }
        Ok(None)
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
    fn arguments_after_the_dashes_go_to_the_daemon() {
        let parsed = options(&["--release", "--", "--log-level", "debug"]).unwrap();
        assert_eq!(parsed, Options { release: true, daemon: vec!["--log-level".into(), "debug".into()] });
        assert!(matches!(options(&["--log-level"]), Err(Stop::Usage(_))));
    }

    #[test]
    fn the_announcement_follows_the_socket_of_the_command_line() {
        let given = |arguments: &[&str]| options(arguments).unwrap().socket().unwrap();
        assert_eq!(given(&["--", "--socket", "/tmp/s"]), Some("/tmp/s".into()));
        assert_eq!(given(&["--", "--log-level", "info", "--socket=/tmp/t"]), Some("/tmp/t".into()));
        assert_eq!(given(&["--release"]), None);
    }

    #[test]
    fn only_a_daemon_of_another_user_gets_a_group() {
        let socket = Path::new("/w/\"odd\"/sockeye.sock");
        let head =
            "# Written by `cargo x run` at each start.\n[listen]\nsocket = \"/w/\\\"odd\\\"/sockeye.sock\"\n";
        assert_eq!(configuration(socket, None), head);
        assert_eq!(configuration(socket, Some(1000)), format!("{head}group = \"1000\"\n"));
    }
}
