//! Any bytes in place of what the kernel shows of a process, and of the file with the users, read as they are from a `/proc`
//! that is made of files.
//!
//! The first byte says what is odd; the rest is the files, with 0xff between them. A panic ends the fuzzer; so does a process
//! that is told with more than its limits, and one whose command line is another when `exec` tells it.

#![no_main]

use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use connections::{Command, Executed, Owner, OwnerSource, Process, ProcessEvent, ProcessKey};
use context::{ProcessSettings, Processes};
use libfuzzer_sys::fuzz_target;

const STARTED_AT_BOOT_NS: u64 = 50_000_000_000;
/// A process that began then.
const STAT: &[u8] = b"1 (a) S 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 1 5000 0 0\n";
/// A read takes no longer, so what is not told by then is lost.
const PATIENCE: Duration = Duration::from_secs(10);

/// Removed by nobody, but overwritten by the next process with its id.
static PROC: LazyLock<PathBuf> = LazyLock::new(|| {
    let memory = Path::new("/dev/shm");
    let directory = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
    directory.join(format!("sockeye-fuzz-proc-{}", std::process::id()))
});
static PROCESSES: LazyLock<Processes> = LazyLock::new(|| started(PROC.join("passwd")));
/// Each input is another process.
static NEXT: AtomicU32 = AtomicU32::new(1);

fn started(passwd: PathBuf) -> Processes {
    let settings = ProcessSettings { limit: 64, proc: PROC.clone(), passwd, ..ProcessSettings::default() };
    Processes::new(settings, |_| None)
}

fn owner(pid: u32) -> Owner {
    Owner {
        pid,
        tid: pid,
        uid: 7,
        command: Command::default(),
        cgroup_id: None,
        container: None,
        started_at_boot_ns: STARTED_AT_BOOT_NS,
        kernel: false,
        source: OwnerSource::Connect,
    }
}

fn look(processes: &Processes, pid: u32) -> Arc<Process> {
    processes.look(Instant::now() + PATIENCE).of(&owner(pid)).expect("each process is told")
}

fn check(process: &Process) {
    let line = process.command_line.iter().flatten();
    let (arguments, bytes) = (line.clone().count(), line.map(|argument| argument.len()).sum::<usize>());
    assert!(arguments <= 64 && bytes <= 512, "{arguments} arguments of {bytes} B");
    assert!(process.executable.as_ref().is_none_or(|path| path.len() <= 3 * 4096));
    assert!(process.unit.as_ref().is_none_or(|unit| unit.len() <= 255));
    assert!(process.pod.as_ref().is_none_or(|pod| pod.len() <= 36));
}

fn as_executed(pid: u32, arguments: &[u8]) -> ProcessEvent {
    ProcessEvent::Executed(Box::new(Executed {
        process: ProcessKey { pid, started_at_boot_ns: STARTED_AT_BOOT_NS },
        namespace_pid: None,
        parent_pid: 1,
        uid: 7,
        file: Vec::new(),
        arguments: arguments.to_vec(),
        arguments_cut: false,
        cgroup_id: None,
    }))
}

fuzz_target!(|input: &[u8]| {
    let (kind, files) = input.split_first().unwrap_or((&0, &[]));
    let mut files = files.split(|byte| *byte == 0xff);
    let mut next = || files.next().unwrap_or_default();
    let pid = NEXT.fetch_add(1, Ordering::Relaxed);
    let directory = PROC.join(pid.to_string());
    fs::create_dir_all(&directory).expect("memory is writable");
    let write =
        |name: &str, bytes: &[u8]| fs::write(directory.join(name), bytes).expect("memory is writable");
    let line = next();
    write("cmdline", line);
    write("status", next());
    write("cgroup", next());
    // A link leads somewhere, and has no zero in it.
    let link: Vec<u8> = next().iter().copied().filter(|byte| *byte != 0).take(4000).collect();
    if !link.is_empty() {
        std::os::unix::fs::symlink(std::ffi::OsStr::from_bytes(&link), directory.join("exe"))
            .expect("it is writable");
    }
    write("stat", if kind % 4 == 1 { next() } else { STAT });
    if kind % 16 == 3 {
        let passwd = directory.join("passwd");
        fs::write(&passwd, next()).expect("memory is writable");
        check(&look(&started(passwd), pid));
    }
    let read = look(&PROCESSES, pid);
    check(&read);
    fs::remove_dir_all(&directory).expect("it was made above");
    PROCESSES.apply(&[as_executed(pid, line)]);
    let told = look(&PROCESSES, pid);
    check(&told);
    assert!(kind % 4 == 1 || told.command_line == read.command_line, "{told:?} is not {read:?}");
});
