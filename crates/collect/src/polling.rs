//! Connections without BPF: the kernel's socket diagnosis (`sock_diag`) lists what is live when somebody asks, and tells the
//! ends of TCP sockets with their final counters; `/proc` tells who holds a socket.
//!
//! What this cannot see is said by its capabilities. Within a pass the readings come first and the ends after them, as with
//! the programs. The parts know nothing of one another but through this loop.

mod known;
mod message;
mod owners;
mod reading;
mod socket;
mod spaces;
mod support;
mod tcp_info;

use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use connections::Event;
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::CollectLimits;
use crate::audit::thread_time;
use crate::bpf::{KernelMaps, ProgramCosts};
use crate::clock::kernel_now;
use crate::collector::{PassRequests, Ready, Shared, Support};
use crate::counts::KernelCounts;
use crate::error::CollectError;
use crate::outlet::{Outlet, Report};
use crate::privileges::relinquish;

use known::{KnownSockets, Left};
use message::{IPPROTO_TCP, IPPROTO_UDP, Message, Socket};
use owners::Owners;
use socket::{DATAGRAM_BYTES, Heard};
use spaces::Spaces;

/// Ends are taken at least this often: with 8 MiB the kernel holds some 21 000 of each namespace.
const HEAR_INTERVAL: Duration = Duration::from_millis(50);
/// A pass is made at least this often, so that packet counters of 32 bits cannot wrap unseen.
const PASS_INTERVAL: Duration = Duration::from_secs(60);
/// A search for owners is not repeated for so many times as long as it took, and at least for a second.
const OWNER_PAUSE_FACTOR: u32 = 50;
const OWNER_PAUSE_MIN: Duration = Duration::from_secs(1);
/// So many events are handed over at once.
const BATCH: usize = 512;

/// Why there are no programs where nobody wants them.
pub(crate) const ASKED_FOR: &str = "asked for by collect.backend";

/// Takes over what is there, says that it is ready, and goes on until nobody wants more. `reason`: why not by programs.
///
/// # Errors
/// [`CollectError`] when not even the own network namespace can be asked.
pub(crate) fn collect(
    limits: CollectLimits,
    reason: &str,
    shared: &Shared,
    outlet: &mut Outlet<'_>,
    ready: &Ready,
) -> Result<(), CollectError> {
    limits.keep.map_or(Ok(()), relinquish)?;
    let mut poller = Poller::start(limits, shared)?;
    poller.look_for_owners();
    poller.pass(true, outlet);
    let support = support::support(reason, &poller.spaces, &poller.owners, limits);
    let no_maps = KernelMaps::of(std::iter::empty());
    let maps = no_maps.map_err(|source| CollectError::Map { operation: "open", map: "none", source })?;
    // Full or disconnected it cannot be: this is its first message, and the starter waits for it.
    let _ = ready.try_send(Ok((support, maps)));
    poller.run(outlet)
}

/// What polling would serve now; `reason`: why not by programs.
///
/// # Errors
/// As [`collect`].
pub(crate) fn tried(limits: CollectLimits, reason: &str) -> Result<Support, CollectError> {
    let requests = PassRequests::new()?;
    let mut poller = Poller::start(limits, requests.shared())?;
    poller.look_for_owners();
    Ok(support::support(reason, &poller.spaces, &poller.owners, limits))
}

struct Poller<'a> {
    shared: &'a Shared,
    spaces: Spaces,
    known: KnownSockets,
    owners: Owners,
    owners_after: Instant,
    follow_udp: bool,
    buffer: Vec<u8>,
    counts: KernelCounts,
    served: u64,
    last_pass: Instant,
    /// Ends were lost: those of known sockets are found missing in the next lists.
    overflowed: bool,
}

impl<'a> Poller<'a> {
    fn start(limits: CollectLimits, shared: &'a Shared) -> Result<Self, CollectError> {
        let refused = limits.refuse.names("sock_diag");
        let spaces = Spaces::find(usize::try_from(limits.ring_bytes).unwrap_or(usize::MAX));
        if refused || spaces.open.is_empty() {
            let reason = spaces.refused.unwrap_or_else(|| "refused by collect.refuse".to_owned());
            return Err(CollectError::Refused { what: "the list of sockets (sock_diag)", reason });
        }
        Ok(Self {
            shared,
            spaces,
            known: KnownSockets::with_room(usize::try_from(limits.tcp_slots).unwrap_or(usize::MAX)),
            owners: Owners::default(),
            owners_after: Instant::now(),
            follow_udp: limits.follow_udp,
            buffer: vec![0; DATAGRAM_BYTES],
            counts: KernelCounts::default(),
            served: 0,
            last_pass: Instant::now(),
            overflowed: false,
        })
    }

    fn run(&mut self, outlet: &mut Outlet<'_>) -> Result<(), CollectError> {
        // Tells the listeners, from which directions follow.
        self.serve(outlet);
        while !self.shared.stopping.load(Ordering::SeqCst) && !outlet.is_closed() {
            self.wait()?;
            self.spaces.look_if_due();
            let requested = self.shared.requested.load(Ordering::SeqCst);
            let is_due = self.last_pass.elapsed() >= PASS_INTERVAL;
            if requested > self.served || is_due || std::mem::take(&mut self.overflowed) {
                self.serve(outlet);
            } else {
                self.hear(outlet);
            }
        }
        Ok(())
    }

