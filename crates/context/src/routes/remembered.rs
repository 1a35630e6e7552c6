//! Answers that are remembered: so many, for so long, and of too many the one that was used last is forgotten last.

use std::hash::Hash;
use std::time::{Duration, Instant};

use crate::batch::Found;
use crate::by_use::{ByUse, Place};

/// Answers by key: those that there is nothing included.
#[derive(Debug)]
pub(super) struct Remembered<K, V> {
    max: usize,
    time_to_live: Duration,
    kept: ByUse<K, Answer<V>>,
}

#[derive(Debug)]
pub(super) struct Answer<V> {
    value: V,
    learnt: Instant,
}

impl<K: Copy + Eq + Hash, V: Copy> Remembered<K, V> {
    pub(super) fn new(max: usize, time_to_live: Duration) -> Self {
        Self { max, time_to_live, kept: ByUse::new(max) }
    }

    /// The answer, unless it was learnt too long ago.
    pub(super) fn get(&self, key: &K, now: Instant) -> Option<V> {
        self.answer(self.place(key)?, self.oldest(now)).copied()
    }

    /// Where the answer is, for [`answer`](Self::answer).
    pub(super) fn place(&self, key: &K) -> Option<&Place<K, Answer<V>>> {
        self.kept.get(key)
    }

    /// Where the answers to a batch may be, for [`is_at`](Self::is_at). Does not read what stands there.
    pub(super) fn first_each(&self, keys: &[K]) -> Found<&Place<K, Answer<V>>> {
        self.kept.first_each(keys, |key| *key)
    }

    /// Where the answer is, when it is known where it may be.
    pub(super) fn is_at<'a>(
        &'a self,
        first: &'a Place<K, Answer<V>>,
        key: &K,
    ) -> Option<&'a Place<K, Answer<V>>> {
        self.kept.is_at(first, key)
    }

    /// What was learnt then or earlier is too old; `None` when nothing can be.
    pub(super) fn oldest(&self, now: Instant) -> Option<Instant> {
        now.checked_sub(self.time_to_live)
    }

    /// The answer at this place, unless it was learnt too long ago.
    pub(super) fn answer<'a>(
        &self,
        place: &'a Place<K, Answer<V>>,
        oldest: Option<Instant>,
    ) -> Option<&'a V> {
        if !self.is_fresh(place, oldest) {
            return None;
        }
        self.kept.used(place).map(|answer| &answer.value)
    }

    /// True where the answer at this place was not learnt too long ago.
    pub(super) fn is_fresh(&self, place: &Place<K, Answer<V>>, oldest: Option<Instant>) -> bool {
        place.value().is_some_and(|answer| Some(answer.learnt) > oldest)
    }

    /// Remembers the answer; true where another one was forgotten for it.
    pub(super) fn insert(&mut self, key: K, value: V, now: Instant) -> bool {
        if self.max == 0 {
            return false;
        }
        let new = Answer { value, learnt: now };
        if let Some(known) = self.kept.get_mut(&key) {
            *known = new;
            return false;
        }
        let full = self.kept.len() >= self.max;
        if full {
            self.kept.take_oldest();
        }
        self.kept.insert(key, new);
        full
    }

    pub(super) fn len(&self) -> usize {
        self.kept.len()
    }
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
