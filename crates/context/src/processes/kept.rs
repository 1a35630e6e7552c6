//! The processes that are remembered: so many, and so many bytes. Those that have ended leave first, and of these and of the
//! others those that nobody has asked for the longest.

use std::cell::Cell;
use std::hash::BuildHasher;
use std::mem::size_of;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::Instant;

use connections::{Annotation, Owner, Process, ProcessKey};
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use super::state::key_of;
use crate::batch::{Question, fetch_each, find_each, number_each};
use crate::lent::{Lendable, Lender};

/// At the limit, one of so many leaves, so that looking for the oldest is paid for by many that come.
const SHARE_EVICTED: usize = 16;
/// Forms of one process that are remembered beside the last: threads with users of their own, cgroups it was in.
const OTHERS_MAX: usize = 3;
/// A place in the hash map, which has up to two for each entry.
const PLACE_BYTES: usize = 2 * size_of::<Place>();

/// What an owner says that decides about a part of what is told of its process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Seen {
    cgroup_id: Option<NonZeroU64>,
    uid: u32,
    /// Has values to spare, so that the absence of all takes no room.
    is: Is,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Is {
    Seen = 1,
}

impl Seen {
    pub(super) fn of(owner: &Owner) -> Self {
        Self { cgroup_id: owner.cgroup_id.and_then(NonZeroU64::new), uid: owner.uid, is: Is::Seen }
    }
}

/// Where `/proc` said that a process runs, and when.
#[derive(Debug)]
pub(super) struct Placed {
    pub(super) unit: Option<Arc<str>>,
    pub(super) pod: Option<Arc<str>>,
    pub(super) at: Instant,
}

/// A process, and what is remembered of it: what most look-ups read and write is in its first line of the cache.
#[derive(Debug)]
#[repr(C, align(64))]
struct Place {
    key: ProcessKey,
    entry: Entry,
}

/// What is remembered of one process. In this order: what most look-ups read and write comes first.
#[derive(Debug, Default)]
#[repr(C)]
pub(super) struct Entry {
    /// What is known; of a process that was made as a copy and not looked at since, what is known of the one it was made of.
    pub(super) facts: Option<Lendable<Process>>,
    /// What `facts` was completed with, unless that may be wrong.
    seen: Option<Seen>,
    used: Cell<u64>,
    /// Until when the completed facts are true, in nanoseconds of [`Kept`]; absent when for ever.
    true_until: Option<NonZeroU64>,
    /// Nothing can be read of it any more.
    ended: bool,
    /// `/proc` was read since it began to run its program.
    pub(super) read: bool,
    /// It waits for being read.
    pub(super) queued: bool,
    /// It owns or owned a connection.
    pub(super) is_owner: bool,
    /// A reader hung at it.
    pub(super) hung: bool,
    /// Its place is looked for in `/proc`.
    pub(super) wants_place: bool,
    /// The same facts completed with something else.
    others: Vec<(Seen, Lendable<Process>)>,
    /// The process that made this one, if that was seen.
    pub(super) made_by: Option<u32>,
    pub(super) placed: Option<Box<Placed>>,
    /// How many programs it has begun to run.
    pub(super) programs: u32,
    cost_bytes: usize,
}

impl Entry {
    /// The facts have changed: what they were completed with is void.
    pub(super) fn set_facts(&mut self, facts: Arc<Process>) {
        self.facts = Some(facts.into());
        self.forget_completed();
    }

    pub(super) fn forget_completed(&mut self) {
        self.seen = None;
        self.others = Vec::new();
    }

