//! The way from a network namespace to an address: the next router, and the interface that packets leave by.
//!
//! The kernel is asked for one destination at a time (`RTM_GETROUTE`, `RTM_GETLINK`), and its answers are remembered for a
//! while. It is not asked to tell of changes: each namespace would cost a socket that keeps it alive, and a change shows when
//! what is remembered is too old.
//!
//! What the kernel is not told, and may decide otherwise for: marks, interfaces that a socket is bound to, rules by user, and
//! ports where a route has several ways.

mod kernel;
mod key;
mod lending;
mod messages;
mod remembered;

use std::fmt;
use std::hash::BuildHasher;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::thread;
use std::time::{Duration, Instant};

use connections::{Annotation, Interface, Route};
use foldhash::fast::RandomState;

use crate::address_bits::address;
use crate::batch::{AT_ONCE, Question, fetch_each};
use crate::namespaces::Namespaces;
use kernel::{Kernel, NoAnswer};
use key::Key;
use lending::Lending;
use remembered::Remembered;

/// In every namespace the loopback interface has this number.
const LOOPBACK: u32 = 1;

/// What is remembered of routes, and for how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RouteLimits {
    /// Pairs of a source and a destination in a namespace, those without a way included: each 128 bytes, and 10 in the
    /// index. At the default of 8192 that is 1.1 MiB. The one that was not asked for longest is forgotten
    /// for the next.
    pub routes: usize,
    /// Interfaces, as many in all namespaces together: each 64 bytes, and 10 in the
    /// index. At the default of 4096 that is 0.3 MiB.
    pub interfaces: usize,
    /// Sockets, one in each namespace; at least one. The one that was not used longest is closed for the next.
    pub sockets: usize,
    /// How long a socket stays open that nothing is asked through: 1 second, and up to twice that. It keeps its namespace
    /// alive.
    pub idle: Duration,
    /// How long the kernel is not asked again: 2 minutes.
    pub time_to_live: Duration,
}

/// What is remembered, and what was not answered, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct RouteCounts {
    /// Destinations that are remembered.
    pub routes: usize,
    /// Interfaces that are remembered.
    pub interfaces: usize,
    /// Sockets that are open.
    pub sockets: usize,
    /// Destinations and interfaces that the kernel was asked for.
    pub asked: u64,
    /// Destinations to which there is no way from the source.
    pub unreachable: u64,
    /// Questions that the kernel did not answer within 100 ms, or not so that it can be read.
    pub silent: u64,
    /// Connections that were not looked at, because there was no time left.
    pub out_of_time: u64,
    /// Connections that were not looked at, because their namespace was not found or cannot be entered.
    pub without_namespace: u64,
    /// Answers that were forgotten for others before they were too old.
    pub forgotten: u64,
}

/// Routes of all network namespaces.
#[derive(Debug)]
pub struct Routes {
    shared: Arc<Shared>,
}

/// Looks for routes until a time is reached.
#[derive(Debug)]
pub struct Looking<'a> {
    shared: &'a Arc<Shared>,
    began: Instant,
    deadline: Instant,
}

struct Shared {
    memory: Mutex<Memory>,
    kernel: Lending<Kernel>,
    sockets: AtomicUsize,
    idle: Duration,
}

struct Memory {
    routes: Remembered<Key, Option<Route>>,
    interfaces: Remembered<(u32, u32), Option<Interface>>,
    counts: RouteCounts,
}

impl Default for RouteLimits {
    fn default() -> Self {
        Self {
            routes: 8192,
            interfaces: 4096,
            sockets: 256,
            idle: Duration::from_secs(1),
            time_to_live: Duration::from_secs(120),
        }
    }
}

