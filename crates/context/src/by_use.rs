//! Values by key, of which the one that was used longest ago can leave.
//!
//! Owns who that is. What is used often leaves seldom, so a use writes down a number beside what was read anyway, and who is
//! to leave is looked for when somebody has to. How many there may be is the business of who keeps them.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::batch::{Found, first_each, number_each};

/// One of so many is looked for at once, so that looking at all of them is paid for by many that leave.
const SHARE_LEAVING: usize = 16;

/// Values by key. With its key and 8 bytes each takes a multiple of 64 bytes, and 5 in the index for each of its places, of
/// which there are a power of two and at least an eighth more than values.
#[derive(Debug)]
pub(crate) struct ByUse<K, V> {
    places: Vec<Place<K, V>>,
    /// For so many room is made step by step.
    usual: usize,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// The number of the last use.
    uses: Cell<u64>,
    /// Those that were used longest ago when that was looked for, with that use, the first to leave last. All that was used
    /// since was used later than any of them.
    leaving: Vec<(u64, u32)>,
}

/// One that is kept. In this order, and at the beginning of a line of the cache: what a use reads and writes is in as few as
/// can be.
#[derive(Debug)]
#[repr(C, align(64))]
pub(crate) struct Place<K, V> {
    key: K,
    used: Cell<u64>,
    /// Absent where the place is free.
    value: Option<V>,
}

impl<K, V> Place<K, V> {
    /// A number that stands in the part that is read at first.
    pub(crate) fn fetch(&self) -> Option<u64> {
        Some(self.used.get())
    }

    pub(crate) fn value(&self) -> Option<&V> {
        self.value.as_ref()
    }
}

impl<K: Eq + Hash, V> ByUse<K, V> {
    /// Usually there are at most so many.
    pub(crate) fn new(usual: usize) -> Self {
        Self {
            places: Vec::new(),
            usual,
            free: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            uses: Cell::new(0),
            leaving: Vec::new(),
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    /// Where the value is. That it is looked for is no use of it.
    pub(crate) fn get(&self, key: &K) -> Option<&Place<K, V>> {
        self.places.get(at(self.place(key)?))
    }

    /// Where the values of a batch may be, for [`is_at`](Self::is_at). Does not read what stands there.
    pub(crate) fn first_each<Q>(&self, asked: &[Q], key: impl Fn(&Q) -> K) -> Found<&Place<K, V>> {
        let hashes = number_each(asked, |asked| self.hasher.hash_one(key(asked)));
        first_each(&self.index, &hashes[..asked.len()], |place| self.places.get(at(place)))
    }

    /// Where the value is, when it is known where it may be.
    pub(crate) fn is_at<'a>(&'a self, first: &'a Place<K, V>, key: &K) -> Option<&'a Place<K, V>> {
        if first.key == *key { Some(first) } else { self.get(key) }
    }

    /// The value at this place, which counts as used.
    pub(crate) fn used<'a>(&self, place: &'a Place<K, V>) -> Option<&'a V> {
        place.used.set(self.next_use());
        place.value.as_ref()
    }

    /// The value, which counts as used.
    pub(crate) fn get_mut(&mut self, key: &K) -> Option<&mut V> {
        let used = self.next_use();
        let place = self.place(key)?;
        let known = self.places.get_mut(at(place))?;
        known.used.set(used);
        known.value.as_mut()
    }

    /// Keeps the value of a key that has none.
    pub(crate) fn insert(&mut self, key: K, value: V) {
        let hash = self.hasher.hash_one(&key);
        let new = Place { key, used: Cell::new(self.next_use()), value: Some(value) };
        let free = self.free.pop().or_else(|| u32::try_from(self.places.len()).ok());
        let Some(place) = free else { return };
        match self.places.get_mut(at(place)) {
            Some(free) => *free = new,
            None => self.append(new),
        }
        let Self { places, index, hasher, .. } = self;
        let hash_of = |place: &u32| places.get(at(*place)).map_or(0, |known| hasher.hash_one(&known.key));
        index.insert_unique(hash, place, hash_of);
    }

    /// Takes out the value that was used longest ago. Now and then it looks at all, about 20 ns for each.
    pub(crate) fn take_oldest(&mut self) -> Option<V> {
        let place = self.oldest()?;
        let known = self.places.get_mut(at(place))?;
        if let Ok(found) = self.index.find_entry(self.hasher.hash_one(&known.key), |other| *other == place) {
            found.remove();
        }
        self.free.push(place);
        known.value.take()
    }

