//! The sockets that hear of translated connections, one for each namespace, and taking in what waits in them.
//!
//! A socket keeps its namespace alive, so whoever owns this closes it as soon as nobody else does.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::event::{Timespec, epoll::Event};

use super::counts::{Totals, add};
use super::message::{Message, read};
use super::shared::{Shared, lock, now};
use super::socket::{self, DATAGRAM_BYTES, Read};
use super::way::Translation;
use crate::Namespace;

/// Datagrams of a socket that are read before others have their turn, and the table is locked for them.
const TURN: usize = 256;
/// An event is at most that old when it is read, unless the thread that listens is starved.
const LATEST_NS: u64 = 2_000_000_000;
/// What is not a namespace among what wakes the thread: the bell, and mounts that have changed.
pub(crate) const BELL: u64 = u64::MAX;
/// See [`BELL`]. The kernel tells it once to whoever waits.
pub(crate) const MOUNTS: u64 = u64::MAX - 1;

/// All sockets that listen.
pub(crate) struct Listeners {
    epoll: std::sync::Arc<OwnedFd>,
    by_inode: HashMap<u32, Listener>,
    buffer: Vec<u8>,
    /// Nothing waited in any socket then.
    empty_at: u64,
    /// Kept open for as long as it is waited for.
    _mounts: Option<std::fs::File>,
    mounts_changed: bool,
}

#[derive(Debug)]
struct Listener {
    namespace: Namespace,
    socket: OwnedFd,
    /// The kernel had no room. It tells nothing more until all is read that waits.
    overflowed: bool,
}

/// An event, as it is noted until the table is locked.
enum News {
    Begin(Translation),
    End(Translation),
}

impl Listeners {
    pub(crate) fn new(bell: &OwnedFd) -> io::Result<Self> {
        let epoll = epoll::create(CreateFlags::CLOEXEC)?;
        epoll::add(&epoll, bell, EventData::new_u64(BELL), EventFlags::IN)?;
        // Where mounts cannot be watched, namespaces are looked after at intervals all the same.
        let mounts = std::fs::File::open("/proc/self/mountinfo").ok();
        let mounts = mounts
            .filter(|mounts| epoll::add(&epoll, mounts, EventData::new_u64(MOUNTS), EventFlags::PRI).is_ok());
        Ok(Self {
            epoll: epoll.into(),
            by_inode: HashMap::new(),
            buffer: vec![0; DATAGRAM_BYTES],
            empty_at: now(),
            _mounts: mounts,
            mounts_changed: false,
        })
    }

    /// What can be waited for without a lock.
    pub(crate) fn epoll(&self) -> std::sync::Arc<OwnedFd> {
        self.epoll.clone()
    }

    pub(crate) fn len(&self) -> usize {
        self.by_inode.len()
    }

    /// Counts them, for those who do not wait for this.
    pub(crate) fn count(&self, totals: &Totals) {
        let number = u64::try_from(self.len()).unwrap_or(u64::MAX);
        totals.namespaces.store(number, Ordering::Relaxed);
    }

    pub(crate) fn get(&self, inode: u32) -> Option<&Namespace> {
        self.by_inode.get(&inode).map(|listener| &listener.namespace)
    }

    pub(crate) fn all(&self) -> impl Iterator<Item = &Namespace> {
        self.by_inode.values().map(|listener| &listener.namespace)
    }

    /// Whether mounts have changed since the last question.
    pub(crate) fn take_mounts_changed(&mut self) -> bool {
        std::mem::take(&mut self.mounts_changed)
    }

    /// From here on the namespace is listened to.
    pub(crate) fn add(&mut self, namespace: Namespace, socket: OwnedFd) -> io::Result<()> {
        let inode = namespace.inode;
        epoll::add(&*self.epoll, &socket, EventData::new_u64(inode.into()), EventFlags::IN)?;
        self.by_inode.insert(inode, Listener { namespace, socket, overflowed: false });
        Ok(())
    }

    /// Another path leads to it.
    pub(crate) fn moved(&mut self, namespace: &Namespace) {
        if let Some(listener) = self.by_inode.get_mut(&namespace.inode) {
            listener.namespace.path.clone_from(&namespace.path);
        }
    }

    /// The namespace is free to go.
    pub(crate) fn remove(&mut self, inode: u32) {
        self.by_inode.remove(&inode);
    }

    /// Takes in what waits, until nothing does or the time is over.
    pub(crate) fn take_in(&mut self, shared: &Shared, time: Duration) {
        let until = Instant::now() + time;
        let mut ready: Vec<Event> = Vec::with_capacity(64);
        loop {
            let before = now();
            ready.clear();
            let waited = epoll::wait(
                &*self.epoll,
                spare_capacity(&mut ready),
                Some(&Timespec { tv_sec: 0, tv_nsec: 0 }),
            );
            if waited.is_err() {
                return;
            }
            let mut heard = false;
            for event in &ready {
                match { event.data }.u64() {
                    // It rings for the thread that listens.
                    BELL => {}
                    MOUNTS => self.mounts_changed = true,
                    inode => {
                        heard = true;
                        if let Ok(inode) = u32::try_from(inode) {
                            self.take_turn(shared, inode);
                        }
                    }
                }
                if Instant::now() >= until {
                    return;
                }
            }
            if !heard {
                self.empty_at = before;
                return;
            }
        }
    }

    /// Reads one socket, at most so much that others have their turn.
    fn take_turn(&mut self, shared: &Shared, inode: u32) {
        let Some(listener) = self.by_inode.get_mut(&inode) else { return };
        let mut news = Vec::with_capacity(TURN);
        let (mut datagrams, mut malformed) = (0, 0);
        for _ in 0..TURN {
            match socket::read(&listener.socket, &mut self.buffer) {
                Ok(Read::Datagram(datagram)) => {
                    datagrams += 1;
                    read(datagram, |message| match message {
                        Message::There(translation, _) if translation.translates() => {
                            news.push(News::Begin(translation))
                        }
                        Message::Gone(translation, _) if translation.translates() => {
                            news.push(News::End(translation))
                        }
                        Message::Malformed => malformed += 1,
                        _ => {}
                    })
                }
                Ok(Read::Stranger) => {}
                Ok(Read::Overflow) => {
                    add(&shared.totals.overflows, 1);
                    listener.overflowed = true;
                }
                Ok(Read::Empty) => {
                    if std::mem::take(&mut listener.overflowed) {
                        shared.order_dumps([inode]);
                    }
                    break;
                }
                Err(_) => {
                    // It would wake us for ever. The next look at the namespaces opens another one.
                    self.by_inode.remove(&inode);
                    self.count(&shared.totals);
                    break;
                }
            }
        }
        add(&shared.totals.datagrams, datagrams);
        add(&shared.totals.malformed, malformed);
        add(&shared.totals.events, u64::try_from(news.len()).unwrap_or(0));
        let now = now();
        let began = self.empty_at.max(now.saturating_sub(LATEST_NS)).max(1);
        let mut table = lock(&shared.table);
        for one in news {
            match one {
                News::Begin(translation) => table.begin(inode, &translation, began, now),
                News::End(translation) => table.end(inode, &translation, now),
            }
        }
    }
}
