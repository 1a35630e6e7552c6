//! The live connections by id.
//!
//! Each has a place. What is kept of it stands in columns by place: its tally, which is compared with what a client was
//! told, and its details. Snapshots share both (`news`). What is noted in every pass stands apart from them, so that
//! connections that rest cost little, and are not copied.

use std::collections::HashMap;
use std::hash::BuildHasher;
use std::sync::Arc;

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::annotation::End;
use crate::closed::{Closed, Place};
use crate::column::Column;
use crate::connection::{Connection, ConnectionId};
use crate::counters::Counters;
use crate::details::Details;
use crate::entry::Entry;
use crate::filter::Filter;
use crate::ledger::ForAudit;
use crate::listeners::Listeners;
use crate::news::{News, Told};
use crate::owners::Owners;
use crate::places::Places;
use crate::remembered::Remembered;
use crate::tally::Tally;
use crate::time::KernelTime;

/// A connection that this many complete passes in a row did not read is gone, its close lost, if they began
/// over at least [`MISSING_NS_MIN`].
const PASSES_MISSED_MAX: u16 = 3;

/// The kernel side holds a final record back for up to 2 s, to learn the owner; meanwhile no pass reads the
/// connection, and passes can follow one another at once.
const MISSING_NS_MIN: u64 = 5_000_000_000;

/// In place of a pass, where there is no connection.
const NOT_IN_USE: u16 = u16::MAX;

/// The live connections: 80 bytes of tally, 160 of details, 2 to 4 of the pass that read it last, and 5.7 to 11.4 of the
/// index for each; for one that is older than the tracer 88 more, of what it counted before.
#[derive(Debug, Default)]
pub(crate) struct Live {
    /// Places by id, which the details have.
    index: HashTable<u32>,
    hasher: RandomState,
    places: Places,
    tallies: Column<Tally>,
    details: Column<Details>,
    /// By place, the last pass that read the connection. A pass has the number of the one 65 535 passes ago; what is
    /// missing is given up long before.
    seen: Vec<u16>,
    /// Start of the first pass since then, of the few that a pass did not read.
    missing: HashMap<u32, KernelTime, RandomState>,
    /// Places of connections that came since the last pass and of which the listeners have to tell the direction.
    open_directions: Vec<u32>,
    owners: Owners,
    generation: u32,
    filter: Filter,
    /// How many live connections are not visible.
    hidden: usize,
    /// Places of hidden connections that are new, or of which the filter may say something else since the last pass.
    undecided: Vec<u32>,
    /// What became known of ends since it was taken, if anybody takes it.
    ends: Option<Vec<End>>,
    /// Only after it was asked for, until the pass ends.
    by_socket: Option<HashMap<u64, ConnectionId, RandomState>>,
}

impl Live {
    pub(crate) fn with_filter(filter: Filter) -> Self {
        Self { filter, ..Self::default() }
    }

    pub(crate) fn filter(&self) -> &Filter {
        &self.filter
    }

    pub(crate) fn len(&self) -> usize {
        self.places.in_use()
    }

    pub(crate) fn contains(&self, id: &ConnectionId) -> bool {
        self.find(id).is_some()
    }

    pub(crate) fn is_visible(&self, id: &ConnectionId) -> bool {
        self.find(id).and_then(|place| self.tallies.get(place)).is_some_and(Tally::is_visible)
    }

    /// All that are visible, in no order.
    pub(crate) fn connections(&self) -> impl Iterator<Item = Connection> {
        let is_visible = |place: &u32| self.tallies.get(*place).is_some_and(Tally::is_visible);
        self.in_use().filter(is_visible).filter_map(|place| self.at(place))
    }

    /// What an audit counts of them.
    pub(crate) fn counted(&self) -> impl Iterator<Item = ForAudit> {
        self.in_use().filter_map(|place| {
            let counted = self.tallies.get(place)?.counted;
            Some(self.details.get(place)?.for_audit(counted))
        })
    }

    /// What is told to a client that is told everything now.
    pub(crate) fn told(&self) -> Told {
        Told::new(self.tallies.chunks().to_vec(), self.len() - self.hidden)
    }

    /// What is news to a client that was told so much.
    pub(crate) fn news_since(&self, told: &Told) -> News {
        News::new(self.tallies.chunks(), self.details.chunks(), told)
    }

    /// What of that lives, with its names.
    pub(crate) fn remembered(&self, told: &Told) -> Remembered {
        Remembered::new(told.clone(), self.tallies.chunks(), self.details.chunks())
    }

