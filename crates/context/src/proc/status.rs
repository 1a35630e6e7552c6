//! `/proc/<pid>/stat` and `status`, taken apart. The kernel writes them, but the process has a part in their text.

/// Lines of `/proc/<pid>/status`, as far as they are there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Status {
    /// Its parent.
    pub(crate) parent_pid: Option<u32>,
    /// Its id in the innermost pid namespace that it is in.
    pub(crate) namespace_pid: Option<u32>,
    /// The real user id.
    pub(crate) uid: Option<u32>,
}

impl Status {
    pub(crate) fn parse(status: &[u8]) -> Self {
        // The name of the task stands in the first line, where the kernel leaves no line feed in it.
        let value = |name: &str| {
            let mut lines = status.split(|byte| *byte == b'\n');
            lines
                .find_map(|line| line.strip_prefix(name.as_bytes()))
                .and_then(|line| str::from_utf8(line).ok())
        };
        let number = |text: Option<&str>| text?.parse().ok();
        Self {
            parent_pid: number(value("PPid:").and_then(|value| value.split_whitespace().next())),
            namespace_pid: number(value("NSpid:").and_then(|value| value.split_whitespace().next_back())),
            uid: number(value("Uid:").and_then(|value| value.split_whitespace().next())),
        }
    }
}

/// When the process began, in clock ticks since boot. The name of the task, which may hold anything, is in parentheses.
pub(super) fn started_ticks(stat: &[u8]) -> Option<u64> {
    let end = stat.windows(2).rposition(|two| two == b") ")?;
    let fields = str::from_utf8(stat.get(end + 2..)?).ok()?;
    // Field 22, and the state is field 3.
    fields.split(' ').nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_last_parenthesis_ends_the_name() {
        let stat = |name: &str| format!("7 ({name}) S {}123 5 6\n", "0 ".repeat(18)).into_bytes();
        assert_eq!(started_ticks(&stat("a) S 1 2 3 (b")), Some(123));
        assert_eq!(started_ticks(b"7 (a) S 1 2 3"), None);
        assert_eq!(started_ticks(b"7 a"), None);
    }

    #[test]
    fn the_lines_of_status_are_found_by_their_names() {
        let status = b"Name:\tPPid:\t9\\nPPid:\t8\nUmask:\t0022\nPid:\t5\nPPid:\t4\nUid:\t1000\t0\t0\t0\n\
            Groups:\t1 2 3 \nNStgid:\t5\t1\nNSpid:\t5\t1\nCapInh:\t00\n";
        let expected = Status { parent_pid: Some(4), namespace_pid: Some(1), uid: Some(1000) };
        assert_eq!(Status::parse(status), expected);
        assert_eq!(Status::parse(b"PPid:\t4294967296\nUid:\n"), Status::default());
    }

    #[test]
    fn another_reader_of_proc_finds_the_same() {
        let oracle = procfs::process::Process::myself().expect("there is a /proc");
        let status = oracle.status().expect("it is there");
        let own = Status::parse(&std::fs::read("/proc/self/status").expect("it is there"));
        assert_eq!(own.parent_pid, u32::try_from(status.ppid).ok());
        assert_eq!(own.uid, Some(status.ruid));
        let namespace_pid = status.nspid.and_then(|pids| u32::try_from(*pids.last()?).ok());
        assert_eq!(own.namespace_pid, namespace_pid);
        let stat = std::fs::read("/proc/self/stat").expect("it is there");
        assert_eq!(started_ticks(&stat), oracle.stat().ok().map(|stat| stat.starttime));
    }

    proptest! {
        #[test]
        fn no_bytes_are_too_odd(bytes in any::<Vec<u8>>(), text in r"(PPid:|NSpid:|Uid:|\t|[0-9]{1,11}|\n|\) |\PC){0,20}") {
            for bytes in [&bytes[..], text.as_bytes()] {
                let _ = (Status::parse(bytes), started_ticks(bytes));
            }
        }
    }
}