impl Routes {
    /// Nothing is opened before somebody looks.
    #[must_use]
    pub fn new(limits: RouteLimits, namespaces: Arc<dyn Namespaces>) -> Self {
        let RouteLimits { routes, interfaces, sockets, idle, time_to_live } = limits;
        let memory = Memory {
            routes: Remembered::new(routes, time_to_live),
            interfaces: Remembered::new(interfaces, time_to_live),
            counts: RouteCounts::default(),
        };
        let random = RandomState::default().hash_one(0) >> 32;
        let kernel = Kernel::new(sockets, u32::try_from(random).unwrap_or(0), namespaces);
        let shared = Shared {
            memory: Mutex::new(memory),
            kernel: Lending::new(kernel),
            sockets: AtomicUsize::new(0),
            idle,
        };
        Self { shared: Arc::new(shared) }
    }

    /// Looks for routes. What is not remembered is asked for until the deadline has passed. Two things may take longer: a
    /// question that waits for the lock of the kernel's own network configuration, and the search for namespaces, at most
    /// once a second, some microseconds for each process of the host.
    #[must_use]
    pub fn look(&self, deadline: Instant) -> Looking<'_> {
        self.look_at(Instant::now(), deadline)
    }

    /// The same for who knows what time it is.
    pub(crate) fn look_at(&self, now: Instant, deadline: Instant) -> Looking<'_> {
        Looking { shared: &self.shared, began: now, deadline }
    }

    /// What is remembered, and what was not answered.
    #[must_use]
    pub fn counts(&self) -> RouteCounts {
        let memory = self.shared.memory();
        RouteCounts {
            routes: memory.routes.len(),
            interfaces: memory.interfaces.len(),
            sockets: self.shared.sockets.load(Ordering::Relaxed),
            ..memory.counts
        }
    }
}

