//! Reading the output of Rust's test harness while it passes through to the terminal.
//!
//! It counts what the harness says and judges nothing.

use std::io::{self, ErrorKind, Read, Write};
use std::process::{Command, ExitStatus, Stdio};

/// What the harness said, over all test programs of one command.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Tally {
    /// How many test programs gave a result.
    pub(crate) results: u64,
    pub(crate) passed: u64,
    pub(crate) failed: u64,
    /// Names of failed tests, as far as they could be read.
    pub(crate) failures: Vec<String>,
    /// Names of ignored tests, with the reason where there is one.
    pub(crate) ignored: Vec<(String, String)>,
}

/// Runs the command and counts; its output is shown as it comes.
pub(crate) fn stream(command: &mut Command, terminal: &mut impl Write) -> io::Result<(Tally, ExitStatus)> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut output = child.stdout.take().expect("the output was made a pipe above");
    let mut tally = Tally::default();
    let mut line = Vec::new();
    let mut shown = 0;
    let mut chunk = [0; 8192];
    loop {
        let length = match output.read(&mut chunk) {
            Ok(0) => break,
            Ok(length) => length,
            Err(error) if error.kind() == ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        for &byte in &chunk[..length] {
            line.push(byte);
            if byte == b'\n' {
                terminal.write_all(&line[shown..])?;
                tally.read(String::from_utf8_lossy(&line).trim_end());
                line.clear();
                shown = 0;
            }
        }
        // Of unfinished lines only the name of a running test is shown, so that a test that hangs is seen. Any other
        // could be torn by what cargo itself writes meanwhile.
        if line.ends_with(b" ... ") {
            terminal.write_all(&line[shown..])?;
            shown = line.len();
        }
        terminal.flush()?;
    }
    terminal.write_all(&line[shown..])?;
    tally.read(&String::from_utf8_lossy(&line));
    Ok((tally, child.wait()?))
}

impl Tally {
    /// Takes one line of output.
    fn read(&mut self, line: &str) {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.results += 1;
            self.passed += count(result, "passed");
            self.failed += count(result, "failed");
        } else if let Some((name, outcome)) =
            line.strip_prefix("test ").and_then(|rest| rest.split_once(" ... "))
        {
            if outcome == "FAILED" {
                self.failures.push(name.to_owned());
            } else if let Some(reason) = outcome.strip_prefix("ignored") {
                self.ignored.push((name.to_owned(), reason.trim_start_matches(", ").to_owned()));
            }
        }
    }
}

/// The number before `what` in `ok. 3 passed; 0 failed; ...`.
fn count(result: &str, what: &str) -> u64 {
    let words: Vec<&str> = result.split([' ', ';']).filter(|word| !word.is_empty()).collect();
    let found = words.windows(2).find(|pair| pair[1] == what);
    found.and_then(|pair| pair[0].parse().ok()).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tally(output: &str) -> Tally {
        let mut tally = Tally::default();
        output.lines().for_each(|line| tally.read(line));
        tally
    }

    #[test]
    fn results_of_several_programs_add_up() {
        let found = tally(
            "running 3 tests\ntest a::one ... ok\ntest a::two ... FAILED\ntest a::three ... ignored, too slow\n\
             test result: FAILED. 1 passed; 1 failed; 1 ignored; 0 measured; 7 filtered out; finished in 0.00s\n\
             test result: ok. 12 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 0.00s\n",
        );
        assert_eq!((found.results, found.passed, found.failed), (2, 13, 1));
        assert_eq!(found.failures, ["a::two"]);
        assert_eq!(found.ignored, [("a::three".to_owned(), "too slow".to_owned())]);
    }

    #[test]
    fn lines_that_only_speak_of_results_do_not_count() {
        assert_eq!(
            tally("  left: \"test result: ok. 3 passed; 0 failed\"\nrunning 0 tests\n"),
            Tally::default()
        );
    }

    #[test]
    fn output_without_a_last_line_feed_is_read() {
        let mut command = Command::new("printf");
        command.arg("test result: ok. 2 passed; 0 failed;");
        let mut shown = Vec::new();
        let (found, status) = stream(&mut command, &mut shown).unwrap();
        assert!(status.success());
        assert_eq!(found.passed, 2);
        assert_eq!(shown, b"test result: ok. 2 passed; 0 failed;");
    }
}
