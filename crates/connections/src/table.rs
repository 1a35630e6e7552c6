//! The live table: one record for each connection that is open now.
//!
//! Takes events, gives live connections and hands out closed ones once. Keeps nothing of a connection after
//! its close but a tombstone for two passes.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use crate::connection::{Connection, ConnectionId};
use crate::counters::{Counters, RawCounters};
use crate::direction::Direction;
use crate::event::{Ending, Event, Observation};
use crate::failure::Failure;
use crate::global_id::GlobalId;
use crate::listeners::{Listener, Listeners};
use crate::loss::Loss;
use crate::owner::{Owner, OwnerSource};
use crate::rollup::{Named, RollUp, RolledUp, Settled};
use crate::state::State;
use crate::time::KernelTime;
use crate::tombstones::Tombstones;

/// A connection that this many complete passes in a row did not read is gone, its close lost, if they began
/// over at least [`MISSING_NS_MIN`].
const PASSES_MISSED_MAX: u64 = 3;

/// The kernel side holds a final record back for up to 2 s, to learn the owner; meanwhile no pass reads the
/// connection, and passes can follow one another at once.
const MISSING_NS_MIN: u64 = 5_000_000_000;

/// The live connections of the host.
#[derive(Debug)]
pub struct Table {
    live: HashMap<ConnectionId, Entry, RandomState>,
    listeners: Listeners,
    tombstones: Tombstones,
    closed: Vec<Connection>,
    named: Named,
    rolled_up: Vec<RollUp>,
    pass: u64,
    /// Connections for which the running pass found no room.
    without_room: u64,
    live_max: usize,
    counts: TableCounts,
}

#[derive(Debug)]
struct Entry {
    connection: Connection,
    /// Number of the last pass that read it.
    seen_in_pass: u64,
    /// Start of the first pass since then.
    missing_since: Option<KernelTime>,
    /// Totals since the socket was opened, what was before tracing included.
    since_opened: Counters,
}

/// What the table counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct TableCounts {
    /// Connections closed.
    pub closed: u64,
    /// Connections of which a part is unknown: they are older than the tracer, and what was before it is not
    /// known.
    pub untracked: u64,
    /// Live connections for which the table had no room in the last pass.
    pub without_room: u64,
    /// Connections that were told as part of a roll-up.
    pub rolled_up: u64,
    /// Connections in roll-ups that could not be told.
    pub ring_full: Loss,
    /// Counters that went backwards and events that contradict one another.
    pub anomalies: u64,
    /// Connections that left the kernel without a final record.
    pub close_not_seen: Loss,
}

impl Table {
    /// An empty table that holds at most `live_max` connections.
    #[must_use]
    pub fn new(live_max: usize) -> Self {
        Self {
            live: HashMap::default(),
            listeners: Listeners::default(),
            tombstones: Tombstones::default(),
            closed: Vec::new(),
            named: Named::default(),
            rolled_up: Vec::new(),
            pass: 0,
            without_room: 0,
            live_max,
            counts: TableCounts::default(),
        }
    }

