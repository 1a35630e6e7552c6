//! A process of the host, and what is told of its life.
//!
//! The words only: nothing here reads `/proc`.

use std::sync::Arc;

/// What names a process until the next boot: ids are given again, and no two processes that had one began at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ProcessKey {
    /// Process id (thread group id) in the initial pid namespace.
    pub pid: u32,
    /// Start in nanoseconds since boot (`CLOCK_BOOTTIME`).
    pub started_at_boot_ns: u64,
}

/// A process. What could not be found out is absent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Process {
    /// What names it.
    pub key: ProcessKey,
    /// Its id inside of its own pid namespace; absent where it is not known, equal to the other in the initial namespace.
    pub namespace_pid: Option<u32>,
    /// The process that is its parent.
    pub parent_pid: Option<u32>,
    /// Path of the executable as the process sees it; of one that was gone before it could be looked at, the file that `exec`
    /// was told, which may be relative or a script.
    pub executable: Option<Box<str>>,
    /// The arguments, the name of the program first; secrets in them are replaced where the configuration says so.
    pub command_line: Option<Box<[Box<str>]>>,
    /// True when arguments, or the end of one, were left out because there were too many bytes of them.
    pub command_line_cut: bool,
    /// User id in the initial user namespace.
    pub uid: Option<u32>,
    /// Name of that user, as `/etc/passwd` of the host has it.
    pub user: Option<Arc<str>>,
    /// The systemd unit that it runs in, the innermost: `nginx.service`, `session-3.scope`.
    pub unit: Option<Arc<str>>,
    /// The Kubernetes pod that it runs in, by its uid.
    pub pod: Option<Arc<str>>,
}

/// Something in the life of processes. Threads are not told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProcessEvent {
    /// A process made another one, which begins as its copy.
    Forked {
        /// The process that made it.
        parent: ProcessKey,
        /// The new one.
        child: ProcessKey,
    },
    /// A process runs another program from now on.
    Executed(Box<Executed>),
    /// A process has ended. It may be told twice, when its last two threads end at the same moment.
    Exited {
        /// Which.
        process: ProcessKey,
    },
}

/// A program that a process runs, as it was when it began to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Executed {
    /// The process.
    pub process: ProcessKey,
    /// Its id inside of its own pid namespace.
    pub namespace_pid: Option<u32>,
    /// Its parent.
    pub parent_pid: u32,
    /// User id of the process, in the initial user namespace.
    pub uid: u32,
    /// The file that was executed, as `execve` was told: it may be relative, or a script.
    pub file: Vec<u8>,
    /// The arguments, each with a zero byte behind it, as far as they were told.
    pub arguments: Vec<u8>,
    /// True when there are more.
    pub arguments_cut: bool,
    /// Id (inode number) of its cgroup in the v2 hierarchy; absent where the kernel gives none.
    pub cgroup_id: Option<u64>,
}