impl Looking<'_> {
    /// The way from `source` to `destination` in the namespace with this inode number: remembered as long as
    /// [`RouteLimits::time_to_live`]. Ports mean nothing; link-local addresses need their scope. The answer belongs to the
    /// number: a namespace that has got the number of another one since has its routes until they are too old.
    #[must_use]
    pub fn of(&self, netns: u32, source: SocketAddr, destination: SocketAddr) -> Option<Route> {
        self.get(Key::of(netns, source, destination))
    }

    fn get(&self, key: Key) -> Option<Route> {
        let asked = key.asked()?;
        if let Some(known) = self.shared.memory().routes.get(&key, self.began) {
            return known;
        }
        self.shared.ask(key, asked, self.deadline)
    }

    /// [`of`](Self::of) from the local ends of a batch of connections to their remote ones, or to where else their packets go:
    /// with one lock for as many as are remembered.
    pub(crate) fn fill(
        &self,
        questions: &[Question<'_>],
        known: &mut [Annotation<'_>],
        elsewhere: impl Fn(usize, &Question<'_>, &Annotation<'_>) -> Option<SocketAddr>,
    ) {
        let (mut keys, mut unknown) = ([Key::NOWHERE; AT_ONCE], [false; AT_ONCE]);
        for (number, ((key, question), known)) in keys.iter_mut().zip(questions).zip(&*known).enumerate() {
            *key = match elsewhere(number, question, known) {
                None => Key::to_remote(question),
                Some(to) => Key::of(question.netns, question.connection.tuple.local, to),
            };
        }
        let keys = &keys[..questions.len()];
        {
            let memory = self.shared.memory();
            let oldest = memory.routes.oldest(self.began);
            let first = memory.routes.first_each(keys);
            // An answer is in two lines of the cache.
            fetch_each(first, |place| {
                Some(place.fetch()? ^ u64::from(memory.routes.is_fresh(place, oldest)))
            });
            for (((key, first), known), unknown) in keys.iter().zip(&first).zip(&mut *known).zip(&mut unknown)
            {
                let place = first.and_then(|first| memory.routes.is_at(first, key));
                match place.and_then(|place| memory.routes.answer(place, oldest)) {
                    Some(route) => known.route = *route,
                    None => *unknown = true,
                }
            }
        }
        // Several may be the same, and be known after the first of them.
        for ((key, known), _) in keys.iter().zip(known).zip(unknown).filter(|(_, unknown)| *unknown) {
            known.route = self.get(*key);
        }
    }
}

impl Shared {
    fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the kernel, and remembers its answer to what was asked by the key.
    fn ask(self: &Arc<Self>, key: Key, asked: Key, deadline: Instant) -> Option<Route> {
        let Some(mut kernel) = self.kernel.lend(deadline) else {
            self.memory().counts.out_of_time += 1;
            return None;
        };
        // Who had the kernel before may have asked the same.
        let now = Instant::now();
        if let Some(known) = self.memory().routes.get(&key, now) {
            return known;
        }
        let answered = self.route(&mut kernel, asked, deadline);
        self.sockets.store(kernel.sockets(), Ordering::Relaxed);
        self.tidy_later(&mut kernel);
        let mut memory = self.memory();
        memory.counts.asked = kernel.asked;
        drop(kernel);
        let found = match answered {
            Ok(found) => found,
            // It is not asked again at once: each time takes long.
            Err(NoAnswer::Silent) => {
                memory.counts.silent += 1;
                None
            }
            Err(NoAnswer::OutOfTime) => {
                memory.counts.out_of_time += 1;
                return None;
            }
            Err(NoAnswer::NoNamespace) => {
                memory.counts.without_namespace += 1;
                return None;
            }
        };
        memory.counts.forgotten += u64::from(memory.routes.insert(key, found, now));
        found
    }

    fn route(&self, kernel: &mut Kernel, asked: Key, deadline: Instant) -> Result<Option<Route>, NoAnswer> {
        let Key { netns, scope, .. } = asked;
        let [source, destination] = [asked.source, asked.destination].map(address);
        let (gateway, index) = if destination.is_loopback() {
            (None, LOOPBACK)
        } else {
            let source = Some(source).filter(|source| !source.is_unspecified());
            let Some(hop) = kernel.hop(netns, source, destination, scope, deadline)? else {
                self.memory().counts.unreachable += 1;
                return Ok(None);
            };
            (hop.gateway, hop.interface)
        };
        let interface = self.interface(kernel, netns, index, deadline)?;
        Ok(interface.map(|interface| Route { gateway, interface }))
    }

    fn interface(
        &self,
        kernel: &mut Kernel,
        netns: u32,
        index: u32,
        deadline: Instant,
    ) -> Result<Option<Interface>, NoAnswer> {
        let now = Instant::now();
        if let Some(known) = self.memory().interfaces.get(&(netns, index), now) {
            return Ok(known);
        }
        let interface = kernel.interface(netns, index, deadline)?;
        let mut memory = self.memory();
        memory.counts.forgotten += u64::from(memory.interfaces.insert((netns, index), interface, now));
        Ok(interface)
    }

    /// Sees to it that sockets are closed also when nobody looks any more. The thread ends with the last of them.
    fn tidy_later(self: &Arc<Self>, kernel: &mut Kernel) {
        if kernel.is_tidied || kernel.sockets() == 0 {
            return;
        }
        let (shared, idle) = (Arc::downgrade(self), self.idle);
        let tidies = move || while tidy(&shared, idle) {};
        let thread = thread::Builder::new().name("routes".into()).spawn(tidies);
        kernel.is_tidied = thread.is_ok();
    }
}

/// After a while, closes the sockets that are idle; false when there is none left.
fn tidy(shared: &Weak<Shared>, idle: Duration) -> bool {
    thread::sleep(idle);
    let Some(shared) = shared.upgrade() else { return false };
    let Some(mut kernel) = shared.kernel.lend(Instant::now() + idle) else { return true };
    kernel.close_idle(Instant::now(), idle);
    kernel.is_tidied = kernel.sockets() > 0;
    shared.sockets.store(kernel.sockets(), Ordering::Relaxed);
    kernel.is_tidied
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Shared").field("sockets", &self.sockets).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use remembered::Answer;

    use super::*;
    use crate::by_use::Place;

    #[test]
    fn what_is_remembered_takes_as_much_as_the_limits_say() {
        assert_eq!(size_of::<Place<Key, Answer<Option<Route>>>>(), 128);
        assert_eq!(size_of::<Place<(u32, u32), Answer<Option<Interface>>>>(), 64);
    }
}
