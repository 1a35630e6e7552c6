//! The sockets that are followed, by their cookies: what is kept of each from one look to the next, and the events that
//! follow from a listing and from an end.
//!
//! Touches nothing: who lists and hears is `polling`.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use connections::{
    ConnectionId, Direction, Ending, Event, Facts, KernelTime, Listener, Observation, Owner, Protocol, State,
    Tuple, UdpFacts,
};

use super::message::{IPPROTO_UDP, Socket};
use super::owners::Owners;
use super::reading;
use super::tcp_info::TcpInfo;
use crate::record;

/// A socket that is not listed any more and whose end was not heard of is kept so long: the kernel tells ends from a work
/// queue.
const GRACE_NS: u64 = 2_000_000_000;

const TCP_LISTEN: u8 = 10;

/// What is kept of a socket.
#[derive(Debug, Clone, Copy)]
struct Known {
    id: ConnectionId,
    tuple: Tuple,
    direction: Direction,
    owner: Option<Owner>,
    state: State,
    pre_existing: bool,
    listens: bool,
    counters: connections::RawCounters,
    facts: Facts,
    pass: u64,
    seen_at: KernelTime,
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct KnownSockets {
    by_cookie: HashMap<u64, Known>,
    listening: HashMap<(u32, u16), u64>,
    room: usize,
    pass: u64,
    /// Sockets that are there already are older than the tracer.
    adopting: bool,
    /// Connections that have no owner, as of the last pass.
    pub(super) unsettled: u64,
    /// Sockets beyond the room.
    pub(super) refused: u64,
    /// Ends that were told of sockets which nobody had seen, and ends in all.
    pub(super) unseen: u64,
    pub(super) ended: u64,
    /// Ends of connections that nobody had seen, and of which the kernel had forgotten everything.
    pub(super) zeroed: u64,
}

/// Whether an ended connection left something in `TIME_WAIT`: then this end closed first.
pub(super) type ClosedFirst<'a> = &'a mut dyn FnMut(&Socket) -> bool;

impl KnownSockets {
    pub(super) fn with_room(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    /// Everything is about to be listed.
    pub(super) fn pass_begins(&mut self, adopting: bool) {
        self.pass += 1;
        self.adopting = adopting;
        self.unsettled = 0;
    }

    /// A socket is listed.
    pub(super) fn listed(
        &mut self,
        netns: u32,
        socket: &Socket,
        at: KernelTime,
        owners: &Owners,
    ) -> Option<Event> {
        let is_udp = socket.protocol == Some(IPPROTO_UDP);
        let listens = !is_udp && socket.state == TCP_LISTEN;
        if !listens && socket.remote.port() == 0 {
            return None;
        }
        let fresh = self.fresh(netns, socket, at, listens)?;
        let owner = owners.of(socket.inode).map(|owner| Owner { cgroup_id: socket.cgroup_id, ..owner });
        let is_full = self.by_cookie.len() >= self.room;
        let (known, is_new) = match self.by_cookie.entry(socket.cookie) {
            Entry::Occupied(kept) => (kept.into_mut(), false),
            Entry::Vacant(_) if is_full => {
                self.refused += 1;
                return None;
            }
            Entry::Vacant(free) => (free.insert(fresh), true),
        };
        known.take(&fresh, owner);
        known.pass = self.pass;
        if listens {
            self.listening.insert((netns, socket.local.port()), socket.cookie);
            return Some(Event::Listening(known.listener()));
        }
        self.unsettled += u64::from(known.owner.is_none());
        let observation = known.observation();
        Some(if is_new && self.adopting { Event::Adopted(observation) } else { Event::Read(observation) })
    }

    /// What a listing alone says. `None` for a state that is none.
    fn fresh(&self, netns: u32, socket: &Socket, at: KernelTime, listens: bool) -> Option<Known> {
        let is_udp = socket.protocol == Some(IPPROTO_UDP);
        let state = if is_udp { State::Open } else { record::state(socket.state)? };
        let info = socket.info.unwrap_or_default();
        let fin = reading::fin_is_in(state);
        let (protocol, facts, counters) = if is_udp {
            (
                Protocol::Udp,
                Facts::Udp(UdpFacts { counted: false, ..UdpFacts::default() }),
                Default::default(),
            )
        } else {
            (Protocol::Tcp, reading::facts(socket, &info, fin), reading::counters(&info, fin))
        };
        let tuple = Tuple::canonical(protocol, netns, socket.local, socket.remote);
        let direction = if is_udp { Direction::Unknown } else { self.direction(netns, socket, &info) };
        Some(Known {
            id: ConnectionId { cookie: socket.cookie, claimed_at: at },
            tuple,
            direction,
            owner: None,
            state,
            pre_existing: self.adopting,
            listens,
            counters,
            facts,
            pass: self.pass,
            seen_at: at,
        })
    }

    /// By its numbers, and where these do not tell, by who listens.
    fn direction(&self, netns: u32, socket: &Socket, info: &TcpInfo) -> Direction {
        match reading::direction(socket, info) {
            Direction::Unknown => self.direction_by_port(netns, socket),
            direction => direction,
        }
    }

    fn direction_by_port(&self, netns: u32, socket: &Socket) -> Direction {
        let listens = self.listening.contains_key(&(netns, socket.local.port()));
        if listens { Direction::Incoming } else { Direction::Outgoing }
    }

    /// Everything was listed. What is missing, and was not told as ended, gets some time: the events say that nothing is new
    /// of it.
    pub(super) fn pass_ended(&mut self, at: KernelTime) -> Option<Event> {
        let pass = self.pass;
        let mut waiting = Vec::new();
        self.by_cookie.retain(|_, known| {
            if known.pass == pass {
                return true;
            }
            let waits = !known.listens && at.0.saturating_sub(known.seen_at.0) < GRACE_NS;
            if waits && known.tuple.protocol == Protocol::Tcp {
                waiting.push(known.id);
            }
            waits
        });
        self.listening.retain(|_, cookie| self.by_cookie.contains_key(cookie));
        (!waiting.is_empty()).then_some(Event::Unchanged(waiting))
    }

    /// True when the socket was seen before.
    pub(super) fn knows(&self, socket: &Socket) -> bool {
        self.by_cookie.contains_key(&socket.cookie)
    }

    /// A socket listens, as seen between two passes: only directions follow from it until the next one.
    pub(super) fn listens(&mut self, netns: u32, socket: &Socket) {
        self.listening.insert((netns, socket.local.port()), socket.cookie);
    }

    /// A TCP socket has ended.
    pub(super) fn has_ended(
        &mut self,
        netns: u32,
        socket: &Socket,
        at: KernelTime,
        closed_first: ClosedFirst<'_>,
    ) -> Option<Event> {
        let known = self.by_cookie.remove(&socket.cookie);
        if let Some(known) = known.filter(|known| known.listens) {
            self.listening.remove(&(netns, known.tuple.local.port()));
            return Some(Event::ListenerClosed(known.listener()));
        }
        // A reset by this end and a connect that failed zero the numbers before the end is told (tcp_disconnect): those of
        // the last look are the newest. Sequence numbers begin anew far beyond, which tells it from one that never connected.
        let zeroed = socket.remote.port() == 0;
        if zeroed && known.is_none() {
            self.zeroed += u64::from(socket.unacknowledged > 0);
            return None;
        }
        self.ended += 1;
        self.unseen += u64::from(known.is_none());
        let info = socket.info.unwrap_or_default();
        let mut last = match known {
            Some(known) => known,
            None => Known { pre_existing: false, ..self.fresh(netns, socket, at, false)? },
        };
        let was = known.map(|known| known.state);
        let (state_before, errno) = reading::ending(&info, was);
        if !zeroed {
            if known.is_none() {
                last.direction = self.direction_of_ended(netns, socket, &info);
            }
            let fin = fin_is_in(socket, &info, last.direction, was, closed_first);
            last.counters = reading::counters(&info, fin);
            last.facts = reading::facts(socket, &info, fin);
        }
        last.state = State::Closed;
        Some(Event::Closed(last.observation(), Ending { closed_at: at, state_before, errno }))
    }

    fn direction_of_ended(&self, netns: u32, socket: &Socket, info: &TcpInfo) -> Direction {
        match reading::direction_of_ended(socket, info) {
            Direction::Unknown => self.direction_by_port(netns, socket),
            direction => direction,
        }
    }
}

/// The FIN of the other end is in what an ended socket received. Unread, it still waits; that it was read only shows in the
/// order of the closes: who closed first is in `TIME_WAIT`, and most often without having waited for the other's FIN.
fn fin_is_in(
    socket: &Socket,
    info: &TcpInfo,
    direction: Direction,
    was: Option<State>,
    closed_first: ClosedFirst<'_>,
) -> bool {
    if info.bytes_received == 0 {
        return false;
    }
    if was.is_some_and(reading::fin_is_in) {
        return true;
    }
    if !reading::own_fin_is_acknowledged(socket, info, direction) {
        return false;
    }
    socket.unread == 1 || (socket.unread == 0 && !closed_first(socket))
}

impl Known {
    /// What a further listing says.
    fn take(&mut self, fresh: &Self, owner: Option<Owner>) {
        self.state = fresh.state;
        self.counters = fresh.counters;
        self.facts = fresh.facts;
        self.seen_at = fresh.seen_at;
        // A socket that is connecting has no port yet.
        self.tuple = fresh.tuple;
        if self.owner.is_none() {
            self.owner = owner;
        }
    }

    fn listener(&self) -> Listener {
        Listener { id: self.id, netns: self.tuple.netns, local: self.tuple.local, owner: self.owner }
    }

    fn observation(&self) -> Observation {
        Observation {
            id: self.id,
            tuple: self.tuple,
            direction: self.direction,
            owner: self.owner,
            state: self.state,
            established_at: None,
            pre_existing: self.pre_existing,
            found: false,
            counters: self.counters,
            facts: self.facts,
            failed: None,
            isns: None,
        }
    }
}
