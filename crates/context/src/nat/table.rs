//! The translations that are remembered: bounded, found by either direction, each with its lifetime.
//!
//! Knows no socket and no clock. Of an entry it takes 104 bytes and, when the table is full, 20 of the index: two words of
//! 4 bytes and their two tags, with a load of one half. What has ended stays, so that a connection that is asked for later
//! is found; it leaves after some time, and first when there is no room.

use std::collections::HashMap;
use std::hash::BuildHasher;

use connections::Protocol;
use foldhash::fast::{FixedState, RandomState};
use hashbrown::HashTable;

use super::entry::{ALIVE, Entry, Line, position};
use super::find::{Asked, Found, Translated};
use super::way::{Translation, Way};
use crate::batch::{fetch_each, first_each, number_each};

/// How long what has ended is remembered.
pub(crate) const REMEMBERED_NS: u64 = 15 * 60 * 1_000_000_000;
/// The kernel tells of an end at most so long after a dump has found it, but for a thread that is starved.
const LATE_NS: u64 = 10 * 1_000_000_000;
/// Ended ones that are remembered of one way in one namespace: a port that is used again and again does not make looking
/// slow.
const ENDED_PER_WAY_MAX: usize = 4;

/// Translations of all namespaces.
#[derive(Debug)]
pub(crate) struct Table {
    entries_max: usize,
    entries: Vec<Entry>,
    len: usize,
    /// Places that are in no use.
    free: Line,
    living: Line,
    ended: Line,
    /// Twice the place, and one more for the other direction.
    index: HashTable<u32>,
    hasher: RandomState,
    /// By inode number.
    namespaces: HashMap<u32, Known, FixedState>,
    evicted: u64,
}

/// What is kept of a namespace that is listened to.
#[derive(Debug, Default)]
struct Known {
    /// The number of its last dump.
    mark: u8,
    /// All that is there and not in the table began then or later; 0 when nobody can say.
    sure_until: u64,
    /// Entries that live.
    living: usize,
    /// Of these, those of whose end the kernel may not tell: it does not, of what is older than the first listener.
    untold: usize,
}

