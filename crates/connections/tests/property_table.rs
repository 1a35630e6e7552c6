//! The table against a naive model: sockets with true 64-bit counters, and a kernel side that tells the truth
//! but misses, repeats and delays.

mod fixtures;

use std::collections::{BTreeMap, BTreeSet};

use connections::{
    ConnectionId, Counters, Criteria, Event, Facts, Filter, KernelTime, Loss, Observation, Protocol,
    RawCounters, RollUp, RollUpKey, RolledUp, State, Table, TableCounts, UdpFacts,
};
use fixtures::{ending, observation};
use proptest::prelude::*;

const SOCKETS: usize = 6;
/// The sockets from this one on are of UDP.
const FIRST_UDP: u64 = 4;
const EXCLUDED_PORT: u16 = 7;
const SECOND: u64 = 1_000_000_000;

#[derive(Debug, Clone)]
enum Step {
    /// The socket begins a new connection.
    Open(usize),
    /// The socket was connected before tracing began; it is taken over, unless that is forgotten.
    Older { socket: usize, before: Counters, adopted: bool },
    /// Traffic.
    Grow { socket: usize, by: Counters },
    /// A reading.
    Read(usize),
    /// A reading in which counters are smaller than last time.
    ReadBackwards(usize),
    /// The connection ends; its final record arrives now, or late, or never.
    Close { socket: usize, seen: bool },
    /// The connection ends, and is added up with others of which only the sums are known. Of UDP, datagrams of other
    /// peers are added up, and the connection goes on.
    RollUp { socket: usize, others: Counters },
    /// A reading or the final record of the last connection of the socket comes late, perhaps again.
    Late { socket: usize, close: bool },
    /// A complete pass that misses some of the sockets.
    Pass { seconds: u64, missed: [bool; SOCKETS] },
}

fn step() -> impl Strategy<Value = Step> {
    let socket = || 0..SOCKETS;
    let mostly = || proptest::bool::weighted(0.9);
    let older = (socket(), counters(), mostly()).prop_map(|(socket, mut before, adopted)| {
        // Close to a wrap of the kernel's 32 bits.
        before.sent_packets = (7 << 32) - 1 - before.sent_packets % 1000;
        Step::Older { socket, before, adopted }
    });
    let missed = prop_oneof![3 => Just([false; SOCKETS]), 1 => any::<[bool; SOCKETS]>()];
    prop_oneof![
        2 => socket().prop_map(Step::Open),
        1 => older,
        4 => (socket(), counters()).prop_map(|(socket, by)| Step::Grow { socket, by }),
        3 => socket().prop_map(Step::Read),
        1 => socket().prop_map(Step::ReadBackwards),
        2 => (socket(), mostly()).prop_map(|(socket, seen)| Step::Close { socket, seen }),
        1 => (socket(), counters()).prop_map(|(socket, others)| Step::RollUp { socket, others }),
        1 => (socket(), any::<bool>()).prop_map(|(socket, close)| Step::Late { socket, close }),
        4 => (0..8u64, missed).prop_map(|(seconds, missed)| Step::Pass { seconds, missed }),
    ]
}

fn counters() -> impl Strategy<Value = Counters> {
    let packets = || 0..1u64 << 29;
    (0..1u64 << 40, 0..1u64 << 40, packets(), packets(), packets()).prop_map(
        |(sent_bytes, received_bytes, sent_packets, received_packets, retransmits)| Counters {
            sent_bytes,
            received_bytes,
            sent_packets,
            received_packets,
            retransmits,
            ..Counters::default()
        },
    )
}

/// A connection as the kernel knows it.
#[derive(Debug, Clone, Copy)]
struct Socket {
    id: ConnectionId,
    pre_existing: bool,
    counters: Counters,
}

impl Socket {
    /// What it carried before tracing is in its counters: of UDP the kernel counts nothing by itself.
    fn counts_from_before(&self) -> bool {
        self.pre_existing && protocol(self.id) == Protocol::Tcp
    }
}

fn protocol(id: ConnectionId) -> Protocol {
    if id.cookie < FIRST_UDP { Protocol::Tcp } else { Protocol::Udp }
}

/// A live connection as the table should know it.
#[derive(Debug, Clone)]
struct Followed {
    before: Counters,
    read: Counters,
    /// Starts of the passes in a row that did not read it.
    missed: Vec<u64>,
}

