//! The not-run protocol: how a test that cannot run says so.
//!
//! Such a test appends one line `class<TAB>test name<TAB>reason` to the file named by one variable and returns; where
//! the other variable holds its class, it fails. This module knows the variables and the lines; it counts nothing.

/// Variable with the path of the file.
pub(crate) const FILE: &str = "SOCKEYE_NOT_RUN";
/// Variable with the classes, separated by commas, in which not running is failing.
pub(crate) const REQUIRE: &str = "SOCKEYE_REQUIRE";

/// One test, or a whole layer, that did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct NotRun {
    pub(crate) class: String,
    pub(crate) test: String,
    pub(crate) reason: String,
}

/// Reads the file. A test that gives several reasons counts once, with the first.
pub(crate) fn parse(text: &str) -> Vec<NotRun> {
    let mut notes: Vec<NotRun> = Vec::new();
    for line in text.lines().filter(|line| !line.is_empty()) {
        let note = parse_line(line);
        if !notes.iter().any(|known| known.class == note.class && known.test == note.test) {
            notes.push(note);
        }
    }
    notes
}

fn parse_line(line: &str) -> NotRun {
    let mut fields = line.splitn(3, '\t').map(str::to_owned);
    let mut field = || fields.next().unwrap_or_default();
    NotRun { class: field(), test: field(), reason: field() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_counts_once_whatever_it_says() {
        let notes =
            parse("kernel\tudp::one\tneeds root\nkernel\tudp::one\tneeds BPF\ne2e\tudp::one\tno\tnginx\n");
        let expected = [("kernel", "udp::one", "needs root"), ("e2e", "udp::one", "no\tnginx")];
        let found: Vec<_> =
            notes.iter().map(|n| (n.class.as_str(), n.test.as_str(), n.reason.as_str())).collect();
        assert_eq!(found, expected);
    }
}
