//! The thread that listens: it wakes when translated connections begin or end, takes them in, and looks after the
//! namespaces: which there are, and which nobody but us holds any more.

use std::collections::{HashMap, HashSet};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::Timespec;
use rustix::event::epoll::{self, Event};
use rustix::process::{Resource, getrlimit};

use super::listeners::MOUNTS;
use super::shared::{Shared, lock, now};
use super::socket;
use crate::Namespace;

/// How long events gather, so that many wake the thread once.
const GATHER: Duration = Duration::from_millis(20);
/// How long one round may take.
const ROUND: Duration = Duration::from_millis(20);
/// How often all namespaces are looked for, and how often at most when somebody asks for one, or when mounts have changed:
/// most namespaces are mounted.
const LOOK: Duration = Duration::from_secs(10);
const LOOK_WHEN_ASKED: Duration = Duration::from_secs(1);
/// How often it is looked whether others hold the namespaces still, and at most when mounts have changed.
const CHECK: Duration = Duration::from_secs(1);
const CHECK_WHEN_CHANGED: Duration = Duration::from_millis(100);

/// Runs until all stops.
pub(crate) fn run(shared: &Shared) {
    let epoll = lock(&shared.listeners).epoll();
    let mut times = Times::new(Instant::now(), shared.limits.listed_again);
    look(shared);
    while !shared.is_stopping() {
        times.changed |= wait(&epoll, times.next().saturating_duration_since(Instant::now()));
        // Nothing to read when nobody has rung.
        let _ = rustix::io::read(&shared.bell, &mut [0; 8]);
        {
            let mut listeners = lock(&shared.listeners);
            listeners.take_in(shared, ROUND);
            times.changed |= listeners.take_mounts_changed();
        }
        times.after_round(shared);
        shared.rest(GATHER);
    }
}

/// When what is due.
#[derive(Debug)]
struct Times {
    looked: Instant,
    checked: Instant,
    dumped: Instant,
    listed_again: Duration,
    /// Mounts have changed since the last check.
    changed: bool,
    asked: bool,
}

impl Times {
    fn new(now: Instant, listed_again: Duration) -> Self {
        Self { looked: now, checked: now, dumped: now, listed_again, changed: false, asked: false }
    }

    fn look(&self) -> Instant {
        self.looked + if self.asked { LOOK_WHEN_ASKED } else { LOOK }
    }

    fn check(&self) -> Instant {
        self.checked + if self.changed { CHECK_WHEN_CHANGED } else { CHECK }
    }

    fn next(&self) -> Instant {
        self.look().min(self.check()).min(self.dumped + self.listed_again)
    }

    fn after_round(&mut self, shared: &Shared) {
        self.asked |= shared.asked.swap(false, Ordering::Relaxed) || self.changed;
        let now = Instant::now();
        let mut is_due = now >= self.look();
        if now >= self.check() {
            is_due |= somebody_left(shared);
            (self.checked, self.changed) = (now, false);
        }
        if is_due {
            look(shared);
            (self.looked, self.asked) = (Instant::now(), false);
            self.checked = self.looked;
        }
        if now >= self.dumped + self.listed_again {
            let untold = lock(&shared.table).with_untold();
            shared.order_dumps(untold.into_iter().chain(tells_nothing().then_some(shared.home)));
            shared.order_dumps(lock(&shared.troubles).unlisted(true));
            self.dumped = now;
        }
    }
}

/// Waits until there is something to do, and tells whether mounts have changed.
fn wait(epoll: &OwnedFd, time: Duration) -> bool {
    let time = Timespec {
        tv_sec: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: time.subsec_nanos().into(),
    };
    // Level-triggered: what is ready stays ready for whoever reads it.
    let mut ready = [Event { flags: epoll::EventFlags::empty(), data: epoll::EventData::new_u64(0) }];
    let waited = epoll::wait(epoll, &mut ready[..], Some(&time));
    waited.is_ok_and(|number| number > 0) && { ready[0].data }.u64() == MOUNTS
}

