//! What one run on a kernel came to: the outcome of each test, how each capability is served, and what went wrong.
//!
//! It judges what records say; `cargo x test`'s report counts it.

use std::fmt::Write as _;

use super::records::{self, Outcome, Record};

/// A way in which a capability is served.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Served {
    pub(crate) capability: String,
    /// The hook; empty where nothing serves it.
    pub(crate) hook: String,
    /// What is missing and why; empty where nothing is.
    pub(crate) absent: String,
}

/// A test and how it ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) test: String,
    pub(crate) outcome: Outcome,
    pub(crate) milliseconds: u64,
}

/// What is known of a run.
#[derive(Debug, Default)]
pub(crate) struct Results {
    /// The release of the kernel, as `uname -r` tells it.
    pub(crate) release: String,
    pub(crate) served: Vec<Served>,
    pub(crate) ended: Vec<Ended>,
    /// The test that runs.
    running: Option<String>,
    /// What failed tests wrote at last, and what the kernel complained of, with the test in front.
    said: Vec<(String, String)>,
    /// What is wrong beside failed tests.
    pub(crate) faults: Vec<String>,
    records: u64,
    complete: bool,
}

impl Results {
    /// Takes a line of a machine, and says what a person wants to see of it.
    pub(crate) fn take(&mut self, line: &[u8]) -> Option<String> {
        let record = match records::read(line) {
            Ok(record) => record,
            Err(fault) => {
                self.faults.push(fault.clone());
                return Some(fault);
            }
        };
        self.records += 1;
        match record {
            Record::Kernel { release } => {
                let shown = format!("Linux {release} is up");
                self.release = release;
                return Some(shown);
            }
            Record::Capability { name, hook, absent } => {
                self.served.push(Served { capability: name, hook, absent });
            }
            Record::Started { test } => self.running = Some(test),
            Record::Ended { test, outcome, milliseconds } => {
                self.running = None;
                let shown = shown(&test, &outcome, milliseconds);
                self.ended.push(Ended { test, outcome, milliseconds });
                return Some(shown);
            }
            Record::Output { test, line } => self.said.push((test, line)),
            Record::Message { test, line } => {
                let fault = format!("the kernel complained during {test}");
                if !self.faults.contains(&fault) {
                    self.faults.push(fault);
                }
                self.said.push((test, line));
            }
            Record::End { records } => {
                self.complete = records + 1 == self.records;
                if !self.complete {
                    self.faults.push(format!("of {records} records {} came", self.records - 1));
                }
            }
        }
        None
    }

    /// The machine is off, or what ended it.
    pub(crate) fn finish(&mut self, end: Result<(), String>) {
        let end = end.err().unwrap_or_else(|| "the machine ended before all was told".into());
        if !self.complete {
            let during = self.running.as_ref().map_or_else(String::new, |test| format!(", during {test}"));
            self.faults.push(format!("{end}{during}"));
        } else if self.tests().count() == 0 && self.starts() {
            self.faults.push("no test has the filter in its name".into());
        }
    }

    /// The tests, without the probe that comes before them.
    pub(crate) fn tests(&self) -> impl Iterator<Item = &Ended> {
        self.ended.iter().filter(|ended| ended.test != super::PROBE || ended.outcome != Outcome::Passed)
    }

    /// Whether the tracer starts on this kernel at all.
    fn starts(&self) -> bool {
        self.ended.iter().any(|ended| ended.test == super::PROBE && ended.outcome == Outcome::Passed)
    }

    /// What failed tests wrote, and what the kernel complained of.
    pub(crate) fn said(&self) -> String {
        let mut text = String::new();
        let mut current = "";
        for (test, line) in &self.said {
            if test != current {
                writeln!(text, "---- {test}").expect("a string takes everything");
                current = test;
            }
            writeln!(text, "{line}").expect("a string takes everything");
        }
        text
    }
}

fn shown(test: &str, outcome: &Outcome, milliseconds: u64) -> String {
    let word = match outcome {
        Outcome::Passed => "ok".to_owned(),
        Outcome::Failed(code) => format!("FAILED ({code})"),
        Outcome::NotRun(_, reason) => format!("not run: {reason}"),
    };
    format!("test {test} ... {word} ({}.{} s)", milliseconds / 1000, milliseconds % 1000 / 100)
}
