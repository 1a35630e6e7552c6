//! The layers that are one check each and not tests: format, clippy, tidy.
//!
//! The rules of tidy themselves are in the module `tidy`.

use std::process::{Command, Stdio};

use super::announce;
use super::layer::Layer;
use super::report::Report;
use crate::packages;
use crate::stop::{Stop, failed};
use crate::tidy;
use crate::workspace::Workspace;

/// Format of the Rust and of the C sources.
pub(crate) fn format(workspace: &Workspace, report: &mut Report) -> Result<(), Stop> {
    if has_component(workspace, "fmt") {
        announce(Layer::Format, "cargo fmt --all --check");
        report.step(
            Layer::Format,
            "cargo fmt",
            succeeds(workspace.cargo().args(["fmt", "--all", "--check"]))?,
        );
        // A workspace of its own.
        let arguments = ["fmt", "--manifest-path", "fuzz/Cargo.toml", "--check"];
        announce(Layer::Format, &format!("cargo {}", arguments.join(" ")));
        report.step(Layer::Format, "cargo fmt of fuzz", succeeds(workspace.cargo().args(arguments))?);
    } else {
        report.not_run(Layer::Format, "cargo fmt", "not installed: rustup component add rustfmt");
    }
    let mut sources = workspace.files()?;
    sources.retain(|file| file.ends_with(".c") || file.ends_with(".h"));
    if sources.is_empty() {
        return Ok(());
    }
    let Some(formatter) = packages::clang_program("clang-format") else {
        report.not_run(Layer::Format, "clang-format", "not installed");
        return Ok(());
    };
    announce(Layer::Format, &format!("{} --dry-run -Werror *.c *.h", formatter.display()));
    let mut command = Command::new(formatter);
    command.current_dir(&workspace.root).args(["--dry-run", "-Werror"]).args(sources);
    report.step(Layer::Format, "clang-format", succeeds(&mut command)?);
    Ok(())
}

/// Clippy with warnings as errors.
pub(crate) fn clippy(workspace: &Workspace, report: &mut Report) -> Result<(), Stop> {
    if !has_component(workspace, "clippy") {
        report.not_run(Layer::Clippy, "clippy", "not installed: rustup component add clippy");
        return Ok(());
    }
    let arguments = ["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"];
    announce(Layer::Clippy, &format!("cargo {}", arguments.join(" ")));
    report.step(Layer::Clippy, "clippy", succeeds(workspace.cargo().args(arguments))?);
    Ok(())
}

/// The rules that no other tool checks.
pub(crate) fn tidy(workspace: &Workspace, report: &mut Report) -> Result<(), Stop> {
    announce(Layer::Tidy, "the rules that no other tool checks");
    let violations = tidy::check(workspace)?;
    for violation in &violations {
        println!("{violation}");
    }
    report.step(Layer::Tidy, "tidy", violations.is_empty());
    Ok(())
}

fn succeeds(command: &mut Command) -> Result<bool, Stop> {
    let name = command.get_program().to_string_lossy().into_owned();
    let status = command.status().map_err(failed(format!("running {name}")))?;
    Ok(status.success())
}

/// Whether the toolchain has the component behind `cargo NAME`; a minimal one has not.
fn has_component(workspace: &Workspace, name: &str) -> bool {
    let mut command = workspace.cargo();
    command.args([name, "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}
