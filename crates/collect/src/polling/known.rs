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

/// The kernel tells of an end within this time, however busy it is.
const HASTE_MS: u32 = 1000;

/// Times of sockets are told in ticks: 10 ms at the slowest.
const TICK_NS: u64 = 10_000_000;

/// By include/net/tcp_states.h.
pub(super) const TCP_FIN_WAIT2: u8 = 5;
pub(super) const TCP_TIME_WAIT: u8 = 6;
pub(super) const TCP_LISTEN: u8 = 10;

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
    /// 0 when no file is open of it.
    inode: u32,
    pass: u64,
    seen_at: KernelTime,
}

const _: () = assert!(size_of::<Known>() <= 520, "as the limits say");

/// All of them.
#[derive(Debug, Default)]
pub(super) struct KnownSockets {
    by_cookie: HashMap<u64, Known>,
    listening: HashMap<(u32, u16), u64>,
    room: usize,
    pass: u64,
    /// Sockets that are there already are older than the tracer.
    adopting: bool,
    /// When the sockets that are older than the tracer were listed.
    adopted_at: KernelTime,
    /// Connections of which an owner is to be looked for: they have none, or are not listed any more and may still be held.
    pub(super) unsettled: u64,
    /// The most sockets beyond the room in one pass, and those of the last.
    pub(super) refused: u64,
    refused_now: u64,
    /// Ends that were told of sockets which nobody had seen, and ends in all.
    pub(super) unseen: u64,
    pub(super) ended: u64,
    /// Ends of connections whose counters were emptied before they were told.
    pub(super) emptied: u64,
}

/// What the kernel has where an ended connection was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Left {
    /// Its name, in `TIME_WAIT`: this end closed first.
    Name,
    /// Its name, in `FIN_WAIT_2`: this end closed first, and the other has not yet.
    NameWithoutFin,
    /// Nothing but a socket that listens at the local end.
    Listener,
    /// Another connection, or nothing.
    Nothing,
}

/// Asks for that.
pub(super) type Leavings<'a> = &'a mut dyn FnMut(&Socket) -> Left;

impl KnownSockets {
    pub(super) fn with_room(room: usize) -> Self {
        Self { room, ..Self::default() }
    }

    /// Everything is about to be listed.
    pub(super) fn pass_begins(&mut self, adopting: bool, at: KernelTime) {
        self.pass += 1;
        if adopting {
            self.adopted_at = at;
        }
        self.adopting = adopting;
        self.unsettled = 0;
        self.refused_now = 0;
    }

    /// A socket is listed.
    pub(super) fn listed(
        &mut self,
        netns: u32,
        socket: &Socket,
        at: KernelTime,
        owners: &Owners,
        mut tell: impl FnMut(Event),
    ) {
        let is_udp = socket.protocol == Some(IPPROTO_UDP);
        let listens = !is_udp && socket.state == TCP_LISTEN;
        // Without facts of TCP it is a name in TIME_WAIT or a request, and no socket.
        if !listens && (socket.remote.port() == 0 || !is_udp && socket.info.is_none()) {
            return;
        }
        let Some(fresh) = self.fresh(netns, socket, at, listens) else { return };
        if let Some(earlier) = self.by_cookie.get(&socket.cookie).filter(|known| known.is_other(&fresh)) {
            match earlier.listens {
                true => tell(Event::ListenerClosed(earlier.listener())),
                false => tell(earlier.ended(at)),
            }
            self.by_cookie.remove(&socket.cookie);
        }
        let owner = owners.of(socket.inode).map(|owner| Owner { cgroup_id: socket.cgroup_id, ..owner });
        let is_full = self.by_cookie.len() >= self.room;
        let (known, is_new) = match self.by_cookie.entry(socket.cookie) {
            Entry::Occupied(kept) => (kept.into_mut(), false),
            Entry::Vacant(_) if is_full => {
                self.refused_now += 1;
                self.refused = self.refused.max(self.refused_now);
                return;
            }
            Entry::Vacant(free) => (free.insert(fresh), true),
        };
        known.take(&fresh, owner);
        known.pass = self.pass;
        self.unsettled += u64::from(known.owner.is_none());
        if listens {
            self.listening.insert((netns, socket.local.port()), socket.cookie);
            return tell(Event::Listening(known.listener()));
        }
        let observation = known.observation();
        tell(if is_new && self.adopting { Event::Adopted(observation) } else { Event::Read(observation) });
    }

