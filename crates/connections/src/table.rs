//! The live table: one record for each connection that is open now.
//!
//! Takes events, gives live connections and hands out closed ones once. Keeps nothing of a connection after
//! its close but a tombstone for two passes.

use crate::annotation::End;
use crate::audit::{Audit, Audits};
use crate::closed::{Closed, Place};
use crate::connection::{Connection, ConnectionId};
use crate::counters::Counters;
use crate::entry::Entry;
use crate::event::{Ending, Event, Observation};
use crate::failure::Failure;
use crate::filter::Filter;
use crate::ledger::Ledger;
use crate::listeners::Listeners;
use crate::live::Live;
use crate::loss::Loss;
use crate::news::{News, Told};
use crate::remembered::Remembered;
use crate::rollup::{Named, RollUp, RolledUp, Settled};
use crate::state::State;
use crate::time::KernelTime;
use crate::tombstones::Tombstones;
use crate::tuple::Protocol;

/// The live connections of the host.
#[derive(Debug)]
pub struct Table {
    live: Live,
    listeners: Listeners,
    tombstones: Tombstones,
    closed: Vec<Closed>,
    named: Named,
    rolled_up: Vec<RollUp>,
    ledger: Ledger,
    audits: Audits,
    pass: u64,
    /// How many events were applied.
    moment: u64,
    /// Connections for which the running pass found no room.
    without_room: u64,
    live_max: usize,
    counts: TableCounts,
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
    /// Connections that ended and of which nothing was told, because the filter excludes them; those of roll-ups included.
    pub excluded: u64,
}

impl Table {
    /// An empty table that holds at most `live_max` connections.
    #[must_use]
    pub fn new(live_max: usize) -> Self {
        Self::with_filter(live_max, Filter::default())
    }

    /// The same, which tells only of connections that pass the filter. The others are followed all the same, so that an audit
    /// finds nothing missing.
    ///
    /// With a filter, a connection becomes visible at the end of a pass, or when it has ended, with all that it carried, if
    /// it passes with what is known by then; and it stays visible to its end, whatever is learnt of it. So what is told does
    /// not depend on when clients ask.
    #[must_use]
    pub fn with_filter(live_max: usize, filter: Filter) -> Self {
        Self {
            live: Live::with_filter(filter),
            listeners: Listeners::default(),
            tombstones: Tombstones::default(),
            closed: Vec::new(),
            named: Named::default(),
            rolled_up: Vec::new(),
            ledger: Ledger::default(),
            audits: Audits::default(),
            pass: 0,
            moment: 0,
            without_room: 0,
            live_max,
            counts: TableCounts::default(),
        }
    }

    /// From now on it is noted what becomes known of ends of connections, until it is taken ([`Table::take_ends`]): that has to
    /// be often.
    pub fn note_ends(&mut self) {
        self.live.note_ends();
    }

    /// What became known of ends since the last call, in order: connections that are new or that ended, and those of which the
    /// addresses, the owner, the direction or the global id is another one. Nothing unless it is to be noted.
    pub fn take_ends(&mut self) -> Vec<End> {
        self.live.take_ends()
    }

    /// Applies one event.
    pub fn apply(&mut self, event: Event) {
        self.moment += 1;
        match event {
            Event::Adopted(observation) => self.adopt(&observation),
            Event::Read(observation) => self.read(&observation),
            Event::Unchanged(ids) => self.see(&ids),
            Event::Closed(observation, ending) => self.close(&observation, ending),
            Event::Listening(listener) => self.listeners.read(listener),
            Event::ListenerClosed(listener) => self.listeners.closed(listener),
            Event::RolledUp(name) => self.name_rolled_up(name),
            Event::RollUp(rollup) => self.roll_up(rollup),
            Event::AuditPassEnded => self.audits.note(&self.ledger, self.live.counted()),
            Event::Audited(reading) => self.audits.compare(&reading, &mut self.ledger),
            Event::PassEnded { at } => self.end_pass(at),
        }
    }