    /// Adds a connection that this pass read for the first time.
    pub(crate) fn insert(&mut self, entry: &Entry, pass: u16) {
        let place = self.places.take();
        self.mark(place, pass);
        if entry.direction_is_open() {
            self.open_directions.push(place);
        }
        // 0 is for places that are not in use.
        self.generation = self.generation.checked_add(1).unwrap_or(1);
        let Entry { connection, since_opened, visible: _ } = entry;
        let visible = self.filter.is_empty();
        if !visible {
            self.hidden += 1;
            self.undecided.push(place);
        }
        self.note_end(connection, false);
        let details = self.packed(connection);
        if let (Some(to), Some(tally)) = (self.details.get_mut(place), self.tallies.get_mut(place)) {
            *to = details;
            let established = connection.established_at.is_some();
            *tally = Tally::new(self.generation, (*since_opened).into(), established, visible);
        }
        let (hasher, details) = (&self.hasher, &self.details);
        let hash_at = |place: &u32| details.get(*place).map_or(0, |at| hasher.hash_one(at.id));
        self.index.insert_unique(hasher.hash_one(connection.id), place, hash_at);
    }

    /// Takes a connection out; what is left of it is where it was.
    pub(crate) fn remove(&mut self, id: &ConnectionId) -> Option<(Entry, Place)> {
        let hash = self.hasher.hash_one(id);
        let details = &self.details;
        let is_it = |place: &u32| details.get(*place).is_some_and(|at| at.id == *id);
        let (place, _) = self.index.find_entry(hash, is_it).ok()?.remove();
        let entry = self.entry(place)?;
        let generation = self.tallies.get(place)?.generation;
        self.hidden -= usize::from(!entry.visible);
        self.mark(place, NOT_IN_USE);
        *self.tallies.get_mut(place)? = Tally::default();
        // Gives its share of the owner back.
        *self.details.get_mut(place)? = Details::default();
        if let Some(chunk) = self.places.give_back(place) {
            self.tallies.release(chunk);
            self.details.release(chunk);
        }
        Some((entry, Place { number: place, generation }))
    }

    /// The connection that was followed on this socket when it was first asked for one in this pass. The first question of
    /// a pass looks at all.
    pub(crate) fn of_socket(&mut self, cookie: u64) -> Option<ConnectionId> {
        let (index, details) = (&self.index, &self.details);
        let ids = || index.iter().filter_map(|place| details.get(*place)).map(|at| (at.id.cookie, at.id));
        let id = *self.by_socket.get_or_insert_with(|| ids().collect()).get(&cookie)?;
        self.contains(&id).then_some(id)
    }

    /// Notes that this pass read the connection. False when it is not here.
    pub(crate) fn see(&mut self, id: &ConnectionId, pass: u16) -> bool {
        let place = self.find(id);
        place.inspect(|place| self.mark(*place, pass)).is_some()
    }

    /// Lets `change` change the connection, which this pass read. `None` when it is not here.
    pub(crate) fn update<T>(
        &mut self,
        id: &ConnectionId,
        pass: u16,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        let place = self.find(id)?;
        self.mark(place, pass);
        let mut entry = self.entry(place)?;
        let answer = change(&mut entry);
        self.store(place, &entry)?;
        Some(answer)
    }

    /// The pass that began at `at` is complete: finds open directions, and gives those that are gone.
    pub(crate) fn end_pass(&mut self, pass: u16, at: KernelTime, listeners: &Listeners) -> Vec<ConnectionId> {
        self.by_socket = None;
        for place in std::mem::take(&mut self.open_directions) {
            if let Some(mut entry) = self.entry(place) {
                entry.resolve_direction(listeners);
                self.store(place, &entry);
            }
        }
        self.decide();
        let mut missing = HashMap::default();
        let mut gone = Vec::new();
        let unread = |seen: u16| seen != pass && seen != NOT_IN_USE;
        for (place, seen) in (0..).zip(&self.seen).filter(|(_, seen)| unread(**seen)) {
            let since = *self.missing.get(&place).unwrap_or(&at);
            missing.insert(place, since);
            let is_gone = passes_since(*seen, pass) >= PASSES_MISSED_MAX
                && at.nanoseconds_since(since) >= MISSING_NS_MIN;
            if is_gone {
                gone.extend(self.details.get(place).map(|at| at.id));
            }
        }
        self.missing = missing;
        gone
    }

