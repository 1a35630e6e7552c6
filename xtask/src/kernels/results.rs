//! What one run on a kernel came to: the outcome of each test, how each capability is served, and what went wrong.
//!
//! It judges what records say; `cargo x test`'s report counts it.

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
    /// The tests in their order, after the probe.
    pub(crate) ended: Vec<Ended>,
    /// The test that runs.
    pub(crate) running: Option<String>,
    /// What is wrong beside failed tests.
    pub(crate) faults: Vec<String>,
    pub(crate) records: u64,
    pub(crate) complete: bool,
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
            Record::Output { line, .. } => return Some(format!("    {line}")),
            Record::Message { test, line } => {
                let fault = format!("the kernel complained during {test}");
                if !self.faults.contains(&fault) {
                    self.faults.push(fault);
                }
                return Some(format!("    {line}"));
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
        } else if self.ended.len() == 1 && self.starts() {
            self.faults.push("no test has the filter in its name".into());
        }
    }

    /// Whether the tracer starts on this kernel at all.
    fn starts(&self) -> bool {
        self.ended.iter().any(|ended| ended.test == super::PROBE && ended.outcome == Outcome::Passed)
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

#[cfg(test)]
mod tests {
    use super::super::records::framed;
    use super::*;

    /// The results of a machine that told these records and ended so.
    fn results(records: &[&str], end: Result<(), String>) -> Results {
        let mut results = Results::default();
        for record in records {
            results.take(&framed(record));
        }
        results.finish(end);
        results
    }

    const WHOLE: [&str; 9] = [
        "kernel\t6.12.1\t4.00",
        "started\tsupport",
        "passed\tsupport\t4.00\t5.00",
        "capability\tudp\t\tnothing is known",
        "started\ta",
        "failed\ta\t5.00\t6.00\t101",
        "output\ta\tpanicked",
        "started\tb",
        "not-run\tb\t6.00\t6.00\tkernel\tb\tno nft",
    ];

    #[test]
    fn a_whole_run_has_no_fault_whatever_its_tests_came_to() {
        let results = results(&[&WHOLE[..], &["end\t9\t7.00"]].concat(), Ok(()));
        assert_eq!(results.faults, [""; 0]);
        assert_eq!((results.ended.len(), results.served.len()), (3, 1));
    }

    #[test]
    fn a_run_of_which_a_record_is_missing_or_the_end_is_a_fault() {
        let end = &["end\t9\t7.00"][..];
        for place in 0..WHOLE.len() {
            let (before, after) = (&WHOLE[..place], &WHOLE[place + 1..]);
            let fault = &results(&[before, after, end].concat(), Ok(())).faults[0];
            assert_eq!(fault, "of 9 records 8 came", "without record {place}");
        }
        assert_eq!(results(&WHOLE, Ok(())).faults, ["the machine ended before all was told"]);
        let died = results(&WHOLE[..5], Err("qemu ended".into()));
        assert_eq!(died.faults, ["qemu ended, during a"]);
    }

    #[test]
    fn a_complaint_of_the_kernel_and_a_filter_that_finds_nothing_are_faults() {
        let complained = [&WHOLE[..], &["message\tb\tWARNING: x", "message\tb\tmore", "end\t11\t7.00"]];
        assert_eq!(results(&complained.concat(), Ok(())).faults, ["the kernel complained during b"]);
        let nothing = [&WHOLE[..4], &["end\t4\t7.00"]];
        assert_eq!(results(&nothing.concat(), Ok(())).faults, ["no test has the filter in its name"]);
    }
}
