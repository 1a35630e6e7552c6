//! What passed, what failed and what did not run, counted by layer and told at the end.
//!
//! Not running is its own outcome: such a test is never among the passed ones, whatever its harness said.

use std::process::ExitStatus;

use super::layer::Layer;
use super::libtest::Tally;
use super::not_run::NotRun;
use crate::kernels::{Came, Outcome};
use crate::stop::Stop;

/// The counts of a layer.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Counts {
    passed: u64,
    failed: u64,
    not_run: u64,
}

/// The report of one command.
#[derive(Debug)]
pub(crate) struct Report {
    required: Vec<Layer>,
    rows: Vec<(String, Counts)>,
    failures: Vec<(String, String)>,
    not_run: Vec<NotRun>,
}

impl Report {
    /// An empty report; in the classes of `required`, not running is failing.
    pub(crate) fn new(required: &[Layer]) -> Self {
        Self { required: required.to_vec(), rows: Vec::new(), failures: Vec::new(), not_run: Vec::new() }
    }

    /// A check that is one step.
    pub(crate) fn step(&mut self, layer: Layer, name: &str, passed: bool) {
        if passed {
            self.counts(layer.name()).passed += 1;
        } else {
            self.fail(layer.name(), name);
        }
    }

    /// A check or a layer that could not run.
    pub(crate) fn not_run(&mut self, layer: Layer, name: &str, reason: &str) {
        let note = NotRun { class: layer.name().into(), test: name.into(), reason: reason.into() };
        self.note(layer, note);
    }

    /// One `cargo test`: what its harness counted, how it ended, and what its tests noted.
    pub(crate) fn tests(&mut self, layer: Layer, tally: &Tally, status: ExitStatus, notes: Vec<NotRun>) {
        let name = layer.name();
        // A test that notes and returns is "passed" for its harness. One whose class is required fails by itself, and
        // is counted by the harness; if it forgot to, it is counted here.
        let (required, optional): (Vec<NotRun>, Vec<NotRun>) =
            notes.into_iter().partition(|note| self.is_required(&note.class));
        let noted = optional.len() as u64;
        let forgot = (required.len() as u64).saturating_sub(tally.failed);
        let counts = self.counts(name);
        counts.passed += tally.passed.saturating_sub(noted + forgot);
        counts.failed += tally.failed + forgot;
        self.failures.extend(tally.failures.iter().map(|test| (name.to_owned(), test.clone())));
        for note in optional {
            if Layer::named(&note.class).is_none() {
                self.fail(name, &format!("{}: not run, in the unknown class `{}`", note.test, note.class));
            }
            self.note(layer, note);
        }
        self.counts(name).not_run += required.len() as u64;
        self.not_run.extend(required);
        for (test, reason) in &tally.ignored {
            let reason = if reason.is_empty() { "ignored" } else { reason };
            self.not_run(layer, test, reason);
        }
        if tally.failed == 0 && !status.success() {
            self.fail(name, &format!("cargo test named no failed test and ended with {status}"));
        } else if tally.results == 0 {
            self.fail(name, "no test program gave a result");
        }
    }

    /// A kernel of the matrix, which has a row of its own.
    pub(crate) fn kernel(&mut self, kernel: &str, came: &Came) {
        let name = format!("{} {kernel}", Layer::Matrix.name());
        let results = match came {
            Came::NotRun(reason) => {
                self.counts(&name).not_run += 1;
                let note = NotRun {
                    class: Layer::Matrix.name().into(),
                    test: kernel.into(),
                    reason: reason.clone(),
                };
                if self.is_required(&note.class) {
                    self.fail(&name, "not run");
                }
                self.not_run.push(note);
                return;
            }
            Came::Results(results) => results,
        };
        for ended in &results.ended {
            match &ended.outcome {
                Outcome::Passed => self.counts(&name).passed += 1,
                Outcome::Failed(_) => self.fail(&name, &ended.test),
                Outcome::NotRun(_, reason) => {
                    self.counts(&name).not_run += 1;
                    let (class, test) = (name.clone(), ended.test.clone());
                    self.not_run.push(NotRun { class, test, reason: reason.clone() });
                }
            }
        }
        for fault in &results.faults {
            self.fail(&name, fault);
        }
    }