#[derive(Debug)]
struct Model {
    live_max: usize,
    filtered: bool,
    /// At the end of the last pass.
    lived: BTreeSet<ConnectionId>,
    now: u64,
    open: [Option<Socket>; SOCKETS],
    last: [Option<Socket>; SOCKETS],
    live: BTreeMap<ConnectionId, Followed>,
    read_in_pass: BTreeSet<ConnectionId>,
    /// Passes that ended since each was closed.
    buried: BTreeMap<ConnectionId, u64>,
    ended: BTreeSet<ConnectionId>,
    /// Those of them that are told.
    closed: BTreeMap<ConnectionId, Counters>,
    /// Connections and counters of each roll-up that is news.
    rolled_up: Vec<(u64, Counters)>,
    without_room: u64,
    counts: TableCounts,
}

impl Model {
    fn new(live_max: usize, filtered: bool) -> Self {
        Self {
            live_max,
            filtered,
            lived: BTreeSet::new(),
            now: 0,
            open: [None; SOCKETS],
            last: [None; SOCKETS],
            live: BTreeMap::new(),
            read_in_pass: BTreeSet::new(),
            buried: BTreeMap::new(),
            ended: BTreeSet::new(),
            closed: BTreeMap::new(),
            rolled_up: Vec::new(),
            without_room: 0,
            counts: TableCounts::default(),
        }
    }

    /// What happens on the host, and the events that tell it.
    fn take(&mut self, step: &Step) -> Vec<Event> {
        match *step {
            Step::Open(socket) => self.open(socket, false, Counters::default()).map(|_| vec![]),
            Step::Older { socket, before, adopted } => self.open(socket, true, before).map(|older| {
                if adopted && older.counts_from_before() { vec![self.adopt(older)] } else { vec![] }
            }),
            Step::Grow { socket, by } => {
                self.grow(socket, by);
                None
            }
            Step::Read(socket) => self.open[socket].map(|open| vec![self.read(open)]),
            Step::ReadBackwards(socket) => self.open[socket].and_then(|open| self.read_backwards(open)),
            Step::Close { socket, seen } => self.open[socket].take().map(|closing| {
                self.last[socket] = Some(closing);
                if seen { vec![self.close(closing)] } else { vec![] }
            }),
            Step::RollUp { socket, others } => self.open[socket].and_then(|open| {
                if protocol(open.id) == Protocol::Udp {
                    return Some(vec![self.roll_up_datagrams(others)]);
                }
                // The kernel side adds up 32 bits of packets.
                let small = open.counters.sent_packets.max(open.counters.received_packets) < 1 << 31;
                (small && !open.pre_existing).then(|| {
                    self.last[socket] = self.open[socket].take();
                    self.roll_up(open, others)
                })
            }),
            Step::Late { socket, close } => self.last[socket].and_then(|last| self.late(last, close)),
            Step::Pass { seconds, missed } => Some(self.pass(seconds, missed)),
        }
        .unwrap_or_default()
    }

    fn open(&mut self, socket: usize, pre_existing: bool, counters: Counters) -> Option<Socket> {
        if self.open[socket].is_some() {
            return None;
        }
        self.now += 1;
        let id = ConnectionId { cookie: socket as u64, claimed_at: KernelTime(self.now) };
        let counters = if protocol(id) == Protocol::Tcp { counters } else { Counters::default() };
        self.open[socket] = Some(Socket { id, pre_existing, counters });
        self.open[socket]
    }

    /// Grows, unless 32-bit counters could then pass half of their range between two readings.
    fn grow(&mut self, socket: usize, by: Counters) {
        let Some(socket) = &mut self.open[socket] else {
            return;
        };
        let read = self.live.get(&socket.id).map(|followed| followed.read).unwrap_or_default();
        let retransmits = if protocol(socket.id) == Protocol::Tcp { by.retransmits } else { 0 };
        let grown = socket.counters.plus(Counters { retransmits, ..by });
        let unread = grown.since(read).0;
        let first_sight = socket.counts_from_before() && !self.live.contains_key(&socket.id);
        if first_sight || unread.sent_packets.max(unread.received_packets).max(unread.retransmits) < 1 << 31 {
            socket.counters = grown;
        }
    }

    fn adopt(&mut self, socket: Socket) -> Event {
        self.follow(socket, true);
        Event::Adopted(observed(socket.id, socket.pre_existing, socket.counters))
    }

    fn read(&mut self, socket: Socket) -> Event {
        if let Some(followed) = self.live.get_mut(&socket.id) {
            followed.read = socket.counters;
            self.read_in_pass.insert(socket.id);
        } else if !self.buried.contains_key(&socket.id) {
            self.follow(socket, false);
        }
        Event::Read(observed(socket.id, socket.pre_existing, socket.counters))
    }

