//! The results that are checked in, one file for each kernel below `docs/kernels/`: reading and writing them, and what
//! is another in a run.
//!
//! The page that is made of them is for `page`.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use super::records::Outcome;
use super::results::{Results, Served};

/// Where they are, below the root.
pub(crate) const PLACE: &str = "docs/kernels";
const HEAD: &str =
    "# Written by `cargo x test --accept`: what runs on this kernel found. docs/kernels.md shows it.\n";

/// What is known of a kernel.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Known {
    /// Its release at the last run that was accepted.
    pub(crate) release: String,
    /// How each capability is served, in the tracer's order.
    pub(crate) served: Vec<Served>,
    /// Tests that do not run, and why.
    pub(crate) not_run: BTreeSet<(String, String)>,
}

impl Known {
    /// What a run found.
    pub(crate) fn of(results: &Results) -> Self {
        let reason = |outcome: &Outcome| match outcome {
            Outcome::NotRun(_, reason) => Some(reason.clone()),
            Outcome::Passed | Outcome::Failed(_) => None,
        };
        let not_run =
            results.ended.iter().filter_map(|ended| Some((ended.test.clone(), reason(&ended.outcome)?)));
        Self { release: results.release.clone(), served: results.served.clone(), not_run: not_run.collect() }
    }

    /// Reads a file.
    ///
    /// # Errors
    /// The line that means nothing.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut known = Self::default();
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let fields: Vec<&str> = line.split('\t').collect();
            match fields[..] {
                ["kernel", release] => release.clone_into(&mut known.release),
                ["capability", capability, hook, absent] => {
                    let [capability, hook, absent] = [capability, hook, absent].map(str::to_owned);
                    known.served.push(Served { capability, hook, absent });
                }
                ["not run", test, reason] => {
                    known.not_run.insert((test.to_owned(), reason.to_owned()));
                }
                _ => return Err(format!("this line means nothing: {line:?}")),
            }
        }
        Ok(known)
    }

    /// The text of the file.
    pub(crate) fn text(&self) -> String {
        let mut text = format!("{HEAD}kernel\t{}\n", self.release);
        for Served { capability, hook, absent } in &self.served {
            writeln!(text, "capability\t{capability}\t{hook}\t{absent}").expect("a string takes everything");
        }
        for (test, reason) in &self.not_run {
            writeln!(text, "not run\t{test}\t{reason}").expect("a string takes everything");
        }
        text
    }

    /// The same with what a run found; of tests that it did not hold the old stays.
    pub(crate) fn with(&self, run: &Results) -> Self {
        let mut new = Self::of(run);
        let held: BTreeSet<&str> = run.ended.iter().map(|ended| ended.test.as_str()).collect();
        new.not_run.extend(self.not_run.iter().filter(|(test, _)| !held.contains(test.as_str())).cloned());
        new
    }

    /// What a run found that is not known, or known otherwise; which release it was does not matter.
    pub(crate) fn differences(&self, run: &Results) -> Vec<String> {
        let new = self.with(run);
        let mut differences = Vec::new();
        let served = |known: &Self| -> BTreeSet<Served> { known.served.iter().cloned().collect() };
        for (sign, ours, theirs) in [("-", self, &new), ("+", &new, self)] {
            let lines = served(ours).difference(&served(theirs)).cloned().collect::<Vec<_>>();
            for Served { capability, hook, absent } in lines {
                differences.push(format!("{sign} capability {capability}: {hook:?} {absent:?}"));
            }
            for (test, reason) in ours.not_run.difference(&theirs.not_run) {
                differences.push(format!("{sign} not run {test}: {reason}"));
            }
        }
        differences
    }
}

/// Reads all files: the name of the kernel and what is known of it, oldest kernel first.
///
/// # Errors
/// A file that cannot be read, and why.
pub(crate) fn all(root: &Path) -> Result<Vec<(String, Known)>, String> {
    let place = root.join(PLACE);
    let failed = |error: std::io::Error| format!("reading {}: {error}", place.display());
    let mut names: Vec<String> = std::fs::read_dir(&place)
        .map_err(failed)?
        .filter_map(|entry| {
            entry.ok()?.file_name().into_string().ok()?.strip_suffix(".tsv").map(str::to_owned)
        })
        .collect();
    names.sort_by_key(|name| name.split('.').map(|part| part.parse().unwrap_or(0)).collect::<Vec<u32>>());
    names.into_iter().map(|name| read(root, &name).map(|known| (name, known.unwrap_or_default()))).collect()
}

