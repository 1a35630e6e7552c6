//! Answers that are remembered: so many, for so long, and of too many the one that was used last is forgotten last.

use std::hash::{BuildHasher, Hash};
use std::hint::black_box;
use std::time::{Duration, Instant};

use foldhash::fast::RandomState;
use hashbrown::HashTable;

/// The place of none.
const NONE: u32 = u32::MAX;

/// Answers by key: those that there is nothing included.
#[derive(Debug)]
pub(super) struct Remembered<K, V> {
    max: usize,
    time_to_live: Duration,
    places: Vec<Place<K, V>>,
    index: HashTable<u32>,
    hasher: RandomState,
    /// The place that was used last, and the one that was not used for longest.
    newest: u32,
    oldest: u32,
}

#[derive(Debug)]
struct Place<K, V> {
    key: K,
    value: V,
    learnt: Instant,
    newer: u32,
    older: u32,
}

impl<K: Copy + Eq + Hash, V: Clone> Remembered<K, V> {
    pub(super) fn new(max: usize, time_to_live: Duration) -> Self {
        Self {
            max,
            time_to_live,
            places: Vec::new(),
            index: HashTable::new(),
            hasher: RandomState::default(),
            newest: NONE,
            oldest: NONE,
        }
    }

    /// The answer, unless it was learnt too long ago.
    pub(super) fn get(&mut self, key: &K, now: Instant) -> Option<V> {
        self.get_at(self.place(key).unwrap_or(NONE), key, now)
    }

    /// The same where its place was looked up before; nothing if another one has got that since.
    pub(super) fn get_at(&mut self, place: u32, key: &K, now: Instant) -> Option<V> {
        let known = self.places.get(at(place)).filter(|known| known.key == *key)?;
        if now.saturating_duration_since(known.learnt) >= self.time_to_live {
            return None;
        }
        let value = known.value.clone();
        self.use_place(place);
        Some(value)
    }

    /// The place of each, for [`get_at`](Self::get_at). Reads what that reads: the processor waits for the memory of many at a
    /// time where nothing has to be decided between.
    pub(super) fn places<'k>(&self, keys: impl Iterator<Item = &'k K>) -> Vec<u32>
    where
        K: 'k,
    {
        let places: Vec<u32> = keys.map(|key| self.place(key).unwrap_or(NONE)).collect();
        let known = |place: u32| self.places.get(at(place));
        let near: Vec<[u32; 2]> =
            places.iter().filter_map(|place| known(*place)).map(|known| [known.newer, known.older]).collect();
        let near = near.into_iter().flatten().filter_map(known);
        black_box(near.fold(0, |seen, known| seen ^ known.newer));
        places
    }

    /// Remembers the answer; true where another one was forgotten for it.
    pub(super) fn insert(&mut self, key: K, value: V, now: Instant) -> bool {
        if self.max == 0 {
            return false;
        }
        if let Some(place) = self.place(&key) {
            if let Some(known) = self.places.get_mut(at(place)) {
                (known.value, known.learnt) = (value, now);
            }
            self.use_place(place);
            return false;
        }
        let full = self.places.len() >= self.max;
        let new = Place { key, value, learnt: now, newer: NONE, older: NONE };
        let place = if full {
            let oldest = self.oldest;
            self.take_out(oldest);
            if let Some(known) = self.places.get(at(oldest)) {
                let hash = self.hasher.hash_one(known.key);
                if let Ok(found) = self.index.find_entry(hash, |place| *place == oldest) {
                    found.remove();
                }
            }
            if let Some(known) = self.places.get_mut(at(oldest)) {
                *known = new;
            }
            oldest
        } else {
            self.places.push(new);
            u32::try_from(self.places.len() - 1).unwrap_or(NONE)
        };
        self.put_first(place);
        let Self { places, index, hasher, .. } = self;
        let hash = |place: &u32| places.get(at(*place)).map_or(0, |known| hasher.hash_one(known.key));
        index.insert_unique(hasher.hash_one(key), place, hash);
        full
    }

    pub(super) fn len(&self) -> usize {
        self.places.len()
    }

    fn place(&self, key: &K) -> Option<u32> {
        let is_it = |place: &u32| self.places.get(at(*place)).is_some_and(|known| known.key == *key);
        self.index.find(self.hasher.hash_one(key), is_it).copied()
    }

    fn use_place(&mut self, place: u32) {
        if self.newest != place {
            self.take_out(place);
            self.put_first(place);
        }
    }

    fn take_out(&mut self, place: u32) {
        let Some((newer, older)) = self.places.get(at(place)).map(|known| (known.newer, known.older)) else {
            return;
        };
        match self.places.get_mut(at(newer)) {
            Some(newer) => newer.older = older,
            None => self.newest = older,
        }
        match self.places.get_mut(at(older)) {
            Some(older) => older.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn put_first(&mut self, place: u32) {
        let before = std::mem::replace(&mut self.newest, place);
        if let Some(known) = self.places.get_mut(at(place)) {
            (known.newer, known.older) = (NONE, before);
        }
        match self.places.get_mut(at(before)) {
            Some(before) => before.newer = place,
            None => self.oldest = place,
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

    const LIVES: Duration = Duration::from_secs(10);

    #[test]
    fn what_was_learnt_too_long_ago_is_not_told() {
        let began = Instant::now();
        let mut remembered = Remembered::new(2, LIVES);
        remembered.insert(1, 'a', began);
        assert_eq!(remembered.get(&1, began + LIVES - Duration::from_nanos(1)), Some('a'));
        assert_eq!(remembered.get(&1, began + LIVES), None);
        remembered.insert(1, 'b', began + LIVES);
        assert_eq!(remembered.get(&1, began + LIVES), Some('b'));
    }

    #[test]
    fn a_place_that_another_one_has_got_does_not_answer_for_the_first() {
        let now = Instant::now();
        let mut remembered = Remembered::new(1, LIVES);
        remembered.insert(1, 'a', now);
        let places = remembered.places([1, 3].iter());
        remembered.insert(2, 'b', now);
        let told = [(places[0], 1), (places[0], 2), (places[1], 3)];
        assert_eq!(told.map(|(place, key)| remembered.get_at(place, &key, now)), [None, Some('b'), None]);
    }

    #[test]
    fn nothing_is_remembered_where_there_is_no_room() {
        let mut remembered = Remembered::new(0, LIVES);
        assert!(!remembered.insert(1, 'a', Instant::now()));
        assert_eq!((remembered.get(&1, Instant::now()), remembered.len()), (None, 0));
    }

    proptest! {
        #[test]
        fn what_is_remembered_is_what_was_used_last(
            steps in proptest::collection::vec((any::<bool>(), 0..8u8), 0..100),
            max in 1..6usize,
        ) {
            let now = Instant::now();
            let mut remembered = Remembered::new(max, LIVES);
            // The last one was used last.
            let mut model: Vec<(u8, usize)> = Vec::new();
            for (number, (asks, key)) in steps.into_iter().enumerate() {
                let known = model.iter().position(|(known, _)| *known == key).map(|place| model.remove(place));
                if asks {
                    prop_assert_eq!(remembered.get(&key, now), known.map(|(_, value)| value));
                    model.extend(known);
                } else {
                    let full = known.is_none() && model.len() == max;
                    prop_assert_eq!(remembered.insert(key, number, now), full);
                    model.drain(..usize::from(full));
                    model.push((key, number));
                }
                prop_assert_eq!(remembered.len(), model.len());
            }
        }
    }
}
