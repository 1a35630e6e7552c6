//! The files of one process in `/proc`, each read up to a length and taken apart; and that they are of that process, and
//! not of a later one with its id.

mod status;

use std::fs::{self, File};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use connections::ProcessKey;

pub(crate) use status::Status;

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;
/// One line of 52 numbers.
const STAT_MAX: u64 = 4096;
/// Groups take up to 11 bytes each, and the other lines 2 KiB. A process in more than 5000 is not known in its own
/// namespace of pids.
const STATUS_MAX: u64 = 64 * 1024;
/// A dozen hierarchies with a path each.
pub(crate) const CGROUP_MAX: u64 = 64 * 1024;
/// Processes that are tried at the start.
const TRIED_MAX: usize = 1024;
/// What the kernel puts behind the path of a file that has no name any more.
const DELETED: &str = " (deleted)";

/// What came of looking at a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Looked<T> {
    /// It was there all the time.
    Found(T),
    /// There is no process with its id.
    Gone,
    /// Another process has its id, before or after what was read.
    Mismatched,
    /// The tracer may not look, or cannot.
    Refused,
}

/// Where the kernel shows one process.
#[derive(Debug)]
pub(crate) struct Directory {
    path: PathBuf,
    started_at_boot_ns: u64,
}

impl Directory {
    pub(crate) fn new(proc: &Path, process: ProcessKey) -> Self {
        Self { path: proc.join(process.pid.to_string()), started_at_boot_ns: process.started_at_boot_ns }
    }

    /// What is read while the process is known to be there: its start is looked at before and after.
    pub(crate) fn while_it_is<T>(&self, read: impl FnOnce(&Self) -> T) -> Looked<T> {
        match self.is_it() {
            Looked::Found(()) => {}
            Looked::Gone => return Looked::Gone,
            Looked::Mismatched => return Looked::Mismatched,
            Looked::Refused => return Looked::Refused,
        }
        let found = read(self);
        match self.is_it() {
            Looked::Found(()) => Looked::Found(found),
            Looked::Gone => Looked::Gone,
            Looked::Mismatched => Looked::Mismatched,
            Looked::Refused => Looked::Refused,
        }
    }

    fn is_it(&self) -> Looked<()> {
        let stat = match self.read("stat", STAT_MAX) {
            Ok(stat) => stat,
            Err(error) if is_gone(&error) => return Looked::Gone,
            Err(_) => return Looked::Refused,
        };
        // A clock of a thousand ticks in a nanosecond does not exist.
        let tick_ns = NANOSECONDS_PER_SECOND / rustix::param::clock_ticks_per_second().max(1);
        let started_ticks = self.started_at_boot_ns.checked_div(tick_ns);
        match status::started_ticks(&stat) {
            Some(ticks) if started_ticks == Some(ticks) => Looked::Found(()),
            Some(_) => Looked::Mismatched,
            None => Looked::Refused,
        }
    }

    /// The lines of its cgroups in all hierarchies.
    pub(crate) fn cgroups(&self) -> Option<String> {
        let cgroups = self.read("cgroup", CGROUP_MAX).ok()?;
        Some(String::from_utf8_lossy(&cgroups).into_owned())
    }

    pub(crate) fn status(&self) -> Status {
        self.read("status", STATUS_MAX).map(|status| Status::parse(&status)).unwrap_or_default()
    }

    /// The first bytes of its command line, at most so many, and whether there are more. This may wait for as long as the
    /// process changes its memory, which is for ever where the disk behind that does not answer.
    pub(crate) fn command_line(&self, bytes_max: u16) -> Option<(Vec<u8>, bool)> {
        let mut line = self.read("cmdline", u64::from(bytes_max) + 1).ok()?;
        let is_cut = line.len() > usize::from(bytes_max);
        line.truncate(bytes_max.into());
        Some((line, is_cut))
    }

    /// The path of its executable, that of one that was deleted as it was. Bytes that are not UTF-8 become U+FFFD. None of a
    /// process that runs no program; an error when the tracer may not know it.
    pub(crate) fn executable(&self) -> io::Result<Option<String>> {
        let link = match fs::read_link(self.path.join("exe")) {
            Ok(link) => link.to_string_lossy().into_owned(),
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => return Err(error),
            Err(_) => return Ok(None),
        };
        let path = match link.strip_suffix(DELETED) {
            Some(before) if !self.is_named(&link) => before.to_owned(),
            _ => link,
        };
        Ok(Some(path).filter(|path| !path.is_empty()))
    }