    /// What a request waits for: lists everything, and again when owners were looked for.
    fn serve(&mut self, outlet: &mut Outlet<'_>) {
        let request = self.shared.requested.load(Ordering::SeqCst);
        let began = Instant::now();
        self.last_pass = began;
        self.pass(false, outlet);
        if self.known.unsettled > 0 && Instant::now() >= self.owners_after {
            self.look_for_owners();
            self.pass(false, outlet);
        }
        let took = u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.counts.pass_ns = self.counts.pass_ns.saturating_add(took);
        self.counts.last_pass_ns = took;
        self.counts.closed = self.known.ended;
        self.counts.table_full = self.known.refused;
        self.counts.ends_emptied = self.known.emptied;
        self.counts.claimed_late = self.known.unseen;
        outlet.report(Report::PassEnded { request, counts: self.counts, costs: ProgramCosts::default() });
        self.served = request;
    }

    fn look_for_owners(&mut self) {
        let began = thread_time();
        self.owners.search();
        let took = thread_time().saturating_sub(began);
        self.owners_after = Instant::now() + (took * OWNER_PAUSE_FACTOR).max(OWNER_PAUSE_MIN);
    }

    /// Lists all sockets of all namespaces, then takes the ends.
    fn pass(&mut self, adopting: bool, outlet: &mut Outlet<'_>) {
        let at = kernel_now();
        self.known.pass_begins(adopting, at);
        let spaces: Vec<u32> = self.spaces.open.keys().copied().collect();
        for netns in spaces {
            for family in message::FAMILIES {
                self.list(netns, family, IPPROTO_TCP, outlet);
                if self.follow_udp {
                    self.list(netns, family, IPPROTO_UDP, outlet);
                }
            }
        }
        self.hear(outlet);
        let mut events = Vec::new();
        self.known.pass_ended(kernel_now(), &self.owners, |event| events.push(event));
        events.push(Event::PassEnded { at });
        outlet.events(events);
    }

    /// A list that changed while it was made is made again once: what is missing then waits for the next pass.
    fn list(&mut self, netns: u32, family: u8, protocol: u8, outlet: &mut Outlet<'_>) {
        const ATTEMPTS: usize = 2;
        let requests = message::SYN_RECEIVED | message::NEW_SYN_RECEIVED;
        let states = !(message::TIME_WAIT | requests | message::CLOSED);
        // An unconnected UDP socket is in the closed state, and is no connection.
        let request = message::list(family, protocol, states);
        for _ in 0..ATTEMPTS {
            let Some(space) = self.spaces.open.get(&netns) else { return };
            let (known, owners, at) = (&mut self.known, &self.owners, kernel_now());
            let mut events = Vec::with_capacity(BATCH);
            let take = |mut socket: Socket| {
                socket.protocol = Some(protocol);
                known.listed(netns, &socket, at, owners, |event| events.push(event));
                if events.len() >= BATCH {
                    outlet.events(std::mem::replace(&mut events, Vec::with_capacity(BATCH)));
                }
            };
            let malformed = &mut self.counts.malformed;
            let asked = socket::ask(&space.asked, &request, true, &mut self.buffer, malformed, take);
            outlet.events(events);
            match asked {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    tracing::warn!(netns, %error, "cannot list the sockets of a network namespace");
                    return;
                }
            }
        }
    }

    /// Takes the ends that wait in all namespaces.
    fn hear(&mut self, outlet: &mut Outlet<'_>) {
        for (&netns, space) in &mut self.spaces.open {
            let (known, counts, at) = (&mut self.known, &mut self.counts, kernel_now());
            let mut ended: Vec<Socket> = Vec::new();
            let heard = socket::hear(&space.heard, &mut self.buffer, &mut counts.malformed, |message| {
                if let Message::Socket(socket) = message {
                    ended.push(*socket);
                }
            });
            match heard {
                Ok(Heard::All) => {}
                Ok(Heard::Overflow) => {
                    let lost = socket::lost(&space.heard);
                    counts.ends_overflowed += 1;
                    counts.ends_lost += lost.saturating_sub(std::mem::replace(&mut space.lost, lost));
                    self.overflowed = true;
                }
                Err(error) => tracing::warn!(netns, %error, "cannot hear of the ends of sockets"),
            }
            let mut events = Vec::with_capacity(ended.len().min(BATCH));
            for socket in &ended {
                let mut leavings =
                    |socket: &Socket| left(&space.asked, socket, &mut self.buffer, &mut counts.malformed);
                events.extend(known.has_ended(netns, socket, at, &mut leavings));
                if events.len() >= BATCH {
                    outlet.events(std::mem::take(&mut events));
                }
            }
            outlet.events(events);
        }
    }

    /// Returns when somebody asks, or it is time to hear.
    fn wait(&self) -> Result<(), CollectError> {
        let timeout = Timespec::try_from(HEAR_INTERVAL).expect("50 ms fit");
        match poll(&mut [PollFd::from_borrowed_fd(self.shared.waker(), PollFlags::IN)], Some(&timeout)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(error) => {
                let source = io::Error::from(error);
                return Err(CollectError::System { operation: "wait for requests", source });
            }
        }
        self.shared.is_awake();
        Ok(())
    }
}

/// What the kernel has now where the connection was.
fn left(asked: &OwnedFd, ended: &Socket, buffer: &mut [u8], malformed: &mut u64) -> Left {
    let request = message::find(IPPROTO_TCP, ended.local, ended.remote);
    let mut left = Left::Nothing;
    let take = |found: Socket| {
        left = match (found.state, found.info) {
            (known::TCP_LISTEN, _) => Left::Listener,
            // Without facts of TCP it is no socket.
            (known::TCP_TIME_WAIT, None) => Left::Name,
            (known::TCP_FIN_WAIT2, None) => Left::NameWithoutFin,
            _ => Left::Nothing,
        };
    };
    // Refused, nothing is there.
    let _ = socket::ask(asked, &request, false, buffer, malformed, take);
    left
}
