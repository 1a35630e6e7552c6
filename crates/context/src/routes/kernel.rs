//! The kernel, asked in each network namespace through a socket there.
//!
//! Owns the sockets. A socket keeps its namespace alive, and with it the interfaces that lead there, so one that nothing
//! was asked through for a while is closed by whoever calls [`Kernel::close_idle`].

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Arc;
use std::time::{Duration, Instant};

use connections::Interface;
use foldhash::fast::RandomState;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvFlags, SendFlags, recv, send};
use rustix::time::Timespec;

use super::messages::{Answer, Hop, interface_answer, interface_question, route_answer, route_question};
use crate::namespaces::{Namespace, Namespaces};

/// `NETLINK_ROUTE`.
const ROUTE_PROTOCOL: i32 = 0;

/// Namespaces are looked for, and those are tried again that could not be entered, not more often than this.
const SEARCH_PAUSE: Duration = Duration::from_secs(1);

/// The kernel is given up on after this time.
const PATIENCE: Duration = Duration::from_millis(100);

/// Room for an answer: those that are asked for have less than 2 KiB.
const ANSWER_BYTES: usize = 16 * 1024;

/// So many namespaces are known by their paths.
const NAMESPACES_MAX: usize = 65_536;

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoAnswer {
    /// The namespace was not found, or cannot be entered: it was not asked.
    NoNamespace,
    /// There was no time left.
    OutOfTime,
    /// It did not answer, or not what can be read.
    Silent,
}

/// Asks the kernel, one question at a time.
pub(super) struct Kernel {
    namespaces: Arc<dyn Namespaces>,
    found: HashMap<u32, Namespace, RandomState>,
    searched_at: Option<Instant>,
    sockets: HashMap<u32, Socket, RandomState>,
    sockets_max: usize,
    sequence: u32,
    buffer: Vec<u8>,
    /// Questions that were asked.
    pub(super) asked: u64,
    /// True while somebody closes idle sockets.
    pub(super) is_tidied: bool,
}

struct Socket {
    descriptor: OwnedFd,
    used_at: Instant,
}

impl Kernel {
    /// The numbers of its questions begin with one that nobody else can know, and who may send to its sockets therefore
    /// cannot answer them.
    pub(super) fn new(sockets_max: usize, first_sequence: u32, namespaces: Arc<dyn Namespaces>) -> Self {
        Self {
            namespaces,
            found: HashMap::default(),
            searched_at: None,
            sockets: HashMap::default(),
            sockets_max: sockets_max.max(1),
            sequence: first_sequence,
            buffer: vec![0; ANSWER_BYTES],
            asked: 0,
            is_tidied: false,
        }
    }

    /// By which way a packet from there would leave the namespace.
    pub(super) fn hop(
        &mut self,
        netns: u32,
        source: Option<IpAddr>,
        destination: IpAddr,
        scope: u32,
        deadline: Instant,
    ) -> Result<Option<Hop>, NoAnswer> {
        let sequence = self.next_sequence();
        let question = route_question(sequence, source, destination, scope);
        self.ask(netns, &question, deadline, |bytes| route_answer(bytes, sequence))
    }

    /// The interface with this number in that namespace.
    pub(super) fn interface(
        &mut self,
        netns: u32,
        index: u32,
        deadline: Instant,
    ) -> Result<Option<Interface>, NoAnswer> {
        let sequence = self.next_sequence();
        let question = interface_question(sequence, index);
        self.ask(netns, &question, deadline, |bytes| interface_answer(bytes, sequence))
    }

    pub(super) fn close_idle(&mut self, now: Instant, idle: Duration) {
        self.sockets.retain(|_, socket| now.saturating_duration_since(socket.used_at) < idle);
    }

    pub(super) fn sockets(&self) -> usize {
        self.sockets.len()
    }

    fn next_sequence(&mut self) -> u32 {
        self.sequence = self.sequence.wrapping_add(1);
        self.sequence
    }