    /// Nothing can be read of it any more: what is known stays true.
    pub(super) fn end(&mut self) {
        (self.ended, self.true_until) = (true, None);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Remembers the facts as completed with what an owner says.
    fn complete(&mut self, seen: Seen, facts: &Arc<Process>, true_until: Option<NonZeroU64>) {
        let true_until = true_until.filter(|_| !self.ended);
        if self.true_until != true_until {
            self.forget_completed();
        }
        self.true_until = true_until;
        let former = self.facts.replace(Arc::clone(facts).into());
        let Some((former_seen, former)) = self.seen.replace(seen).zip(former) else { return };
        if self.others.len() >= OTHERS_MAX {
            self.others.remove(0);
        }
        self.others.push((former_seen, former));
    }

    fn completed(&self, seen: Seen, now_ns: u64) -> Option<&Lendable<Process>> {
        if self.true_until.is_some_and(|until| until.get() <= now_ns) {
            return None;
        }
        if self.seen == Some(seen) {
            return self.facts.as_ref();
        }
        self.others.iter().find(|(other, _)| *other == seen).map(|(_, facts)| facts)
    }

    fn current_cost_bytes(&self) -> usize {
        let others = self.others.capacity() * size_of::<(Seen, Lendable<Process>)>();
        let all = self.facts.iter().chain(self.others.iter().map(|(_, facts)| facts));
        let placed = self.placed.as_ref().map_or(0, |placed| {
            let texts = placed.unit.iter().chain(&placed.pod);
            allocated(size_of::<Placed>()) + texts.map(|text| allocated(16 + text.len())).sum::<usize>()
        });
        PLACE_BYTES + others + placed + all.map(|facts| cost_bytes(facts)).sum::<usize>()
    }
}

/// What an allocation takes.
fn allocated(bytes: usize) -> usize {
    (bytes + 8).next_multiple_of(16).max(32)
}

fn cost_bytes(process: &Process) -> usize {
    let arguments = process.command_line.iter().flatten();
    let texts = process.unit.iter().chain(&process.pod);
    allocated(16 + size_of::<Process>())
        + process.executable.as_ref().map_or(0, |path| allocated(path.len()))
        + arguments.map(|argument| size_of::<Box<str>>() + allocated(argument.len())).sum::<usize>()
        + texts.map(|text| allocated(16 + text.len())).sum::<usize>()
}

/// All of them.
#[derive(Debug)]
pub(super) struct Kept {
    entries: HashTable<Place>,
    hasher: RandomState,
    /// Times are counted from here.
    began: Instant,
    limit: usize,
    bytes_limit: usize,
    bytes: usize,
    uses: Cell<u64>,
    evicted: u64,
}

impl Kept {
    pub(super) fn new(limit: usize, bytes_limit: usize) -> Self {
        Self {
            entries: HashTable::new(),
            hasher: RandomState::default(),
            began: Instant::now(),
            limit: limit.max(1),
            bytes_limit,
            bytes: 0,
            uses: Cell::new(0),
            evicted: 0,
        }
    }

    /// The facts of a process as completed with what an owner says, when they are true: the common case.
    pub(super) fn completed(&self, key: ProcessKey, seen: Seen, now: Instant) -> Option<Arc<Process>> {
        self.use_completed(self.get(key)?, seen, self.ns(now)).map(|process| process.counted())
    }

    /// The same for the owners of a batch of connections. Reads at first what is read of all of them.
    pub(super) fn fill<'a>(
        &self,
        questions: &[Question<'_>],
        known: &mut [Annotation<'a>],
        lender: &'a Lender<Process>,
        now: Instant,
    ) {
        let hashes = number_each(questions, |question| {
            question.connection.owner.as_ref().map_or(0, |owner| self.hash(&key_of(owner)))
        });
        let first = find_each(&hashes[..questions.len()], |hash| self.entries.find(*hash, |_| true));
        fetch_each(first, |place| Some(place.entry.used.get()));
        let now_ns = self.ns(now);
        for ((question, first), known) in questions.iter().zip(&first).zip(known) {
            let Some((place, owner)) = first.zip(question.connection.owner.as_ref()) else { continue };
            let key = key_of(owner);
            let entry = if place.key == key { Some(&place.entry) } else { self.get(key) };
            let process = entry.and_then(|entry| self.use_completed(entry, Seen::of(owner), now_ns));
            known.process = process.map(|process| lender.lend(process));
        }
    }

    fn use_completed<'k>(&self, entry: &'k Entry, seen: Seen, now_ns: u64) -> Option<&'k Lendable<Process>> {
        entry.used.set(self.next_use());
        entry.completed(seen, now_ns)
    }