    /// Applies one event.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::Adopted(observation) => self.adopt(&observation),
            Event::Read(observation) => self.read(&observation),
            Event::Unchanged(ids) => self.see(&ids),
            Event::Closed(observation, ending) => self.close(&observation, ending),
            Event::Listening(listener) => self.listeners.read(listener),
            Event::ListenerClosed(listener) => self.listeners.closed(listener),
            Event::RolledUp(name) => self.name_rolled_up(name),
            Event::RollUp(rollup) => self.roll_up(rollup),
            Event::PassEnded { at } => self.end_pass(at),
        }
    }

    /// The live connections, in no order.
    pub fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.live.values().map(|entry| &entry.connection)
    }

    /// How many connections are live.
    #[must_use]
    pub fn live_count(&self) -> usize {
        self.live.len()
    }

    /// The listening sockets of the last pass.
    #[must_use]
    pub fn listeners(&self) -> &Listeners {
        &self.listeners
    }

    /// What was counted so far.
    #[must_use]
    pub fn counts(&self) -> TableCounts {
        self.counts
    }

    /// Takes the connections that closed since the last call, each exactly once.
    pub fn take_closed(&mut self) -> Vec<Connection> {
        std::mem::take(&mut self.closed)
    }

    /// Takes the roll-ups that came since the last call, each exactly once.
    pub fn take_rolled_up(&mut self) -> Vec<RollUp> {
        std::mem::take(&mut self.rolled_up)
    }

    fn adopt(&mut self, observation: &Observation) {
        // One that several processes hold is told once for each; the first is the base.
        let told = self.live.contains_key(&observation.id) || self.tombstones.contains(&observation.id);
        if !told && self.has_room() {
            self.insert(observation, Counters::first(observation.counters));
        }
    }

    fn read(&mut self, observation: &Observation) {
        if self.tombstones.contains(&observation.id) {
            return;
        }
        if let Some(entry) = self.live.get_mut(&observation.id) {
            entry.seen_in_pass = self.pass;
            entry.missing_since = None;
            self.counts.anomalies += entry.observe(observation, &self.listeners);
        } else if self.has_room() {
            let before = self.unseen_before(observation);
            self.insert(observation, before);
        }
    }

    fn see(&mut self, ids: &[ConnectionId]) {
        for id in ids {
            if let Some(entry) = self.live.get_mut(id) {
                entry.seen_in_pass = self.pass;
                entry.missing_since = None;
            } else if !self.tombstones.contains(id) {
                // There was no room for it when it was read.
                self.without_room += 1;
            }
        }
    }

    /// What counts as before tracing for a connection that is seen for the first time by a reading or by its
    /// close. One that is older than the tracer should have been adopted first; the part since then is
    /// unknown, and telling old bytes as new would be worse than telling none.
    fn unseen_before(&mut self, observation: &Observation) -> Counters {
        if !observation.pre_existing {
            return Counters::default();
        }
        self.counts.untracked += 1;
        Counters::first(observation.counters)
    }

    /// True when another connection can be followed; if not, that is counted.
    fn has_room(&mut self) -> bool {
        let room = self.live.len() < self.live_max;
        self.without_room += u64::from(!room);
        room
    }

    fn insert(&mut self, observation: &Observation, before: Counters) {
        let mut entry = Entry::new(observation, before, &self.listeners);
        entry.seen_in_pass = self.pass;
        self.live.insert(observation.id, entry);
    }

    fn close(&mut self, observation: &Observation, ending: Ending) {
        if self.tombstones.contains(&observation.id) {
            self.counts.anomalies += 1;
            return;
        }
        let mut entry = match self.live.remove(&observation.id) {
            Some(entry) => entry,
            None => {
                let before = self.unseen_before(observation);
                Entry::new(observation, before, &self.listeners)
            }
        };
        self.counts.anomalies += entry.observe(observation, &self.listeners);
        entry.connection.failure =
            Failure::classify(ending.state_before, ending.errno, observation.counters.sent_packets);
        self.bury(entry, ending.closed_at);
    }

    /// What was told of it while it lived is all that is told of it by itself; what came after is in the
    /// roll-up.
    fn name_rolled_up(&mut self, name: RolledUp) {
        if let Some(entry) = self.live.remove(&name.id) {
            self.named.told(name.key, entry.since_opened);
            self.bury(entry, name.closed_at);
        } else if self.tombstones.contains(&name.id) {
            self.counts.anomalies += 1;
        } else if name.pre_existing {
            self.named.unknown(name.key);
        }
    }

    fn roll_up(&mut self, rollup: Box<RollUp>) {
        let (settled, backwards) = self.named.settle(rollup);
        self.counts.anomalies += backwards;
        match settled {
            Settled::News(rollup) if rollup.connections == 0 && rollup.total == Counters::default() => {}
            Settled::News(rollup) => {
                self.counts.rolled_up += rollup.connections;
                self.rolled_up.push(*rollup);
            }
            Settled::Lost(loss) => self.counts.ring_full = self.counts.ring_full.plus(loss),
        }
    }

    fn bury(&mut self, mut entry: Entry, closed_at: KernelTime) {
        entry.connection.state = State::Closed;
        entry.connection.closed_at = Some(closed_at);
        entry.resolve_direction(&self.listeners);
        self.tombstones.bury(entry.connection.id, self.pass);
        self.counts.closed += 1;
        self.closed.push(entry.connection);
    }

    fn end_pass(&mut self, at: KernelTime) {
        let mut gone = Vec::new();
        for (id, entry) in &mut self.live {
            entry.resolve_direction(&self.listeners);
            if entry.is_gone(self.pass, at) {
                gone.push(*id);
            }
        }
        for id in gone {
            if let Some(entry) = self.live.remove(&id) {
                self.counts.close_not_seen.add(0);
                self.bury(entry, at);
            }
        }
        self.counts.without_room = std::mem::take(&mut self.without_room);
        self.counts.anomalies += self.named.forget();
        self.listeners.pass_ended();
        self.pass += 1;
        self.tombstones.pass_began(self.pass);
    }
}