    fn ask<T>(
        &mut self,
        netns: u32,
        question: &[u8],
        deadline: Instant,
        read: impl Fn(&[u8]) -> Option<Answer<T>>,
    ) -> Result<Option<T>, NoAnswer> {
        let now = Instant::now();
        if now >= deadline {
            return Err(NoAnswer::OutOfTime);
        }
        self.open(netns, now)?;
        self.asked = self.asked.saturating_add(1);
        let Self { sockets, buffer, .. } = self;
        let socket = sockets.get_mut(&netns).ok_or(NoAnswer::NoNamespace)?;
        socket.used_at = now;
        let until = deadline.min(now + PATIENCE);
        match exchange(&socket.descriptor, question, buffer, until, read) {
            Ok(Some(Answer::Is(answer))) => Ok(Some(answer)),
            Ok(Some(Answer::None)) => Ok(None),
            // What it may still say to this question is not what the next one asks: its number differs.
            Ok(None) if until == deadline => Err(NoAnswer::OutOfTime),
            Ok(Some(Answer::Unreadable) | None) | Err(_) => {
                sockets.remove(&netns);
                Err(NoAnswer::Silent)
            }
        }
    }

    /// Makes that there is a socket in this namespace.
    fn open(&mut self, netns: u32, now: Instant) -> Result<(), NoAnswer> {
        if self.sockets.contains_key(&netns) {
            return Ok(());
        }
        let descriptor = match self.enter(netns) {
            Some(descriptor) => descriptor,
            // Also one that was found before: what led to it then may be gone.
            None if self.search(now) => self.enter(netns).ok_or(NoAnswer::NoNamespace)?,
            None => return Err(NoAnswer::NoNamespace),
        };
        while self.sockets.len() >= self.sockets_max {
            let oldest = self.sockets.iter().min_by_key(|(_, socket)| socket.used_at);
            let Some(oldest) = oldest.map(|(netns, _)| *netns) else { break };
            self.sockets.remove(&oldest);
        }
        self.sockets.insert(netns, Socket { descriptor, used_at: now });
        Ok(())
    }

    /// A socket in the namespace, if it is known. One that cannot be entered is not tried again before the next search has
    /// found it.
    fn enter(&mut self, netns: u32) -> Option<OwnedFd> {
        let descriptor = self.namespaces.netlink(self.found.get(&netns)?, ROUTE_PROTOCOL);
        if descriptor.is_err() {
            self.found.remove(&netns);
        }
        descriptor.ok()
    }

    /// Looks for namespaces; false where that was done a moment ago.
    fn search(&mut self, now: Instant) -> bool {
        if self.searched_at.is_some_and(|at| now.saturating_duration_since(at) < SEARCH_PAUSE) {
            return false;
        }
        let all = self.namespaces.all().into_iter().take(NAMESPACES_MAX);
        self.found = all.map(|namespace| (namespace.inode, namespace)).collect();
        self.searched_at = Some(now);
        true
    }
}

impl fmt::Debug for Kernel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kernel").field("sockets", &self.sockets.len()).finish_non_exhaustive()
    }
}

/// Asks and waits for the answer; `None` where it did not come in time.
fn exchange<T>(
    socket: &OwnedFd,
    question: &[u8],
    buffer: &mut [u8],
    until: Instant,
    read: impl Fn(&[u8]) -> Option<Answer<T>>,
) -> rustix::io::Result<Option<Answer<T>>> {
    send(socket, question, SendFlags::DONTWAIT | SendFlags::NOSIGNAL)?;
    loop {
        match recv(socket.as_fd(), &mut *buffer, RecvFlags::DONTWAIT) {
            // A socket whose other end is gone; netlink has none.
            Ok((0, _)) => return Ok(Some(Answer::Unreadable)),
            Ok((length, _)) => {
                if let Some(answer) = read(buffer.get(..length).unwrap_or_default()) {
                    return Ok(Some(answer));
                }
            }
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => {
                let mut waited_for = [PollFd::new(socket, PollFlags::IN)];
                match poll(&mut waited_for, Some(&timespec(until))) {
                    Ok(_) | Err(Errno::INTR) => {}
                    Err(refused) => return Err(refused),
                }
            }
            Err(refused) => return Err(refused),
        }
        if Instant::now() >= until {
            return Ok(None);
        }
    }
}

fn timespec(until: Instant) -> Timespec {
    let left = until.saturating_duration_since(Instant::now());
    Timespec {
        tv_sec: i64::try_from(left.as_secs()).unwrap_or(i64::MAX),
        tv_nsec: i64::from(left.subsec_nanos()),
    }
}
