//! The layers that are tests: which cargo targets belong to each, and running them with the not-run protocol.
//!
//! Everything is compiled before the first test runs, so that a compile failure is seen at once and ends the command.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use super::announce;
use super::layer::Layer;
use super::libtest;
use super::not_run::{self, NotRun};
use super::options::Options;
use super::report::Report;
use crate::python;
use crate::stop::{Stop, failed};
use crate::superuser;
use crate::workspace::Workspace;

/// The cargo side of the tests.
#[derive(Debug)]
pub(crate) struct CargoTests<'a> {
    workspace: &'a Workspace,
    options: &'a Options,
    /// Names of the integration tests of all crates.
    targets: BTreeSet<String>,
    /// Where tests write that they did not run.
    notes: PathBuf,
}

impl<'a> CargoTests<'a> {
    /// Looks up the integration tests.
    pub(crate) fn new(workspace: &'a Workspace, options: &'a Options) -> Result<Self, Stop> {
        let targets = targets(&workspace.files()?);
        Ok(Self { workspace, options, targets, notes: workspace.target.join("not-run.tsv") })
    }

    /// Compiles and runs the layers.
    pub(crate) fn run(&self, layers: &[Layer], report: &mut Report) -> Result<(), Stop> {
        for &layer in layers {
            for selection in self.selections(layer).into_iter().filter(|selection| !is_doc(selection)) {
                self.compile(layer, &selection)?;
            }
        }
        for &layer in layers {
            let selections = self.selections(layer);
            if selections.is_empty() {
                report.not_run(layer, "all", "there are no tests of this layer");
            } else if layer.needs_root() && !superuser::is_free() {
                report.not_run(layer, "all", "needs root, or sudo that does not ask for a password");
            } else {
                for selection in selections {
                    self.execute(layer, &selection, report)?;
                }
            }
        }
        Ok(())
    }

    /// The arguments of each `cargo test` that together are the layer.
    fn selections(&self, layer: Layer) -> Vec<Vec<String>> {
        if layer == Layer::Unit {
            return vec![words(&["--lib", "--bins"]), words(&["--doc"])];
        }
        let own = self.targets.iter().filter(|target| Layer::of_target(target) == layer);
        let selection: Vec<String> = own.flat_map(|target| ["--test".to_owned(), target.clone()]).collect();
        if selection.is_empty() { Vec::new() } else { vec![selection] }
    }

    /// Always the whole workspace: a part of it would be built with other features, that is, again.
    fn cargo_test(&self, selection: &[String]) -> Command {
        let mut cargo = self.workspace.cargo();
        cargo.args(["test", "--workspace"]).args(selection);
        cargo
    }

    fn compile(&self, layer: Layer, selection: &[String]) -> Result<(), Stop> {
        announce(layer, &format!("compiling {}", selection.join(" ")));
        let status =
            self.cargo_test(selection).arg("--no-run").status().map_err(failed("running cargo test"))?;
        if status.success() {
            return Ok(());
        }
        Err(Stop::Failed(format!("the tests of {} do not compile", layer.name())))
    }

    fn execute(&self, layer: Layer, selection: &[String], report: &mut Report) -> Result<(), Stop> {
        announce(layer, &format!("cargo test --workspace {}", selection.join(" ")));
        std::fs::write(&self.notes, "").map_err(failed(format!("writing {}", self.notes.display())))?;
        let mut cargo = self.cargo_test(selection);
        cargo.arg("--no-fail-fast");
        if layer.needs_root() && !superuser::is_root() {
            cargo.args(["--config", superuser::RUNNER]);
        }
        cargo.arg("--").args(&self.options.filters);
        if layer.needs_root() {
            cargo.arg("--test-threads=1");
        }
        let required: Vec<&str> = self.options.require.iter().map(|layer| layer.name()).collect();
        cargo.env(not_run::FILE, &self.notes).env(not_run::REQUIRE, required.join(","));
        if layer == Layer::EndToEnd
            && let Err(reason) = python::provide(self.workspace)
        {
            println!("{reason}");
            cargo.env(python::MISSING, reason);
        }
        let (tally, status) =
            libtest::stream(&mut cargo, &mut io::stdout()).map_err(failed("running cargo test"))?;
        report.tests(layer, &tally, status, self.noted()?);
        Ok(())
    }

    fn noted(&self) -> Result<Vec<NotRun>, Stop> {
        let text = std::fs::read_to_string(&self.notes)
            .map_err(failed(format!("reading {}", self.notes.display())))?;
        Ok(not_run::parse(&text))
    }
}

fn is_doc(selection: &[String]) -> bool {
    // Examples in documentation have no step that only compiles.
    selection.iter().any(|word| word == "--doc")
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|&word| word.to_owned()).collect()
}

/// The names of the integration tests: `crates/*/tests/NAME.rs` and `crates/*/tests/NAME/main.rs`.
fn targets(files: &[String]) -> BTreeSet<String> {
    files.iter().filter_map(|file| target(Path::new(file))).collect()
}

fn target(file: &Path) -> Option<String> {
    let parts: Vec<&str> = file.iter().filter_map(|part| part.to_str()).collect();
    match parts[..] {
        ["crates", _, "tests", name, "main.rs"] => Some(name.to_owned()),
        ["crates", _, "tests", name] => name.strip_suffix(".rs").map(str::to_owned),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn integration_tests_are_files_or_folders_with_a_main() {
        let files = [
            "crates/sockeye/tests/kernel/main.rs",
            "crates/sockeye/tests/kernel/bytes.rs",
            "crates/deltas/tests/property_clients.rs",
            "crates/encode/tests/golden.json",
            "crates/encode/src/tests.rs",
        ];
        let found = targets(&files.map(str::to_owned));
        assert_eq!(found.into_iter().collect::<Vec<_>>(), ["kernel", "property_clients"]);
    }
}