    /// All of them, in no order.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (&K, &V)> {
        self.places.iter().filter_map(|known| Some((&known.key, known.value.as_ref()?)))
    }

    fn next_use(&self) -> u64 {
        self.uses.set(self.uses.get() + 1);
        self.uses.get()
    }

    fn place(&self, key: &K) -> Option<u32> {
        let is_it = |place: &u32| self.places.get(at(*place)).is_some_and(|known| known.key == *key);
        self.index.find(self.hasher.hash_one(key), is_it).copied()
    }

    fn append(&mut self, new: Place<K, V>) {
        if self.places.len() == self.places.capacity() {
            // An eighth more instead of twice as many: that is megabytes.
            let room = self.usual.saturating_sub(self.places.len()).max(1);
            self.places.reserve_exact((self.places.len() / 8 + 64).min(room));
        }
        self.places.push(new);
    }

    fn oldest(&mut self) -> Option<u32> {
        loop {
            while let Some((used, place)) = self.leaving.pop() {
                let is_there = |known: &&Place<K, V>| known.value.is_some() && known.used.get() == used;
                if self.places.get(at(place)).filter(is_there).is_some() {
                    return Some(place);
                }
            }
            let used = self.places.iter().zip(0..).filter(|(known, _)| known.value.is_some());
            let mut all: Vec<(u64, u32)> = used.map(|(known, place)| (known.used.get(), place)).collect();
            let leaving = all.len().div_ceil(SHARE_LEAVING);
            if leaving < all.len() {
                all.select_nth_unstable(leaving);
            }
            self.leaving = all.get(..leaving).unwrap_or_default().to_vec();
            self.leaving.sort_unstable_by(|one, other| other.cmp(one));
            if self.leaving.is_empty() {
                return None;
            }
        }
    }
}

fn at(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Debug, Clone, Copy)]
    enum Step {
        Look(u8),
        Use(u8),
        Change(u8),
        Insert(u8),
        TakeOldest,
    }

    fn step() -> impl Strategy<Value = Step> {
        let key = 0..40u8;
        prop_oneof![
            key.clone().prop_map(Step::Look),
            key.clone().prop_map(Step::Use),
            key.clone().prop_map(Step::Change),
            key.prop_map(Step::Insert),
            Just(Step::TakeOldest),
        ]
    }

    proptest! {
        /// Of 40 that are there three are looked for at once, so that some of those are used before it is their turn.
        #[test]
        fn who_leaves_is_who_was_used_longest_ago(
            begin in 0..40u8,
            steps in proptest::collection::vec(step(), 0..200),
        ) {
            let mut kept = ByUse::new(8);
            // The last one was used last.
            let mut model: Vec<u8> = Vec::new();
            for step in (0..begin).map(Step::Insert).chain(steps) {
                match step {
                    Step::Look(key) => {
                        let found = kept.get(&key).and_then(Place::value);
                        prop_assert_eq!(found.copied(), model.contains(&key).then_some(key));
                    }
                    Step::Use(key) | Step::Change(key) => {
                        let known = model.iter().position(|known| *known == key).map(|place| model.remove(place));
                        let used = match step {
                            Step::Use(_) => kept.get(&key).and_then(|place| kept.used(place)).copied(),
                            _ => kept.get_mut(&key).copied(),
                        };
                        prop_assert_eq!(used, known);
                        model.extend(known);
                    }
                    Step::Insert(key) => {
                        if !model.contains(&key) {
                            kept.insert(key, key);
                            model.push(key);
                        }
                    }
                    Step::TakeOldest => {
                        let oldest = (!model.is_empty()).then(|| model.remove(0));
                        prop_assert_eq!(kept.take_oldest(), oldest);
                    }
                }
                prop_assert_eq!(kept.len(), model.len());
                prop_assert_eq!(kept.iter().count(), model.len());
            }
        }
    }

    #[test]
    fn places_are_used_again_and_no_more_are_made_than_there_are_usually() {
        let mut kept = ByUse::new(100);
        for number in 0..10_000u32 {
            kept.insert(number, number);
            if kept.len() == 100 {
                assert_eq!(kept.take_oldest(), Some(number - 99));
            }
        }
        assert_eq!((kept.places.len(), kept.places.capacity(), kept.free.len()), (100, 100, 1));
        assert!(kept.leaving.capacity() <= 7, "{}", kept.leaving.capacity());
    }
}