    /// True when the executable stands under this name, so that all of it is its name.
    fn is_named(&self, path: &str) -> bool {
        let in_root = self.path.join("root").join(path.trim_start_matches('/'));
        let (Ok(named), Ok(executed)) = (fs::metadata(in_root), fs::metadata(self.path.join("exe"))) else {
            return false;
        };
        (named.dev(), named.ino()) == (executed.dev(), executed.ino())
    }

    fn read(&self, name: &str, bytes_max: u64) -> io::Result<Vec<u8>> {
        read_at_most(&self.path.join(name), bytes_max)
    }
}

/// The kernel says that there is no such process when one ends after its file was opened.
fn is_gone(error: &io::Error) -> bool {
    let no_process = rustix::io::Errno::SRCH.raw_os_error();
    error.kind() == io::ErrorKind::NotFound || error.raw_os_error() == Some(no_process)
}

/// The first bytes of a file. Files of `/proc` have no length, so there is one to be bounded by.
pub(crate) fn read_at_most(path: &Path, bytes_max: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(bytes_max).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What a tracer that uses this `/proc` cannot know of processes, and why; `None` when it can know everything.
pub(crate) fn degradation(proc: &Path) -> Option<String> {
    let first = proc.join("1");
    let shown = proc.display();
    if let Err(error) = read_at_most(&first.join("stat"), STAT_MAX) {
        return Some(format!(
            "processes are not read, only what exec tells is known of them: {shown}/1/stat: {error}; \
             a /proc of the host is needed, without hidepid or with CAP_SYS_PTRACE"
        ));
    }
    let (shown_executables, refused) = readable_executables(proc);
    if refused > shown_executables {
        return Some(format!(
            "most executables are not read, only what exec tells is known of them: {refused} of {} in {shown} are \
             refused; CAP_SYS_PTRACE is needed",
            refused + shown_executables
        ));
    }
    // PROC_PID_INIT_INO of include/linux/proc_ns.h.
    let namespace = fs::read_link(first.join("ns/pid")).ok()?;
    (namespace.as_os_str() != "pid:[4026531836]").then(|| {
        format!("processes are not read, only what exec tells is known of them: {shown} is of another pid namespace than the host's")
    })
}

/// How many executables may be known, and how many may not, of some processes. One may be refused where others are not:
/// the first process is where this one is confined.
fn readable_executables(proc: &Path) -> (usize, usize) {
    let names = fs::read_dir(proc).into_iter().flatten().flatten().map(|entry| entry.path());
    let is_process = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.as_encoded_bytes());
        name.is_some_and(|name| name.iter().all(u8::is_ascii_digit))
    };
    let (mut shown, mut refused) = (0, 0);
    for process in names.filter(is_process).take(TRIED_MAX) {
        match fs::read_link(process.join("exe")) {
            Ok(_) => shown += 1,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => refused += 1,
            // A task of the kernel, or one that has ended.
            Err(_) => {}
        }
    }
    (shown, refused)
}

#[cfg(test)]
pub(crate) mod fixtures {
    //! A `/proc` made of files.

    use super::*;

    /// Removed in the end.
    pub(crate) struct FakeProc(pub(crate) PathBuf);