    /// Makes visible what passes the filter. It stays so: from now on a client may have been told of it.
    fn decide(&mut self) {
        for place in std::mem::take(&mut self.undecided) {
            let passes = self.at(place).is_some_and(|connection| self.filter.passes(&connection));
            if let Some(tally) = self.tallies.get_mut(place).filter(|tally| passes && tally.is_hidden()) {
                *tally = tally.shown();
                self.hidden -= 1;
            }
        }
    }

    /// From now on it is noted what becomes known of ends.
    pub(crate) fn note_ends(&mut self) {
        self.ends = Some(Vec::new());
    }

    /// Takes what was noted.
    pub(crate) fn take_ends(&mut self) -> Vec<End> {
        self.ends.as_mut().map(std::mem::take).unwrap_or_default()
    }

    /// Notes what is known of this connection, if anybody wants it.
    pub(crate) fn note_end(&mut self, connection: &Connection, ended: bool) {
        if let Some(ends) = &mut self.ends {
            ends.push(End { connection: *connection, ended });
        }
    }

    /// True when clients are to be told of the connection, which has ended.
    pub(crate) fn shows(&self, entry: &Entry) -> bool {
        entry.visible || self.filter.passes(&entry.connection)
    }

    /// What is kept of a connection that has ended, and that was at `place` while it lived.
    pub(crate) fn closed(&mut self, entry: &Entry, place: Option<Place>) -> Closed {
        Closed::new(self.packed(&entry.connection), entry, place)
    }

    fn packed(&mut self, connection: &Connection) -> Details {
        let owner = connection.owner.map(|owner| self.owners.one(owner));
        let has_before = connection.before != Counters::default();
        let before = has_before.then(|| Arc::new(connection.before.into()));
        Details::pack(connection, owner, before)
    }

    fn in_use(&self) -> impl Iterator<Item = u32> {
        (0..).zip(&self.seen).filter(|(_, seen)| **seen != NOT_IN_USE).map(|(place, _)| place)
    }

    fn find(&self, id: &ConnectionId) -> Option<u32> {
        let is_it = |place: &u32| self.details.get(*place).is_some_and(|at| at.id == *id);
        self.index.find(self.hasher.hash_one(id), is_it).copied()
    }

    fn mark(&mut self, place: u32, pass: u16) {
        let place = usize::try_from(place).expect("as a place");
        if place >= self.seen.len() {
            self.seen.resize(place + 1, NOT_IN_USE);
        }
        if let Some(seen) = self.seen.get_mut(place) {
            *seen = pass;
        }
    }

    fn at(&self, place: u32) -> Option<Connection> {
        Some(self.details.get(place)?.unpack(self.tallies.get(place)?.counted))
    }

    fn entry(&self, place: u32) -> Option<Entry> {
        let tally = self.tallies.get(place)?;
        let (since_opened, visible) = (tally.counted.into(), tally.is_visible());
        Some(Entry { connection: self.at(place)?, since_opened, visible })
    }

    /// Keeps what changed, and copies nothing that stayed the same.
    fn store(&mut self, place: u32, entry: &Entry) -> Option<()> {
        let known = self.details.get(place)?;
        let owner = match entry.connection.owner {
            Some(owner) if known.owner.as_deref() != Some(&owner) => Some(self.owners.one(owner)),
            Some(_) => known.owner.clone(),
            None => None,
        };
        let details = Details::pack(&entry.connection, owner, known.shared_before());
        let tally = *self.tallies.get(place)?;
        let established = entry.connection.established_at.is_some();
        if !entry.visible && details.is_another_kind_than(known) {
            self.undecided.push(place);
        }
        let is_another_end = details.is_another_end_than(known);
        let new = tally.later(entry.since_opened.into(), established, details.is_news_after(known));
        if details != *known {
            *self.details.get_mut(place)? = details;
        }
        if new != tally {
            *self.tallies.get_mut(place)? = new;
        }
        if is_another_end {
            self.note_end(&entry.connection, false);
        }
        Some(())
    }
}

/// Passes from one to another. Their numbers go up to [`NOT_IN_USE`], and not further.
fn passes_since(seen: u16, pass: u16) -> u16 {
    match pass.checked_sub(seen) {
        Some(passes) => passes,
        None => NOT_IN_USE - seen + pass,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passes_are_counted_over_the_end_of_their_numbers() {
        assert_eq!((passes_since(7, 7), passes_since(7, 10)), (0, 3));
        assert_eq!((passes_since(65_534, 0), passes_since(65_533, 1)), (1, 3));
    }
}