    /// The live connections that are visible, in no order.
    pub fn connections(&self) -> impl Iterator<Item = Connection> {
        self.live.connections()
    }

    /// What a client knows that is told everything now. It shares its memory with the table until something changes, and
    /// then takes 80 bytes per connection at most.
    #[must_use]
    pub fn told(&self) -> Told {
        self.live.told()
    }

    /// What of that lives, with the names that the connections have.
    #[must_use]
    pub fn remembered(&self, told: &Told) -> Remembered {
        self.live.remembered(told)
    }

    /// What is news of the live connections to a client that was told so much: a counter has grown, or the state, the
    /// failure, the direction or the way in which the owner was learnt is another one. Other facts go along with that.
    #[must_use]
    pub fn news_since(&self, told: &Told) -> News {
        self.live.news_since(told)
    }

    /// Another number whenever something may have changed: what is taken from the table at one moment shares its memory.
    #[must_use]
    pub fn moment(&self) -> u64 {
        self.moment
    }

    /// True when the connection is live and visible.
    #[must_use]
    pub fn shows(&self, id: &ConnectionId) -> bool {
        self.live.is_visible(id)
    }

    /// How many connections are live, visible or not.
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

    /// The last audit; absent before the first has ended.
    #[must_use]
    pub fn audit(&self) -> Option<Audit> {
        self.audits.last()
    }

    /// Takes the connections that closed since the last call, each exactly once, without the excluded ones.
    pub fn take_closed(&mut self) -> Vec<Closed> {
        std::mem::take(&mut self.closed)
    }

    /// Takes the roll-ups that came since the last call, each exactly once.
    pub fn take_rolled_up(&mut self) -> Vec<RollUp> {
        std::mem::take(&mut self.rolled_up)
    }

    fn adopt(&mut self, observation: &Observation) {
        // One that several processes hold is told once for each; the first is the base.
        let told = self.live.contains(&observation.id) || self.tombstones.contains(&observation.id);
        if !told && self.has_room() {
            self.insert(observation, Counters::first(observation.counters));
        }
    }

    fn read(&mut self, observation: &Observation) {
        if self.tombstones.contains(&observation.id) {
            return;
        }
        let pass = self.pass_in_16_bits();
        let observe = |entry: &mut Entry| entry.observe(observation, &self.listeners);
        if let Some(anomalies) = self.live.update(&observation.id, pass, observe) {
            self.counts.anomalies += anomalies;
        } else if self.has_room() {
            let before = self.unseen_before(observation);
            self.insert(observation, before);
        }
    }

    fn see(&mut self, ids: &[ConnectionId]) {
        let pass = self.pass_in_16_bits();
        for id in ids {
            if !self.live.see(id, pass) && !self.tombstones.contains(id) {
                // There was no room for it when it was read.
                self.without_room += 1;
            }
        }
    }

    /// What counts as before tracing for a connection that is seen for the first time by a reading or by its
    /// close. One that is older than the tracer should have been adopted first; the part since then is
    /// unknown, and telling old bytes as new would be worse than telling none.
    fn unseen_before(&mut self, observation: &Observation) -> Counters {
        if let Some(counted) = self.counted_before(observation) {
            return counted;
        }
        // Of UDP nothing is counted before tracing.
        if !observation.pre_existing || observation.tuple.protocol == Protocol::Udp {
            return Counters::default();
        }
        self.counts.untracked += 1;
        Counters::first(observation.counters)
    }

    /// A connection that got lost in the kernel and was found again goes on under another name: what was told of it is not
    /// told again.
    fn counted_before(&mut self, observation: &Observation) -> Option<Counters> {
        if !observation.found {
            return None;
        }
        let id = self.live.of_socket(observation.id.cookie)?;
        let (entry, place) = self.live.remove(&id)?;
        // What comes next begins with the 32 bits of the kernel.
        let counted = entry.since_opened.in_kernel_width();
        self.counts.close_not_seen.add(0);
        self.bury(entry, Some(place), observation.id.claimed_at);
        Some(counted)
    }

