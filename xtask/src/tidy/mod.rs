//! The rules of the repository that no other tool checks.
//!
//! Each rule is a function over text in one of the modules; only this file reads the work tree.

mod dependencies;
mod links;
mod manifest;
mod sources;

use std::fmt;

use crate::stop::{Stop, failed};
use crate::workspace::Workspace;

use manifest::Manifest;

/// A place that breaks a rule.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Violation {
    file: String,
    line: usize,
    rule: String,
}

impl Violation {
    fn new(file: &str, line: usize, rule: impl Into<String>) -> Self {
        Self { file: file.to_owned(), line, rule: rule.into() }
    }
}

impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.file, self.line, self.rule)
    }
}

/// Endings of the files that people write; everything else is data.
const WRITTEN: [&str; 7] = [".rs", ".c", ".h", ".md", ".toml", ".sh", ".proto"];

/// Checks every file that git tracks or would track.
pub(crate) fn check(workspace: &Workspace) -> Result<Vec<Violation>, Stop> {
    let files = workspace.files()?;
    let exists = |path: &str| workspace.root.join(path).exists();
    let mut violations = Vec::new();
    for file in files.iter().filter(|file| WRITTEN.iter().any(|ending| file.ends_with(ending))) {
        let text =
            std::fs::read_to_string(workspace.root.join(file)).map_err(failed(format!("reading {file}")))?;
        violations.extend(sources::check(file, &text));
        if file.ends_with(".md") {
            violations.extend(links::check(file, &text, &exists));
        }
        if file.ends_with("Cargo.toml") {
            violations.extend(dependencies::check(file, &Manifest::parse(&text)));
        }
    }
    Ok(violations)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_violation_is_printed_as_a_place_that_editors_open() {
        let violation = Violation::new("crates/encode/src/lib.rs", 7, "a rule");
        assert_eq!(violation.to_string(), "crates/encode/src/lib.rs:7: a rule");
    }
}