    impl FakeProc {
        pub(crate) fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("sockeye-{name}-{}", std::process::id()));
            let _ = fs::remove_dir_all(&path);
            fs::create_dir_all(&path).expect("the temporary directory is writable");
            Self(path)
        }

        /// A process that began after so many ticks of 10 ms.
        pub(crate) fn start(&self, pid: u32, ticks: u64) {
            fs::create_dir_all(self.0.join(pid.to_string())).expect("it is writable");
            let fields = "1 ".repeat(18);
            self.write(pid, "stat", format!("{pid} (a) b) S {fields}{ticks} 0 0\n").as_bytes());
        }

        pub(crate) fn write(&self, pid: u32, file: &str, content: &[u8]) {
            fs::write(self.0.join(pid.to_string()).join(file), content).expect("it is writable");
        }

        pub(crate) fn link_executable(&self, pid: u32, path: &str) {
            let link = self.0.join(pid.to_string()).join("exe");
            let _ = fs::remove_file(&link);
            std::os::unix::fs::symlink(path, link).expect("it is writable");
        }

        pub(crate) fn end(&self, pid: u32) {
            fs::remove_dir_all(self.0.join(pid.to_string())).expect("it was made");
        }
    }

    impl Drop for FakeProc {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::fixtures::FakeProc;
    use super::*;

    fn key(pid: u32, started_at_boot_ns: u64) -> ProcessKey {
        ProcessKey { pid, started_at_boot_ns }
    }

    #[test]
    fn another_process_with_the_id_is_not_the_process() {
        let proc = FakeProc::new("reuse");
        proc.start(77, 5000);
        let look = |started_at| Directory::new(&proc.0, key(77, started_at)).while_it_is(|_| ());
        assert_eq!(look(50_001_234_567), Looked::Found(()));
        assert_eq!((look(50_010_000_000), look(49_999_999_999)), (Looked::Mismatched, Looked::Mismatched));
        let directory = Directory::new(&proc.0, key(77, 50_000_000_000));
        assert_eq!(directory.while_it_is(|_| proc.start(77, 5001)), Looked::Mismatched, "while it was read");
        proc.start(77, 5000);
        assert_eq!(directory.while_it_is(|_| proc.end(77)), Looked::Gone, "while it was read");
        assert_eq!(look(50_001_234_567), Looked::Gone);
    }

    #[test]
    fn a_process_that_cannot_be_looked_at_is_not_taken_for_gone() {
        let proc = FakeProc::new("unreadable");
        fs::create_dir_all(proc.0.join("77/stat")).expect("it is writable");
        let look = || Directory::new(&proc.0, key(77, 5)).while_it_is(|_| ());
        assert_eq!(look(), Looked::Refused);
        fs::remove_dir(proc.0.join("77/stat")).expect("it was made");
        assert_eq!(look(), Looked::Gone);
        proc.write(77, "stat", b"77 (a) S");
        assert_eq!(look(), Looked::Refused);
        assert!(is_gone(&io::Error::from(rustix::io::Errno::SRCH)));
    }

    #[test]
    fn the_executable_of_a_deleted_file_has_the_path_that_it_had() {
        let proc = FakeProc::new("deleted");
        proc.start(1, 1);
        let executable = |link: &str| {
            proc.link_executable(1, link);
            Directory::new(&proc.0, key(1, 0)).executable().expect("it may be read")
        };
        assert_eq!(executable("/usr/bin/gone (deleted)").as_deref(), Some("/usr/bin/gone"));
        assert_eq!(executable("/memfd:code (deleted)").as_deref(), Some("/memfd:code"));
        assert_eq!(executable("/usr/bin/it").as_deref(), Some("/usr/bin/it"));
        // One whose name ends like that is all its name.
        let odd = proc.0.join("odd (deleted)");
        fs::write(&odd, "").expect("it is writable");
        std::os::unix::fs::symlink("/", proc.0.join("1/root")).expect("it is writable");
        let odd = odd.to_str().expect("it is text");
        assert_eq!(executable(odd).as_deref(), Some(odd));
    }

    #[test]
    fn no_more_of_a_command_line_is_read_than_is_asked_for() {
        let proc = FakeProc::new("long-line");
        proc.start(1, 1);
        let line = |length: usize| {
            proc.write(1, "cmdline", &vec![b'a'; length]);
            Directory::new(&proc.0, key(1, 0)).command_line(512).map(|(line, is_cut)| (line.len(), is_cut))
        };
        assert_eq!((line(512), line(513)), (Some((512, false)), Some((512, true))));
    }

    #[test]
    fn a_proc_that_hides_processes_is_said_to() {
        let proc = FakeProc::new("hidden");
        assert!(degradation(&proc.0).expect("nothing is there").contains("1/stat: No such file"));
        proc.start(1, 1);
        proc.link_executable(1, "/sbin/init");
        assert_eq!(degradation(&proc.0), None);
        fs::create_dir(proc.0.join("1/ns")).expect("it is writable");
        std::os::unix::fs::symlink("pid:[4026532000]", proc.0.join("1/ns/pid")).expect("it is writable");
        assert!(degradation(&proc.0).expect("it is another").contains("another pid namespace"));
    }
}