    fn follow(&mut self, socket: Socket, adopted: bool) {
        let room = self.live.len() < self.live_max;
        self.without_room += u64::from(!room);
        self.counts.untracked += u64::from(room && socket.counts_from_before() && !adopted);
        if room {
            let before = if socket.counts_from_before() { socket.counters } else { Counters::default() };
            self.live.insert(socket.id, Followed { before, read: socket.counters, missed: vec![] });
            self.read_in_pass.insert(socket.id);
        }
    }

    fn read_backwards(&mut self, socket: Socket) -> Option<Vec<Event>> {
        let followed = self.live.get_mut(&socket.id)?;
        let mut backwards = followed.read;
        for counter in [&mut backwards.sent_bytes, &mut backwards.received_packets] {
            self.counts.anomalies += u64::from(*counter > 0);
            *counter = counter.saturating_sub(1);
        }
        self.read_in_pass.insert(socket.id);
        Some(vec![Event::Read(observed(socket.id, socket.pre_existing, backwards))])
    }

    fn close(&mut self, socket: Socket) -> Event {
        if self.buried.contains_key(&socket.id) {
            self.counts.anomalies += 1;
        } else {
            let followed = self.live.remove(&socket.id);
            self.counts.untracked += u64::from(followed.is_none() && socket.counts_from_before());
            let first_seen = if socket.counts_from_before() { socket.counters } else { Counters::default() };
            let before = followed.map_or(first_seen, |followed| followed.before);
            self.bury(socket.id, socket.counters.since(before).0);
        }
        let observation = observed(socket.id, socket.pre_existing, socket.counters);
        Event::Closed(observation, ending(KernelTime(self.now)))
    }

    /// What was told of it closes, and the rest is in the roll-up.
    fn roll_up(&mut self, socket: Socket, others: Counters) -> Vec<Event> {
        const OTHERS: u64 = 3;
        let key = RollUpKey { protocol: Protocol::Tcp, common: None };
        let closed_at = KernelTime(self.now);
        let (connections, news) = match self.live.remove(&socket.id) {
            Some(followed) => {
                self.bury(socket.id, followed.read.since(followed.before).0);
                (OTHERS, socket.counters.since(followed.read).0.plus(others))
            }
            None => (OTHERS + 1, socket.counters.plus(others)),
        };
        self.counts.rolled_up += connections;
        self.rolled_up.push((connections, news));
        let name = RolledUp { id: socket.id, key, closed_at, pre_existing: socket.pre_existing };
        let rollup = RollUp {
            key,
            owner: None,
            connections: OTHERS + 1,
            total: socket.counters.plus(others),
            established: None,
            counts_rtos: true,
            failures: Vec::new(),
            last_closed_at: closed_at,
        };
        vec![Event::RolledUp(name), Event::RollUp(Box::new(rollup))]
    }

    /// How many peers sent them is not known.
    fn roll_up_datagrams(&mut self, others: Counters) -> Event {
        let total = Counters { retransmits: 0, ..others };
        if total != Counters::default() {
            self.rolled_up.push((0, total));
        }
        Event::RollUp(Box::new(RollUp {
            key: RollUpKey { protocol: Protocol::Udp, common: None },
            owner: None,
            connections: 0,
            total,
            established: None,
            counts_rtos: false,
            failures: Vec::new(),
            last_closed_at: KernelTime(self.now),
        }))
    }

    fn bury(&mut self, id: ConnectionId, total: Counters) {
        self.counts.closed += 1;
        self.buried.insert(id, 0);
        if self.filtered && is_excluded(id) {
            self.counts.excluded += 1;
        } else {
            self.closed.insert(id, total);
        }
        self.ended.insert(id);
    }

    /// Nothing comes later than a tombstone lasts.
    fn late(&mut self, socket: Socket, close: bool) -> Option<Vec<Event>> {
        if self.ended.contains(&socket.id) && !self.buried.contains_key(&socket.id) {
            return None;
        }
        Some(vec![if close { self.close(socket) } else { self.read(socket) }])
    }