    /// What a listing alone says. `None` for a state that is none.
    fn fresh(&self, netns: u32, socket: &Socket, at: KernelTime, listens: bool) -> Option<Known> {
        let is_udp = socket.protocol == Some(IPPROTO_UDP);
        let state = if is_udp { State::Open } else { record::state(socket.state)? };
        let info = socket.info.unwrap_or_default();
        let fin = reading::fin_is_in(state);
        let seen = self.by_cookie.get(&socket.cookie).map(|known| known.direction);
        let direction = match seen.filter(|seen| *seen != Direction::Unknown) {
            Some(seen) => seen,
            None if is_udp => Direction::Unknown,
            None => self.direction(netns, socket, &info),
        };
        let (protocol, facts, counters) = if is_udp {
            (
                Protocol::Udp,
                Facts::Udp(UdpFacts { counted: false, ..UdpFacts::default() }),
                Default::default(),
            )
        } else {
            (
                Protocol::Tcp,
                reading::facts(socket, &info, fin),
                reading::counters(socket, &info, direction, state, fin),
            )
        };
        let tuple = Tuple::canonical(protocol, netns, socket.local, socket.remote);
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
            inode: socket.inode,
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

    /// Where nobody listens, somebody may have.
    fn direction_by_port(&self, netns: u32, socket: &Socket) -> Direction {
        let listens = self.listening.contains_key(&(netns, socket.local.port()));
        if listens { Direction::Incoming } else { Direction::Unknown }
    }

    /// Everything was listed. A UDP socket that is missing has ended. Of TCP what is missing, and was not told as ended, gets
    /// some time, and all the time while somebody holds it: a socket that was reset is not listed any more, and ends when it is
    /// closed. The events say that nothing is new of it.
    pub(super) fn pass_ended(&mut self, at: KernelTime, owners: &Owners, mut tell: impl FnMut(Event)) {
        let pass = self.pass;
        let (mut waiting, mut unsettled) = (Vec::new(), 0);
        self.by_cookie.retain(|_, known| {
            if known.pass == pass {
                return true;
            }
            if known.tuple.protocol == Protocol::Udp {
                tell(known.ended(at));
                return false;
            }
            let is_missed = at.0.saturating_sub(known.seen_at.0) >= GRACE_NS;
            let was_looked_for = owners.searched_at > known.seen_at;
            let may_be_held = known.inode != 0 && (!was_looked_for || owners.of(known.inode).is_some());
            if known.listens || is_missed && !may_be_held {
                return false;
            }
            unsettled += u64::from(is_missed && !was_looked_for);
            waiting.push(known.id);
            true
        });
        self.unsettled += unsettled;
        self.listening.retain(|_, cookie| self.by_cookie.contains_key(cookie));
        if !waiting.is_empty() {
            tell(Event::Unchanged(waiting));
        }
    }

    /// A TCP socket has ended.
    pub(super) fn has_ended(
        &mut self,
        netns: u32,
        socket: &Socket,
        at: KernelTime,
        leavings: Leavings<'_>,
    ) -> Option<Event> {
        let known = self.by_cookie.remove(&socket.cookie);
        if let Some(known) = known.filter(|known| known.listens) {
            self.listening.remove(&(netns, known.tuple.local.port()));
            return Some(Event::ListenerClosed(known.listener()));
        }
        let info = socket.info.unwrap_or_default();
        // A reset by this end and a connect that failed empty the numbers before the end is told (tcp_disconnect): those of the
        // last look are the newest. Sequence numbers begin anew far beyond, which tells it from one that never connected.
        if socket.remote.port() == 0 {
            let was_used = known.is_some() || socket.unacknowledged > 0;
            self.emptied += u64::from(was_used);
            self.ended += u64::from(known.is_some());
            return known.map(|known| known.ended(at));
        }
        self.ended += 1;
        self.unseen += u64::from(known.is_none());
        let was = known.map(|known| known.state);
        let mut last = match known {
            Some(known) => known,
            None => {
                Known { pre_existing: !self.is_younger(&info, at), ..self.fresh(netns, socket, at, false)? }
            }
        };
        let mut asked = None;
        let mut left = || *asked.get_or_insert_with(|| leavings(socket));
        if last.direction == Direction::Unknown {
            last.direction = self.direction_of_ended(netns, socket, &info, &mut left);
        }
        let fin = fin_is_in(socket, &info, last.direction, was, &mut left);
        last.counters = reading::counters(socket, &info, last.direction, State::Closed, fin);
        last.facts = reading::facts(socket, &info, fin);
        last.state = State::Closed;
        let (state_before, errno) = reading::ending(&info, was);
        Some(Event::Closed(last.observation(), Ending { closed_at: at, state_before, errno }))
    }

    /// The socket was used since the older ones were listed. One that was not, and was not among them, was closed by the
    /// other end before, and only now by its process.
    fn is_younger(&self, info: &TcpInfo, at: KernelTime) -> bool {
        let idle_ns = u64::from(info.idle_ms).saturating_mul(1_000_000);
        idle_ns <= at.0.saturating_sub(self.adopted_at.0).saturating_add(TICK_NS)
    }

    fn direction_of_ended(
        &self,
        netns: u32,
        socket: &Socket,
        info: &TcpInfo,
        left: &mut dyn FnMut() -> Left,
    ) -> Direction {
        match reading::direction_of_ended(socket, info) {
            Direction::Unknown => match left() {
                // So that is a FIN.
                Left::Name | Left::NameWithoutFin if reading::sent_syn_or_fin(socket, info) => {
                    Direction::Incoming
                }
                Left::Listener => Direction::Incoming,
                _ => self.direction_by_port(netns, socket),
            },
            direction => direction,
        }
    }
}

/// The FIN of the other end is in what an ended socket received. Unread, it still waits. That it was read does not show in the
/// numbers, but who closed first does: its name is in `TIME_WAIT`. Most often it had not waited for the other's FIN, which
/// then came for the name alone; where it had, the socket was kept by its process after the last packet. When that was for
/// less than [`HASTE_MS`], the FIN is taken for a byte.
fn fin_is_in(
    socket: &Socket,
    info: &TcpInfo,
    direction: Direction,
    was: Option<State>,
    left: &mut dyn FnMut() -> Left,
) -> bool {
    if info.bytes_received == 0 {
        return false;
    }
    if was.is_some_and(reading::fin_is_in) {
        return true;
    }
    if !reading::own_fin_is_acknowledged(socket, info, direction) || socket.unread > 1 {
        return false;
    }
    socket.unread == 1
        || match left() {
            Left::Name => info.silent_ms >= HASTE_MS,
            Left::NameWithoutFin => false,
            Left::Listener | Left::Nothing => true,
        }
}

impl Known {
    /// The same socket has another connection now: it was disconnected, and connects anew.
    fn is_other(&self, fresh: &Self) -> bool {
        let connects_anew = self.state != State::SynSent && fresh.state == State::SynSent;
        // A FIN that was not seen is taken off later.
        let has_received_less = fresh.counters.received_bytes + 1 < self.counters.received_bytes;
        self.listens != fresh.listens
            || !self.listens
                && (self.tuple.remote != fresh.tuple.remote || connects_anew || has_received_less)
    }