impl Entry {
    fn new(observation: &Observation, before: Counters, listeners: &Listeners) -> Self {
        let since_opened = Counters::first(observation.counters);
        let connection = Connection {
            id: observation.id,
            global_id: global_id(observation),
            tuple: observation.tuple,
            direction: observation.direction,
            owner: observation.owner.or_else(|| guessed_owner(observation, listeners)),
            state: observation.state,
            opened_at: (!observation.pre_existing).then_some(observation.id.claimed_at),
            established_at: observation.established_at,
            closed_at: None,
            pre_existing: observation.pre_existing,
            total: since_opened.since(before).0,
            before,
            tcp: observation.tcp,
            failure: None,
        };
        Self { connection, seen_in_pass: 0, missing_since: None, since_opened }
    }

    /// Judges when the pass that began at `at` is complete.
    fn is_gone(&mut self, pass: u64, at: KernelTime) -> bool {
        let missed = pass.saturating_sub(self.seen_in_pass);
        if missed == 0 {
            return false;
        }
        let since = *self.missing_since.get_or_insert(at);
        missed >= PASSES_MISSED_MAX && at.nanoseconds_since(since) >= MISSING_NS_MIN
    }

    /// Takes over a further observation; answers how many anomalies it held.
    fn observe(&mut self, observation: &Observation, listeners: &Listeners) -> u64 {
        let anomalies = self.count(observation.counters);
        let connection = &mut self.connection;
        // The source port and address of a connecting socket are chosen after it was first seen.
        connection.tuple = observation.tuple;
        connection.state = observation.state;
        connection.established_at = connection.established_at.or(observation.established_at);
        connection.tcp = observation.tcp;
        // The newest: a live socket is read while it moves, and the final record is right.
        connection.global_id = global_id(observation).or(connection.global_id);
        let owner = observation.owner.or_else(|| guessed_owner(observation, listeners));
        connection.owner = more_trusted(connection.owner, owner);
        anomalies
    }

    fn count(&mut self, raw: RawCounters) -> u64 {
        let (since_opened, backwards) = self.since_opened.advanced(raw);
        self.since_opened = since_opened;
        let (total, negative) = since_opened.since(self.connection.before);
        self.connection.total = total;
        backwards + negative
    }

    /// A connection that is older than the tracer came in if its port is served in its namespace.
    fn resolve_direction(&mut self, listeners: &Listeners) {
        let connection = &mut self.connection;
        if connection.direction != Direction::Unknown || !connection.pre_existing {
            return;
        }
        connection.direction = match listeners.serving(connection.tuple.netns, connection.tuple.local) {
            Some(_) => Direction::Incoming,
            None => Direction::Outgoing,
        };
    }
}

fn global_id(observation: &Observation) -> Option<GlobalId> {
    let (local, remote) = observation.isns?;
    GlobalId::of(observation.direction, local, remote)
}

fn guessed_owner(observation: &Observation, listeners: &Listeners) -> Option<Owner> {
    if observation.direction != Direction::Incoming {
        return None;
    }
    let listener: &Listener = listeners.serving(observation.tuple.netns, observation.tuple.local)?;
    Some(Owner { source: OwnerSource::Listener, ..listener.owner? })
}

fn more_trusted(known: Option<Owner>, new: Option<Owner>) -> Option<Owner> {
    match (known, new) {
        (Some(known), Some(new)) if new.source < known.source => Some(known),
        (known, new) => new.or(known),
    }
}
