//! The live connections by id, with what is noted of each in every pass apart from the rest of it: a pass over
//! connections that rest touches only that.

use std::collections::HashMap;

use foldhash::fast::RandomState;
use slab::Slab;

use crate::connection::{Connection, ConnectionId};
use crate::entry::Entry;
use crate::listeners::Listeners;
use crate::time::KernelTime;

/// A connection that this many complete passes in a row did not read is gone, its close lost, if they began
/// over at least [`MISSING_NS_MIN`].
const PASSES_MISSED_MAX: u64 = 3;

/// The kernel side holds a final record back for up to 2 s, to learn the owner; meanwhile no pass reads the
/// connection, and passes can follow one another at once.
const MISSING_NS_MIN: u64 = 5_000_000_000;

/// The live connections.
#[derive(Debug, Default)]
pub(crate) struct Live {
    places: HashMap<ConnectionId, usize, RandomState>,
    entries: Slab<Entry>,
    /// By place, as the entries.
    marks: Vec<Mark>,
    changes: u64,
    /// Only after it was asked for, until the pass ends.
    by_socket: Option<HashMap<u64, ConnectionId, RandomState>>,
}

/// What is noted of a connection in every pass: 40 bytes.
#[derive(Debug, Clone, Copy)]
struct Mark {
    /// Number of the last pass that read it.
    seen_in_pass: u64,
    /// Start of the first pass since then.
    missing_since: Option<KernelTime>,
    /// Number of the last change that is worth telling; 0 when the place is free.
    changed: u64,
    direction_is_open: bool,
}

impl Live {
    pub(crate) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(crate) fn contains(&self, id: &ConnectionId) -> bool {
        self.places.contains_key(id)
    }

    /// All of them, in no order.
    pub(crate) fn connections(&self) -> impl Iterator<Item = &Connection> {
        self.entries.iter().map(|(_, entry)| &entry.connection)
    }

    /// How many changes were worth telling so far.
    pub(crate) fn changes(&self) -> u64 {
        self.changes
    }

    /// The connections with changes after the first `changes`, in no order.
    pub(crate) fn changed_since(&self, changes: u64) -> impl Iterator<Item = &Connection> {
        let changed = self.marks.iter().enumerate().filter(move |(_, mark)| mark.changed > changes);
        changed.filter_map(|(place, _)| self.entries.get(place)).map(|entry| &entry.connection)
    }

    /// Adds a connection that this pass read for the first time.
    pub(crate) fn insert(&mut self, entry: Entry, pass: u64) {
        self.changes += 1;
        let direction_is_open = entry.direction_is_open();
        let mark = Mark { seen_in_pass: pass, missing_since: None, changed: self.changes, direction_is_open };
        let id = entry.connection.id;
        let place = self.entries.insert(entry);
        match self.marks.get_mut(place) {
            Some(free) => *free = mark,
            // Places are given out one after the other.
            None => self.marks.push(mark),
        }
        self.places.insert(id, place);
    }

    pub(crate) fn remove(&mut self, id: &ConnectionId) -> Option<Entry> {
        let place = self.places.remove(id)?;
        if let Some(mark) = self.marks.get_mut(place) {
            mark.changed = 0;
        }
        self.entries.try_remove(place)
    }

    /// The connection that was followed on this socket when it was first asked for one in this pass. The first question of
    /// a pass looks at all.
    pub(crate) fn of_socket(&mut self, cookie: u64) -> Option<ConnectionId> {
        let places = &self.places;
        let all = || places.keys().map(|id| (id.cookie, *id)).collect();
        let id = *self.by_socket.get_or_insert_with(all).get(&cookie)?;
        self.places.contains_key(&id).then_some(id)
    }

    /// Notes that this pass read the connection. False when it is not here.
    pub(crate) fn see(&mut self, id: &ConnectionId, pass: u64) -> bool {
        let mark = self.places.get(id).and_then(|place| self.marks.get_mut(*place));
        if let Some(mark) = mark {
            (mark.seen_in_pass, mark.missing_since) = (pass, None);
            return true;
        }
        false
    }

    /// Lets `change` change the connection, which this pass read. `None` when it is not here.
    pub(crate) fn update<T>(
        &mut self,
        id: &ConnectionId,
        pass: u64,
        change: impl FnOnce(&mut Entry) -> T,
    ) -> Option<T> {
        let place = *self.places.get(id)?;
        let (mark, entry) = (self.marks.get_mut(place)?, self.entries.get_mut(place)?);
        (mark.seen_in_pass, mark.missing_since) = (pass, None);
        let before = entry.connection.news();
        let answer = change(entry);
        if entry.connection.news() != before {
            self.changes += 1;
            mark.changed = self.changes;
        }
        Some(answer)
    }

    /// The pass that began at `at` is complete: finds open directions, and gives those that are gone.
    pub(crate) fn end_pass(&mut self, pass: u64, at: KernelTime, listeners: &Listeners) -> Vec<ConnectionId> {
        self.by_socket = None;
        let mut gone = Vec::new();
        for (place, mark) in self.marks.iter_mut().enumerate().filter(|(_, mark)| mark.changed > 0) {
            let is_gone = mark.is_gone(pass, at);
            if !is_gone && !mark.direction_is_open {
                continue;
            }
            let Some(entry) = self.entries.get_mut(place) else { continue };
            entry.resolve_direction(listeners);
            mark.direction_is_open = false;
            if is_gone {
                gone.push(entry.connection.id);
            }
        }
        gone
    }
}

impl Mark {
    /// Judges when the pass that began at `at` is complete.
    fn is_gone(&mut self, pass: u64, at: KernelTime) -> bool {
        let missed = pass.saturating_sub(self.seen_in_pass);
        if missed == 0 {
            return false;
        }
        let since = *self.missing_since.get_or_insert(at);
        missed >= PASSES_MISSED_MAX && at.nanoseconds_since(since) >= MISSING_NS_MIN
    }
}