/// Whether a path to a namespace does not lead there any more. Some microseconds for each.
fn somebody_left(shared: &Shared) -> bool {
    let held: Vec<Namespace> = lock(&shared.listeners).all().cloned().collect();
    held.iter().any(|namespace| !is_there(namespace))
}

fn is_there(namespace: &Namespace) -> bool {
    std::fs::metadata(&namespace.path).is_ok_and(|metadata| metadata.ino() == u64::from(namespace.inode))
}

/// Listens to the namespaces that have come, and no longer to those that have gone.
fn look(shared: &Shared) {
    let mut found: Vec<Namespace> = shared.namespaces.all();
    // What does not fit is the same ones each time, and never the host's.
    found.sort_by_key(|namespace| (namespace.inode != shared.home, namespace.inode));
    found.dedup_by_key(|namespace| namespace.inode);
    let known: HashMap<u32, Namespace> =
        lock(&shared.listeners).all().map(|namespace| (namespace.inode, namespace.clone())).collect();
    // Where they could not all be looked for, nothing has gone for that.
    let held = known.values().filter(|namespace| is_there(namespace));
    let there: HashSet<u32> = found.iter().chain(held).map(|namespace| namespace.inode).collect();
    let gone: Vec<u32> = lock(&shared.table).known().filter(|inode| !there.contains(inode)).collect();
    for inode in gone {
        lock(&shared.listeners).remove(inode);
        lock(&shared.table).forget(inode, now());
    }
    let most = namespaces_max(shared);
    let (mut unread, mut last, mut home) = (0_u64, None, None);
    for namespace in &found {
        if known.contains_key(&namespace.inode) {
            lock(&shared.listeners).moved(namespace);
            continue;
        }
        if shared.is_stopping() {
            return;
        }
        let refused = listen(shared, namespace, most).err();
        unread += u64::from(refused.is_some());
        if namespace.inode == shared.home {
            home.clone_from(&refused);
        }
        last = refused.or(last);
        // One that cannot be listened to is not asked for again and again.
        lock(&shared.table).know(namespace.inode);
    }
    shared.totals.unread_namespaces.store(unread, Ordering::Relaxed);
    lock(&shared.listeners).count(&shared.totals);
    let trouble = match (home, last) {
        (Some(why), _) => Some(format!("translated addresses of the host are not known: {why}")),
        (None, Some(why)) => {
            let number = found.len();
            Some(format!(
                "translated addresses in {unread} of {number} network namespaces are not known: {why}"
            ))
        }
        (None, None) => tells_nothing().then(|| {
            let minutes = shared.limits.listed_again.as_secs() / 60;
            format!(
                "translated addresses are looked for every {minutes} minutes only: nf_conntrack_events is 0"
            )
        }),
    };
    let mut troubles = lock(&shared.troubles);
    troubles.listening = trouble;
    troubles.dumps.retain(|inode, _| there.contains(inode));
    shared.order_dumps(troubles.unlisted(false));
    drop(troubles);
    lock(&shared.table).expire(now());
}

/// Whether somebody has told the kernel not to tell of events in the host's namespace.
fn tells_nothing() -> bool {
    std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_events")
        .is_ok_and(|switch| switch.trim() == "0")
}

fn listen(shared: &Shared, namespace: &Namespace, most: usize) -> Result<(), String> {
    if lock(&shared.listeners).len() >= most {
        return Err(format!("there are more than {most}"));
    }
    let share = if namespace.inode == shared.home { 1 } else { 8 };
    let socket = match socket::listen(&*shared.namespaces, namespace, shared.limits.buffer_bytes / share) {
        // One that has gone meanwhile is no trouble.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        socket => socket.map_err(|error| error.to_string())?,
    };
    lock(&shared.table).know(namespace.inode);
    let added = lock(&shared.listeners).add(namespace.clone(), socket);
    added.map_err(|error| error.to_string())?;
    // After it is listened to, so that nothing is missed between.
    shared.order_dumps([namespace.inode]);
    Ok(())
}

/// Each takes an open file, of which others need most.
fn namespaces_max(shared: &Shared) -> usize {
    let files = getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX);
    let share = usize::try_from(files / 2).unwrap_or(usize::MAX);
    shared.limits.namespaces.min(share).max(1)
}