    /// What ended the command before all layers were through.
    pub(crate) fn broken(&mut self, stop: &Stop) {
        match stop {
            Stop::Usage(message) | Stop::Failed(message) => self.fail("stopped", message),
            Stop::Silent => self.fail("stopped", "see above"),
        }
    }

    /// Prints everything, and says whether nothing failed. The last line is for machines.
    pub(crate) fn finish(&self) -> bool {
        println!("\n{:12} {:>7} {:>7} {:>7}", "layer", "passed", "failed", "not run");
        let mut rows = self.rows.clone();
        // A layer that cannot run is known before the others ran.
        rows.sort_by_key(|(name, _)| {
            let layer = name.split(' ').next().unwrap_or_default();
            Layer::ALL.iter().position(|known| known.name() == layer).unwrap_or(usize::MAX)
        });
        for (name, counts) in &rows {
            println!("{name:12} {:>7} {:>7} {:>7}", counts.passed, counts.failed, counts.not_run);
        }
        if !self.not_run.is_empty() {
            println!("\nnot run:");
        }
        for NotRun { class, test, reason } in &self.not_run {
            let verdict = if self.is_required(class) { ", and is required" } else { "" };
            println!("  {class:12} {test}: {reason}{verdict}");
        }
        if !self.failures.is_empty() {
            println!("\nfailed:");
        }
        for (name, what) in &self.failures {
            println!("  {name:12} {what}");
        }
        let sum = |field: fn(&Counts) -> u64| self.rows.iter().map(|(_, counts)| field(counts)).sum::<u64>();
        let (passed, failed) = (sum(|counts| counts.passed), sum(|counts| counts.failed));
        println!("\n{passed} passed, {failed} failed");
        failed == 0
    }

    fn counts(&mut self, name: &str) -> &mut Counts {
        let known = self.rows.iter().position(|(row, _)| *row == name);
        let index = known.unwrap_or_else(|| {
            self.rows.push((name.to_owned(), Counts::default()));
            self.rows.len() - 1
        });
        &mut self.rows[index].1
    }

    fn fail(&mut self, name: &str, what: &str) {
        self.counts(name).failed += 1;
        self.failures.push((name.to_owned(), what.to_owned()));
    }

    /// Something that no harness counted: in a required class it is counted as a failure here.
    fn note(&mut self, layer: Layer, note: NotRun) {
        self.counts(layer.name()).not_run += 1;
        if self.is_required(&note.class) {
            self.fail(layer.name(), &format!("{}: not run", note.test));
        }
        self.not_run.push(note);
    }