    /// Remembers facts as completed with what an owner says, until then; for ever when no time is given.
    pub(super) fn complete(
        &mut self,
        key: ProcessKey,
        seen: Seen,
        facts: &Arc<Process>,
        true_until: Option<Instant>,
    ) {
        let true_until = true_until.and_then(|until| NonZeroU64::new(self.ns(until).max(1)));
        self.make(key, |entry| entry.complete(seen, facts, true_until));
    }

    /// A time in nanoseconds since the beginning.
    fn ns(&self, time: Instant) -> u64 {
        u64::try_from(time.saturating_duration_since(self.began).as_nanos()).unwrap_or(u64::MAX)
    }

    fn next_use(&self) -> u64 {
        self.uses.set(self.uses.get() + 1);
        self.uses.get()
    }

    pub(super) fn get(&self, key: ProcessKey) -> Option<&Entry> {
        self.entries.find(self.hash(&key), |known| known.key == key).map(|known| &known.entry)
    }

    /// Changes what is remembered of a process, if something is.
    pub(super) fn change<T>(&mut self, key: ProcessKey, change: impl FnOnce(&mut Entry) -> T) -> Option<T> {
        let used = self.next_use();
        let hash = self.hash(&key);
        let Place { entry, .. } = self.entries.find_mut(hash, |known| known.key == key)?;
        entry.used.set(used);
        let changed = change(entry);
        let cost_bytes = entry.current_cost_bytes();
        self.bytes = self.bytes - entry.cost_bytes + cost_bytes;
        entry.cost_bytes = cost_bytes;
        while self.bytes > self.bytes_limit && !self.entries.is_empty() {
            self.evict();
        }
        Some(changed)
    }

    /// Changes what is remembered of a process, from now on if nothing was.
    pub(super) fn make<T: Default>(&mut self, key: ProcessKey, change: impl FnOnce(&mut Entry) -> T) -> T {
        if self.get(key).is_none() {
            if self.entries.len() >= self.limit {
                self.evict();
            }
            let Self { entries, hasher, .. } = self;
            let new = Place { key, entry: Entry::default() };
            entries.insert_unique(hasher.hash_one(key), new, |known| hasher.hash_one(known.key));
        }
        self.change(key, change).unwrap_or_default()
    }

    pub(super) fn forget_all_completed(&mut self) {
        for Place { entry, .. } in &mut self.entries {
            entry.forget_completed();
            let cost_bytes = entry.current_cost_bytes();
            self.bytes = self.bytes - entry.cost_bytes + cost_bytes;
            entry.cost_bytes = cost_bytes;
        }
    }

    fn evict(&mut self) {
        let mut all: Vec<_> =
            self.iter().map(|(key, entry)| (!entry.ended, entry.used.get(), *key)).collect();
        let leaving = all.len().div_ceil(SHARE_EVICTED);
        if leaving < all.len() {
            all.select_nth_unstable(leaving);
        }
        for (.., key) in &all[..leaving] {
            let found = self.entries.find_entry(self.hasher.hash_one(key), |known| known.key == *key);
            self.bytes -= found.map_or(0, |found| found.remove().0.entry.cost_bytes);
            self.evicted += 1;
        }
    }

    fn hash(&self, key: &ProcessKey) -> u64 {
        self.hasher.hash_one(key)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (&ProcessKey, &Entry)> {
        self.entries.iter().map(|known| (&known.key, &known.entry))
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn evicted(&self) -> u64 {
        self.evicted
    }
}

#[cfg(test)]
mod tests {
    use std::mem::offset_of;

    use super::*;

    #[test]
    fn what_most_look_ups_read_is_in_one_line_of_the_cache() {
        let end = offset_of!(Place, entry) + offset_of!(Entry, true_until) + size_of::<Option<NonZeroU64>>();
        assert_eq!((end, size_of::<Place>()), (64, 128));
    }
}