    /// Ended, with what was seen last.
    fn ended(&self, at: KernelTime) -> Event {
        // A connect that failed is emptied like one that was reset, and so is its error.
        let state_before = if self.state == State::SynSent { State::LastAck } else { self.state };
        let ending = Ending { closed_at: at, state_before, errno: 0 };
        Event::Closed(Observation { state: State::Closed, ..self.observation() }, ending)
    }

    /// What a further listing says.
    fn take(&mut self, fresh: &Self, owner: Option<Owner>) {
        self.state = fresh.state;
        self.counters = fresh.counters;
        self.facts = fresh.facts;
        self.seen_at = fresh.seen_at;
        self.inode = fresh.inode;
        // A socket that is connecting has no port yet, and one that is being closed has none any more.
        if fresh.tuple.local.port() != 0 {
            self.tuple = fresh.tuple;
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::polling::message::fixtures::socket;

    const ESTABLISHED: u8 = 1;
    const SYN_SENT: u8 = 2;
    const CLOSED: u8 = 7;
    const LAST_ACK: u8 = 9;

    /// A listing can meet a socket while it is closed, after its port was given back.
    #[test]
    fn a_connection_keeps_its_port_when_its_socket_has_none_any_more() {
        let mut sockets = KnownSockets::with_room(10);
        let mut told = Vec::new();
        for (at, (local, state)) in (1..).zip([("10.0.0.1:4000", ESTABLISHED), ("10.0.0.1:0", LAST_ACK)]) {
            sockets.pass_begins(false, KernelTime(at));
            let socket = socket(local, state);
            sockets.listed(7, &socket, KernelTime(at), &Owners::default(), |event| told.push(event));
        }
        let closed = socket("10.0.0.1:0", CLOSED);
        told.extend(sockets.has_ended(7, &closed, KernelTime(3), &mut |_| Left::Nothing));
        let ports = told.iter().map(|event| match event {
            Event::Read(one) | Event::Closed(one, _) => one.tuple.local.port(),
            event => panic!("{event:?}"),
        });
        assert_eq!(ports.collect::<Vec<_>>(), [4000; 3]);
    }

    #[test]
    fn a_connection_that_begins_has_its_port_when_its_socket_has_one() {
        let mut sockets = KnownSockets::with_room(10);
        let mut ports = Vec::new();
        for (at, (local, state)) in (1..).zip([("10.0.0.1:0", SYN_SENT), ("10.0.0.1:4000", ESTABLISHED)]) {
            sockets.pass_begins(false, KernelTime(at));
            let socket = socket(local, state);
            sockets.listed(7, &socket, KernelTime(at), &Owners::default(), |event| match event {
                Event::Read(one) => ports.push(one.tuple.local.port()),
                event => panic!("{event:?}"),
            });
        }
        assert_eq!(ports, [0, 4000]);
    }
}