impl Table {
    pub(crate) fn new(entries_max: usize) -> Self {
        Self {
            // A place takes 31 bits.
            entries_max: entries_max.clamp(1, 1 << 30),
            entries: Vec::new(),
            len: 0,
            free: Line::default(),
            living: Line::default(),
            ended: Line::default(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            namespaces: HashMap::default(),
            evicted: 0,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.len
    }

    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// A namespace is listened to from here on.
    pub(crate) fn know(&mut self, netns: u32) {
        self.namespaces.entry(netns).or_default();
    }

    pub(crate) fn knows(&self, netns: u32) -> bool {
        self.namespaces.contains_key(&netns)
    }

    /// Namespaces that are known.
    pub(crate) fn known(&self) -> impl Iterator<Item = u32> {
        self.namespaces.keys().copied()
    }

    /// Namespaces with entries of whose end the kernel may not tell.
    pub(crate) fn with_untold(&self) -> Vec<u32> {
        self.namespaces.iter().filter(|(_, known)| known.untold > 0).map(|(netns, _)| *netns).collect()
    }

    /// A namespace is gone, and all that lived in it.
    pub(crate) fn forget(&mut self, netns: u32, now: u64) {
        self.end_where(netns, now, |_| true);
        self.namespaces.remove(&netns);
    }

    /// The kernel told that a translation is there, which began at that time or later.
    pub(crate) fn begin(&mut self, netns: u32, translation: &Translation, began: u64, now: u64) {
        let mark = self.namespaces.get(&netns).map_or(0, |known| known.mark);
        if let Some(place) = self.living_at(netns, translation) {
            let entry = &mut self.entries[position(place)];
            if entry.reply == translation.reply {
                entry.mark = mark;
                return;
            }
            // There cannot be two: of the end of the other one nobody told.
            self.end_at(place, now);
        }
        self.insert(Entry::new(netns, translation, began, ALIVE, mark));
    }

    /// A dump that began at that time told that a translation is there.
    pub(crate) fn listed(&mut self, netns: u32, translation: &Translation, dump_began: u64, now: u64) {
        let same = |entry: &Entry| entry.has_place_of(netns, translation);
        let newer = self.at_way(translation.protocol, &translation.original).any(|place| {
            let entry = &self.entries[position(place)];
            let other = entry.reply != translation.reply;
            // It has ended while the dump went on, or another one has its place since.
            same(entry)
                && if entry.is_alive() {
                    other && entry.began >= dump_began
                } else {
                    !other && entry.ended >= dump_began
                }
        });
        let alive = self.living_at(netns, translation);
        let is_same = alive.is_some_and(|place| self.entries[position(place)].reply == translation.reply);
        if is_same || !newer {
            let began = self.namespaces.get(&netns).map_or(0, |known| known.sure_until);
            self.begin(netns, translation, began, now);
        }
    }

    /// The kernel told that a translation is gone.
    pub(crate) fn end(&mut self, netns: u32, translation: &Translation, now: u64) {
        let (mut living, mut just_ended) = (None, false);
        for place in self.at_way(translation.protocol, &translation.original) {
            let entry = &self.entries[position(place)];
            if entry.has_place_of(netns, translation) && entry.reply == translation.reply {
                living = living.or(entry.is_alive().then_some(place));
                just_ended |= !entry.is_alive() && entry.ended >= now.saturating_sub(LATE_NS);
            }
        }
        match living {
            Some(place) => self.end_at(place, now),
            // A dump was faster.
            None if just_ended => {}
            // Nobody told of its beginning. It is good for a connection that has ended, and tells a dump that is on its way.
            None => self.insert(Entry::new(netns, translation, 0, now, 0)),
        }
    }

    /// A dump of the namespace begins: its number.
    pub(crate) fn dump_begins(&mut self, netns: u32) {
        if let Some(known) = self.namespaces.get_mut(&netns) {
            known.mark = known.mark.wrapping_add(1);
        }
    }

    /// A dump of the namespace that began at that time is complete: what it did not tell, and no event since, has ended.
    pub(crate) fn dump_is_complete(&mut self, netns: u32, began: u64, now: u64) {
        if let Some(known) = self.namespaces.get_mut(&netns) {
            known.sure_until = began;
            let mark = known.mark;
            self.end_where(netns, now, |entry| entry.mark != mark);
        }
    }

    /// Forgets what has ended long ago.
    pub(crate) fn expire(&mut self, now: u64) {
        let oldest = now.saturating_sub(REMEMBERED_NS);
        while let Some(place) = self.ended.first() {
            if self.entries[position(place)].ended >= oldest {
                break;
            }
            self.remove(place);
        }
        if self.len() == 0 {
            (self.entries, self.free, self.index) = (Vec::new(), Line::default(), HashTable::new());
        }
    }

    /// What is known of the way in that time.
    pub(crate) fn find(&self, asked: &Asked) -> Option<Translated> {
        self.of_places(self.index.iter_hash(self.hash(asked.protocol, &asked.way)).copied(), asked)
    }

    /// The same for a batch, by their ways: told are those that are translated, each with its number, and asked for is the rest
    /// of those that may be. Reads at first what all of them read: the processor waits for the memory of many at a time where
    /// nothing has to be decided between.
    pub(crate) fn find_each<Q>(
        &self,
        batch: &[Q],
        way: impl Fn(&Q) -> (Protocol, Way),
        asked: impl Fn(&Q) -> Asked,
        mut told: impl FnMut(usize, Translated),
    ) {
        let hashes = number_each(batch, |one| {
            let (protocol, way) = way(one);
            self.hash(protocol, &way)
        });
        let first =
            first_each(&self.index, &hashes[..batch.len()], |index| self.entries.get(position(index / 2)));
        fetch_each(first, |entry| Some(entry.fetch()));
        for (number, ((first, hash), one)) in first.into_iter().zip(hashes).zip(batch).enumerate() {
            if first.is_none() {
                continue;
            }
            if let Some(translated) = self.of_places(self.index.iter_hash(hash).copied(), &asked(one)) {
                told(number, translated);
            }
        }
    }

    fn of_places(&self, indexes: impl Iterator<Item = u32>, asked: &Asked) -> Option<Translated> {
        let mut found = Found::default();
        for index in indexes {
            let (entry, reply) = (&self.entries[position(index / 2)], index % 2 == 1);
            if *entry.way(reply) == asked.way && entry.protocol == asked.protocol && asked.overlaps(entry) {
                found.add(asked, entry, entry.way(!reply));
            }
        }
        found.answer()
    }

    /// Entries from that position on, at most so many, and the position behind them; the ones that are no more are left
    /// out.
    pub(crate) fn copy(&self, from: usize, most: usize, into: &mut Vec<Entry>) -> Option<usize> {
        let until = from.saturating_add(most).min(self.entries.len());
        let taken = self.entries.get(from..until)?;
        into.extend(taken.iter().filter(|entry| entry.ended != NO_ENTRY));
        (until > from).then_some(until)
    }

    fn hash(&self, protocol: Protocol, way: &Way) -> u64 {
        self.hasher.hash_one((way, protocol as u8))
    }

    /// Places of entries whose first direction is that way, in any namespace.
    fn at_way(&self, protocol: Protocol, original: &Way) -> impl Iterator<Item = u32> {
        let original = *original;
        let same = move |index: &&u32| {
            let entry = &self.entries[position(**index / 2)];
            index.is_multiple_of(2) && entry.protocol == protocol && entry.original == original
        };
        self.index.iter_hash(self.hash(protocol, &original)).filter(same).map(|index| index / 2)
    }

    fn living_at(&self, netns: u32, translation: &Translation) -> Option<u32> {
        self.at_way(translation.protocol, &translation.original).find(|place| {
            let entry = &self.entries[position(*place)];
            entry.is_alive() && entry.has_place_of(netns, translation)
        })
    }

    fn insert(&mut self, entry: Entry) {
        self.make_room(&entry);
        let place = match self.free.first() {
            Some(place) => {
                self.free.remove(&mut self.entries, place);
                self.entries[position(place)] = entry;
                place
            }
            None => self.append(entry),
        };
        let line = if entry.is_alive() { &mut self.living } else { &mut self.ended };
        line.append(&mut self.entries, place);
        self.len += 1;
        self.count(&entry, true);
        for reply in [false, true] {
            let hash = self.hash(entry.protocol, entry.way(reply));
            let Self { index, entries, hasher, .. } = self;
            index.insert_unique(hash, place * 2 + u32::from(reply), |index| {
                let entry = &entries[position(index / 2)];
                hasher.hash_one((entry.way(index % 2 == 1), entry.protocol as u8))
            });
        }
    }

    fn append(&mut self, entry: Entry) -> u32 {
        let place = u32::try_from(self.entries.len()).expect("there are at most 2^30");
        if self.entries.len() == self.entries.capacity() {
            let more = self.entries.len().clamp(64, self.entries_max.max(64));
            self.entries.reserve_exact(more.min(self.entries_max - self.entries.len()));
        }
        self.entries.push(entry);
        place
    }

    /// Room for this one, both in the table and among those of its way.
    fn make_room(&mut self, entry: &Entry) {
        let ended_before = |place: &u32| {
            let other = &self.entries[position(*place)];
            !other.is_alive() && other.netns == entry.netns
        };
        let of_way = self.at_way(entry.protocol, &entry.original).filter(ended_before);
        let oldest_first = |place: &u32| self.entries[position(*place)].ended;
        let (number, oldest) = of_way.fold((0, None::<u32>), |(number, oldest), place| {
            let older = oldest.into_iter().chain([place]).min_by_key(oldest_first);
            (number + 1, older)
        });
        if let Some(oldest) = oldest.filter(|_| number >= ENDED_PER_WAY_MAX) {
            self.remove(oldest);
        }
        if self.len() >= self.entries_max
            && let Some(place) = self.ended.first().or(self.living.first())
        {
            self.evicted += 1;
            let Entry { netns, .. } = self.entries[position(place)];
            if let Some(known) = self.namespaces.get_mut(&netns) {
                known.sure_until = 0;
            }
            self.remove(place);
        }
    }

    fn remove(&mut self, place: u32) {
        let entry = self.entries[position(place)];
        let line = if entry.is_alive() { &mut self.living } else { &mut self.ended };
        line.remove(&mut self.entries, place);
        self.count(&entry, false);
        for reply in [false, true] {
            let hash = self.hash(entry.protocol, entry.way(reply));
            let found = self.index.find_entry(hash, |index| *index == place * 2 + u32::from(reply));
            found.expect("each entry is in the index twice").remove();
        }
        self.entries[position(place)].ended = NO_ENTRY;
        self.free.append(&mut self.entries, place);
        self.len -= 1;
    }

    fn end_at(&mut self, place: u32, now: u64) {
        let entry = self.entries[position(place)];
        self.count(&entry, false);
        self.living.remove(&mut self.entries, place);
        self.entries[position(place)].ended = now;
        self.ended.append(&mut self.entries, place);
    }

    fn end_where(&mut self, netns: u32, now: u64, ends: impl Fn(&Entry) -> bool) {
        if self.namespaces.get(&netns).is_none_or(|known| known.living == 0) {
            return;
        }
        for place in 0..u32::try_from(self.entries.len()).expect("there are at most 2^30") {
            let entry = &self.entries[position(place)];
            if entry.netns == netns && entry.is_alive() && ends(entry) {
                self.end_at(place, now);
            }
        }
    }

    /// Counts a living one in or out.
    fn count(&mut self, entry: &Entry, comes: bool) {
        let Some(known) = self.namespaces.get_mut(&entry.netns).filter(|_| entry.is_alive()) else { return };
        let step = |number: &mut usize| *number = if comes { *number + 1 } else { number.saturating_sub(1) };
        step(&mut known.living);
        if entry.began == 0 {
            step(&mut known.untold);
        }
    }
}

/// The end of an entry whose place is free. No entry has it: the kernel's clock is past it before anything runs.
const NO_ENTRY: u64 = 0;

#[cfg(test)]
mod tests;