/// What is known of the kernel of that name, if anything is.
///
/// # Errors
/// A file that cannot be read, and why.
pub(crate) fn read(root: &Path, name: &str) -> Result<Option<Known>, String> {
    let file = file(root, name);
    match std::fs::read_to_string(&file) {
        Ok(text) => Known::parse(&text).map(Some).map_err(|problem| format!("{}: {problem}", file.display())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(format!("reading {}: {error}", file.display())),
    }
}

/// Writes the file of the kernel of that name.
///
/// # Errors
/// Why it could not be written.
pub(crate) fn write(root: &Path, name: &str, known: &Known) -> Result<(), String> {
    let file = file(root, name);
    let failed = |error: std::io::Error| format!("writing {}: {error}", file.display());
    std::fs::create_dir_all(root.join(PLACE)).map_err(failed)?;
    std::fs::write(&file, known.text()).map_err(failed)
}

fn file(root: &Path, name: &str) -> PathBuf {
    root.join(PLACE).join(format!("{name}.tsv"))
}

#[cfg(test)]
mod tests {
    use super::super::results::Ended;
    use super::*;

    fn served(hook: &str) -> Vec<Served> {
        let absent = if hook.is_empty() { "no names" } else { "" };
        vec![Served { capability: "dns".into(), hook: hook.into(), absent: absent.into() }]
    }

    fn known(hook: &str, not_run: &[(&str, &str)]) -> Known {
        let not_run = not_run.iter().map(|(test, reason)| ((*test).to_owned(), (*reason).to_owned()));
        Known { release: "6.1.0-1".into(), served: served(hook), not_run: not_run.collect() }
    }

    fn run(hook: &str, tests: &[(&str, Option<&str>)]) -> Results {
        let outcome = |reason: Option<&str>| {
            reason.map_or(Outcome::Passed, |why| Outcome::NotRun("kernel".into(), why.into()))
        };
        let ended = tests.iter().map(|(test, reason)| Ended {
            test: (*test).into(),
            outcome: outcome(*reason),
            milliseconds: 1,
        });
        Results {
            release: "6.1.0-2".into(),
            served: served(hook),
            ended: ended.collect(),
            ..Results::default()
        }
    }

    #[test]
    fn what_is_written_is_read_again() {
        for known in
            [known("fentry/a, fentry/b", &[("a_test", "no nft"), ("b_test", "no NFS")]), known("", &[])]
        {
            assert_eq!(Known::parse(&known.text()), Ok(known));
        }
        assert!(Known::parse("capability\tudp\n").is_err());
    }

    #[test]
    fn a_capability_that_is_served_otherwise_and_a_test_that_runs_otherwise_are_differences() {
        let known = known("fentry/a", &[("a", "no nft")]);
        assert_eq!(known.differences(&run("fentry/a", &[("a", Some("no nft")), ("b", None)])), [""; 0]);
        assert_eq!(known.differences(&run("", &[("a", Some("no nft"))])).len(), 2);
        assert_eq!(known.differences(&run("fentry/a", &[("a", None)])), ["- not run a: no nft"]);
        let another = run("fentry/a", &[("a", Some("no nft")), ("b", Some("no NFS"))]);
        assert_eq!(known.differences(&another), ["+ not run b: no NFS"]);
    }

    #[test]
    fn of_tests_that_a_filter_left_out_nothing_is_forgotten() {
        let known = known("fentry/a", &[("a", "no nft"), ("b", "no NFS")]);
        let run = run("fentry/a", &[("b", None), ("c", Some("no tc"))]);
        let new = known.with(&run);
        let tests: Vec<&str> = new.not_run.iter().map(|(test, _)| test.as_str()).collect();
        assert_eq!((tests, new.release.as_str()), (vec!["a", "c"], "6.1.0-2"));
    }
}