    /// True when another connection can be followed; if not, that is counted.
    fn has_room(&mut self) -> bool {
        let room = self.live.len() < self.live_max;
        self.without_room += u64::from(!room);
        room
    }

    fn insert(&mut self, observation: &Observation, before: Counters) {
        let entry = Entry::new(observation, before, &self.listeners);
        self.live.insert(&entry, self.pass_in_16_bits());
    }

    fn close(&mut self, observation: &Observation, ending: Ending) {
        if self.tombstones.contains(&observation.id) {
            self.counts.anomalies += 1;
            return;
        }
        let (mut entry, place) = match self.live.remove(&observation.id) {
            Some((entry, place)) => (entry, Some(place)),
            None => {
                let before = self.unseen_before(observation);
                (Entry::new(observation, before, &self.listeners), None)
            }
        };
        self.counts.anomalies += entry.observe(observation, &self.listeners);
        let failure = Failure::classify(ending.state_before, ending.errno, observation.counters.sent_packets);
        let failed_at = observation.failed.map_or(ending.closed_at, |(_, at)| at);
        entry.connection.failure = failure;
        entry.connection.failed_at = failure.map(|_| failed_at);
        self.bury(entry, place, ending.closed_at);
    }

    /// What was told of it while it lived is all that is told of it by itself; what came after is in the
    /// roll-up.
    fn name_rolled_up(&mut self, name: RolledUp) {
        if let Some((entry, place)) = self.live.remove(&name.id) {
            self.named.told(name.key, entry.since_opened);
            self.bury(entry, Some(place), name.closed_at);
        } else if self.tombstones.contains(&name.id) {
            self.counts.anomalies += 1;
        } else if name.pre_existing {
            self.named.unknown(name.key);
        }
    }

    fn roll_up(&mut self, rollup: Box<RollUp>) {
        let passes = self.live.filter().passes_roll_up(&rollup);
        let (settled, backwards) = self.named.settle(rollup);
        self.counts.anomalies += backwards;
        match settled {
            Settled::News(rollup) if rollup.is_empty() => {}
            Settled::News(rollup) => {
                self.ledger.add_rolled_up(&rollup);
                if passes {
                    self.counts.rolled_up += rollup.connections;
                    self.rolled_up.push(*rollup);
                } else {
                    self.counts.excluded += rollup.connections;
                }
            }
            Settled::Lost(loss) if passes => self.counts.ring_full = self.counts.ring_full.plus(loss),
            Settled::Lost(loss) => self.counts.excluded += loss.connections,
        }
    }

    fn bury(&mut self, mut entry: Entry, place: Option<Place>, closed_at: KernelTime) {
        entry.connection.state = State::Closed;
        entry.connection.closed_at = Some(closed_at);
        entry.resolve_direction(&self.listeners);
        self.tombstones.bury(entry.connection.id, self.pass);
        self.live.note_end(&entry.connection, true);
        self.counts.closed += 1;
        let closed = self.live.closed(&entry, place);
        self.ledger.add_closed(closed.for_audit());
        if self.live.shows(&entry) {
            self.closed.push(closed);
        } else {
            self.counts.excluded += 1;
        }
    }

    fn end_pass(&mut self, at: KernelTime) {
        for id in self.live.end_pass(self.pass_in_16_bits(), at, &self.listeners) {
            if let Some((entry, place)) = self.live.remove(&id) {
                self.counts.close_not_seen.add(0);
                self.bury(entry, Some(place), at);
            }
        }
        self.counts.without_room = std::mem::take(&mut self.without_room);
        self.counts.anomalies += self.named.forget();
        self.listeners.pass_ended();
        self.pass += 1;
        self.tombstones.pass_began(self.pass);
    }

    /// The number of the pass as it is noted for each connection.
    fn pass_in_16_bits(&self) -> u16 {
        u16::try_from(self.pass % u64::from(u16::MAX)).expect("a remainder")
    }
}
