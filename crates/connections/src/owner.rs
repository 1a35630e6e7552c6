//! The process behind a connection, and how that was learnt.

use std::fmt;

use crate::container::ContainerId;

/// The process that owns a connection's socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Owner {
    /// Process id (thread group id) in the initial pid namespace.
    pub pid: u32,
    /// Thread id of the task that was seen, in the initial pid namespace.
    pub tid: u32,
    /// User id of that task, in the initial user namespace.
    pub uid: u32,
    /// Name of the task as the kernel keeps it, at most 15 bytes.
    pub command: Command,
    /// Id (inode number) of its cgroup in the v2 hierarchy; absent where the kernel gives none.
    pub cgroup_id: Option<u64>,
    /// The container that it runs in; absent when it runs in none, or when that could not be found out.
    pub container: Option<ContainerId>,
    /// Start of the process in nanoseconds since boot (`CLOCK_BOOTTIME`); with the pid it is unique until
    /// the next boot.
    pub started_at_boot_ns: u64,
    /// True when the task is a thread of the kernel itself.
    pub kernel: bool,
    /// How the owner was learnt.
    pub source: OwnerSource,
}

/// How an owner was learnt, from least to most trusted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum OwnerSource {
    /// A guess: the owner of the listening socket that the connection came in through.
    Listener,
    /// The first process found to hold a descriptor of the socket.
    Descriptor,
    /// The task that closed the connection: of several that held it, the last.
    Close,
    /// The task that called `connect` or `listen`.
    Connect,
    /// The task that sent a datagram: of several the last.
    Send,
}

impl OwnerSource {
    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            OwnerSource::Listener => "listener",
            OwnerSource::Descriptor => "descriptor",
            OwnerSource::Close => "close",
            OwnerSource::Connect => "connect",
            OwnerSource::Send => "send",
        }
    }
}

/// The name of a task: up to 15 bytes, padded with zeros, as the kernel keeps it.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct Command(pub [u8; 16]);

impl Command {
    /// The name as text; bytes that are not UTF-8 become U+FFFD.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        padded_text(&self.0)
    }
}

/// Up to the first zero.
pub(crate) fn padded_text(name: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(name.split(|byte| *byte == 0).next().unwrap_or_default())
}

impl fmt::Debug for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.text())
    }
}