    fn is_required(&self, class: &str) -> bool {
        self.required.iter().any(|layer| layer.name() == class)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::kernels::{Ended, Results};
    use std::os::unix::process::ExitStatusExt;

    fn note(class: &str, test: &str) -> NotRun {
        NotRun { class: class.into(), test: test.into(), reason: "no BPF".into() }
    }

    fn ended(passed: u64, failed: u64) -> (Tally, ExitStatus) {
        let tally = Tally { results: 1, passed, failed, ..Tally::default() };
        (tally, ExitStatus::from_raw(if failed == 0 { 0 } else { 101 << 8 }))
    }

    fn counted(required: &[Layer], ended: &(Tally, ExitStatus), notes: &[NotRun]) -> (Counts, bool) {
        let mut report = Report::new(required);
        report.tests(Layer::Kernel, &ended.0, ended.1, notes.to_vec());
        (*report.counts("kernel"), report.finish())
    }

    #[test]
    fn a_test_that_did_not_run_did_not_pass() {
        let (counts, good) = counted(&[], &ended(3, 0), &[note("kernel", "a"), note("kernel", "b")]);
        assert_eq!(counts, Counts { passed: 1, failed: 0, not_run: 2 });
        assert!(good);
    }

    #[test]
    fn a_required_test_that_did_not_run_failed_once() {
        let required = [Layer::Kernel];
        // It failed by itself, as the protocol says.
        let (counts, good) = counted(&required, &ended(2, 1), &[note("kernel", "a")]);
        assert_eq!(counts, Counts { passed: 2, failed: 1, not_run: 1 });
        assert!(!good);
        // It only returned.
        let (counts, good) = counted(&required, &ended(3, 0), &[note("kernel", "a")]);
        assert_eq!(counts, Counts { passed: 2, failed: 1, not_run: 1 });
        assert!(!good);
    }

    #[test]
    fn a_whole_layer_that_did_not_run_fails_only_where_required() {
        for (required, good) in [(&[][..], true), (&[Layer::Unit], true), (&[Layer::Kernel], false)] {
            let mut report = Report::new(required);
            report.not_run(Layer::Kernel, "all", "needs root");
            assert_eq!(report.finish(), good);
        }
    }

    #[test]
    fn a_test_program_that_died_failed() {
        let died = (Tally { results: 1, passed: 4, ..Tally::default() }, ExitStatus::from_raw(11));
        let (counts, good) = counted(&[], &died, &[]);
        assert_eq!(counts, Counts { passed: 4, failed: 1, not_run: 0 });
        assert!(!good);
        let silent = (Tally::default(), ExitStatus::from_raw(0));
        assert!(!counted(&[], &silent, &[]).1);
    }

    #[test]
    fn an_unknown_class_is_a_failure() {
        assert!(!counted(&[], &ended(1, 0), &[note("kernle", "a")]).1);
        // One that needs another kernel is no failure, also where its layer is required.
        let (counts, good) = counted(&[Layer::Kernel], &ended(1, 0), &[note("matrix", "a")]);
        assert_eq!((counts, good), (Counts { passed: 0, failed: 0, not_run: 1 }, true));
    }

    #[test]
    fn a_kernel_that_cannot_be_had_is_no_failure_where_the_kernel_tests_are_required() {
        for (required, good) in [(Layer::Kernel, true), (Layer::Matrix, false)] {
            let mut report = Report::new(&[required]);
            report.kernel("5.10", &Came::NotRun("no network".into()));
            assert_eq!(report.counts("matrix 5.10").not_run, 1);
            assert_eq!(report.finish(), good);
        }
    }

    #[test]
    fn each_kernel_has_a_row_and_its_faults_are_failures() {
        let outcomes = [
            Outcome::Passed,
            Outcome::NotRun("kernel".into(), "no nft".into()),
            Outcome::Failed("101".into()),
        ];
        let ended = outcomes.map(|outcome| Ended { test: "a".into(), outcome, milliseconds: 1 });
        let mut report = Report::new(&[]);
        let results = |ended: &[Ended], faults: &[&str]| {
            let faults = faults.iter().map(|&fault| fault.to_owned()).collect();
            Came::Results(Box::new(Results { ended: ended.to_vec(), faults, ..Results::default() }))
        };
        report.kernel("6.1", &results(&ended[..2], &[]));
        assert_eq!(*report.counts("matrix 6.1"), Counts { passed: 1, failed: 0, not_run: 1 });
        assert!(report.finish());
        report.kernel("7", &results(&ended, &["the kernel complained during a"]));
        assert_eq!(*report.counts("matrix 7"), Counts { passed: 1, failed: 2, not_run: 1 });
        assert!(!report.finish());
    }

    #[test]
    fn an_ignored_test_did_not_run() {
        let ignored = vec![("slow".to_owned(), String::new())];
        let end = (Tally { results: 1, ignored, ..Tally::default() }, ExitStatus::from_raw(0));
        assert_eq!(counted(&[], &end, &[]).0, Counts { passed: 0, failed: 0, not_run: 1 });
        assert!(!counted(&[Layer::Kernel], &end, &[]).1);
    }
}