    fn pass(&mut self, seconds: u64, missed: [bool; SOCKETS]) -> Vec<Event> {
        self.now += seconds * SECOND;
        let mut events = Vec::new();
        for (socket, missed) in self.open.into_iter().zip(missed) {
            let Some(socket) = socket else { continue };
            // What lives is never missed three times in a row.
            let missed_twice = self.live.get(&socket.id).is_some_and(|followed| followed.missed.len() >= 2);
            let unchanged =
                self.live.get(&socket.id).is_some_and(|followed| followed.read == socket.counters);
            if unchanged && (!missed || missed_twice) {
                self.read_in_pass.insert(socket.id);
                events.push(Event::Unchanged(vec![socket.id]));
            } else if !missed || missed_twice {
                events.push(self.read(socket));
            }
        }
        for (id, mut followed) in self.live.clone() {
            if self.read_in_pass.contains(&id) {
                followed.missed.clear();
            } else {
                followed.missed.push(self.now);
            }
            let missing_for = followed.missed.first().map_or(0, |since| self.now - since);
            if followed.missed.len() >= 3 && missing_for >= 5 * SECOND {
                self.live.remove(&id);
                self.counts.close_not_seen =
                    self.counts.close_not_seen.plus(Loss { connections: 1, bytes: 0 });
                self.bury(id, followed.read.since(followed.before).0);
            } else {
                self.live.insert(id, followed);
            }
        }
        self.counts.without_room = std::mem::take(&mut self.without_room);
        self.lived = self.live.keys().copied().collect();
        self.read_in_pass.clear();
        self.buried.values_mut().for_each(|passes| *passes += 1);
        self.buried.retain(|_, passes| *passes <= 2);
        events.push(Event::PassEnded { at: KernelTime(self.now) });
        events
    }
}

/// The sockets of which the filter tells nothing: one of each protocol.
fn is_excluded(id: ConnectionId) -> bool {
    id.cookie == 0 || id.cookie == FIRST_UDP
}

fn filter() -> Filter {
    let excluded = Criteria { remote_port: Some(EXCLUDED_PORT..=EXCLUDED_PORT), ..Criteria::default() };
    Filter { exclude: vec![excluded], ..Filter::default() }
}

/// As the kernel side sees it: packets in 32 bits.
fn observed(id: ConnectionId, pre_existing: bool, counters: Counters) -> Observation {
    let low = |packets: u64| u32::try_from(packets & u64::from(u32::MAX)).expect("32 bits");
    let counters = RawCounters {
        sent_bytes: counters.sent_bytes,
        received_bytes: counters.received_bytes,
        sent_packets: low(counters.sent_packets),
        received_packets: low(counters.received_packets),
        retransmits: low(counters.retransmits),
        ..RawCounters::default()
    };
    let mut observation = Observation { id, pre_existing, counters, ..observation(id.cookie) };
    if is_excluded(id) {
        observation.tuple.remote.set_port(EXCLUDED_PORT);
    }
    if protocol(id) == Protocol::Udp {
        observation.tuple.protocol = Protocol::Udp;
        (observation.state, observation.facts) = (State::Open, Facts::Udp(UdpFacts::default()));
    }
    observation
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 800, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_table_knows_what_a_perfect_observer_knows(
        live_max in prop_oneof![Just(100), 1..5usize],
        filtered in any::<bool>(),
        steps in proptest::collection::vec(step(), 1..120),
    ) {
        let filter = if filtered { filter() } else { Filter::default() };
        let mut table = Table::with_filter(live_max, filter);
        let mut model = Model::new(live_max, filtered);
        let mut closed = BTreeMap::new();
        let mut rolled_up = Vec::new();
        for step in &steps {
            for event in model.take(step) {
                table.apply(event);
            }
            for connection in table.take_closed() {
                let again = closed.insert(connection.id(), connection.total());
                prop_assert_eq!(again, None, "told closed twice: {}", connection.id());
            }
            let news = table.take_rolled_up().into_iter().map(|rollup| (rollup.connections, rollup.total));
            rolled_up.extend(news);
            prop_assert_eq!(&rolled_up, &model.rolled_up, "rolled up after {:?}", step);
            let live: BTreeMap<_, _> = table.connections().map(|live| (live.id, live.total)).collect();
            prop_assert_eq!(table.live_count(), model.live.len(), "followed after {:?}", step);
            prop_assert_eq!(table.told().count(), live.len(), "to be told after {:?}", step);
            let is_told = |id: &ConnectionId| !filtered || model.lived.contains(id) && !is_excluded(*id);
            let followed = model.live.iter().filter(|(id, _)| is_told(id));
            let expected = followed.map(|(id, followed)| (*id, followed.read.since(followed.before).0)).collect();
            prop_assert_eq!(live, expected, "live after {:?}", step);
            prop_assert_eq!(&closed, &model.closed, "closed after {:?}", step);
            prop_assert_eq!(table.counts(), model.counts, "counted after {:?}", step);
        }
    }
}
