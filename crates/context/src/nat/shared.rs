//! What the threads of translations share: the table, who listens where, which namespaces wait for a dump, and how each is
//! woken and stopped.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::event::{EventfdFlags, eventfd};
use rustix::time::{ClockId, clock_gettime};

use super::NatLimits;
use super::counts::Totals;
use super::listeners::Listeners;
use super::table::Table;
use crate::Namespaces;

/// Shared by the threads, and by whoever looks.
pub(crate) struct Shared {
    pub(crate) limits: NatLimits,
    pub(crate) namespaces: Arc<dyn Namespaces>,
    /// Inode number of the host's namespace: that of this process.
    pub(crate) home: u32,
    /// Locked after `listeners`, where both are.
    pub(crate) table: Mutex<Table>,
    pub(crate) listeners: Mutex<Listeners>,
    pub(crate) totals: Totals,
    /// Somebody asked for a connection of a namespace that nobody listens to.
    pub(crate) asked: AtomicBool,
    /// Wakes the thread that listens.
    pub(crate) bell: OwnedFd,
    pub(crate) troubles: Mutex<Troubles>,
    work: Mutex<Work>,
    work_changed: Condvar,
    stopping: AtomicBool,
}

/// Why something is missing.
#[derive(Debug, Default)]
pub(crate) struct Troubles {
    /// Namespaces that are not listened to.
    pub(crate) listening: Option<String>,
    /// Namespaces that could not be listed. They are tried again.
    pub(crate) dumps: BTreeMap<u32, Unlisted>,
}

/// Why a namespace could not be listed.
#[derive(Debug)]
pub(crate) struct Unlisted {
    /// The kernel does not know connection tracking. To ask again makes it look for a module.
    pub(crate) absent: bool,
    pub(crate) why: String,
}

impl Troubles {
    /// Namespaces that could not be listed for this reason.
    pub(crate) fn unlisted(&self, absent: bool) -> impl Iterator<Item = u32> {
        self.dumps.iter().filter(move |(_, unlisted)| unlisted.absent == absent).map(|(netns, _)| *netns)
    }

    /// What is missing and why, the worst first.
    pub(crate) fn sentence(&self) -> Option<String> {
        let listing = |unlisted: &Unlisted| match unlisted {
            Unlisted { absent: true, why } => format!("the kernel has no connection tracking: {why}"),
            Unlisted { absent: false, why } => {
                let number = self.dumps.len();
                format!("older translated addresses in {number} network namespaces are not known: {why}")
            }
        };
        self.listening.clone().or_else(|| self.dumps.values().next().map(listing))
    }
}

#[derive(Debug, Default)]
struct Work {
    /// Namespaces that wait for a dump.
    dumps: BTreeSet<u32>,
}

impl Shared {
    pub(crate) fn new(limits: NatLimits, namespaces: Arc<dyn Namespaces>) -> io::Result<Self> {
        use std::os::unix::fs::MetadataExt;
        let home = std::fs::metadata("/proc/self/ns/net").map(|metadata| metadata.ino());
        let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
        Ok(Self {
            home: home.ok().and_then(|inode| u32::try_from(inode).ok()).unwrap_or(0),
            table: Mutex::new(Table::new(limits.entries)),
            listeners: Mutex::new(Listeners::new(&bell)?),
            totals: Totals::default(),
            asked: AtomicBool::new(false),
            bell,
            troubles: Mutex::default(),
            work: Mutex::default(),
            work_changed: Condvar::new(),
            stopping: AtomicBool::new(false),
            limits,
            namespaces,
        })
    }

    pub(crate) fn ring(&self) {
        // A bell that has rung as often as it can has rung.
        let _ = rustix::io::write(&self.bell, &1_u64.to_ne_bytes());
    }

    pub(crate) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
        // Whoever is about to wait has the lock, and has looked before.
        drop(lock(&self.work));
        self.work_changed.notify_all();
        self.ring();
    }

    pub(crate) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// A dump of these namespaces is needed.
    pub(crate) fn order_dumps(&self, netns: impl IntoIterator<Item = u32>) {
        lock(&self.work).dumps.extend(netns);
        self.work_changed.notify_all();
    }

    /// The next namespace that needs a dump, when there is one; `None` when all stops.
    pub(crate) fn next_dump(&self) -> Option<u32> {
        let mut work = lock(&self.work);
        loop {
            if self.is_stopping() {
                return None;
            }
            // The host's namespace first: that is where most are.
            let next = work.dumps.take(&self.home).or_else(|| work.dumps.pop_first());
            if next.is_some() {
                return next;
            }
            work = self.work_changed.wait(work).unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Rests, unless all stops.
    pub(crate) fn rest(&self, time: Duration) {
        let resting = |_: &mut Work| !self.is_stopping();
        drop(self.work_changed.wait_timeout_while(lock(&self.work), time, resting));
    }
}

/// A thread that panicked has changed nothing by halves that matters here: its guard goes on.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// The kernel's monotonic clock, in nanoseconds.
pub(crate) fn now() -> u64 {
    let time = clock_gettime(ClockId::Monotonic);
    let (seconds, rest) = (u64::try_from(time.tv_sec).unwrap_or(0), u64::try_from(time.tv_nsec).unwrap_or(0));
    seconds.saturating_mul(1_000_000_000).saturating_add(rest)
}
