//! Lending what is remembered to the answers that tell it.
//!
//! To count who has something takes longer than to find it, so an answer counts what it tells once, and has it until it ends.
//! Where it has it stands beside what is remembered. Of several answers at one time that is known of one only: the others
//! count it again, and have it twice.

use std::cell::Cell;
use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

use connections::Shared;
use elsa::FrozenVec;

/// So many an answer has of a kind, 16 bytes each; what is more is counted each time. What is forgotten meanwhile is kept as
/// long as the answer takes: 16 384 processes take 9 MiB.
const LENT_MAX: usize = 16_384;

/// Something that is remembered.
#[derive(Debug)]
pub(crate) struct Lendable<T: ?Sized> {
    it: Arc<T>,
    lease: Cell<Lease>,
}

impl<T: ?Sized> Deref for Lendable<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.it
    }
}

/// Who has it.
#[derive(Debug, Clone, Copy, Default)]
struct Lease {
    /// The number of the answer; 0 for none.
    answer: u32,
    place: u32,
}

/// What an answer has.
pub(crate) struct Lender<T: ?Sized> {
    /// Its number, which no other answer of the last 4 billion has.
    answer: u32,
    has: FrozenVec<Arc<T>>,
}

impl<T: ?Sized> From<Arc<T>> for Lendable<T> {
    fn from(it: Arc<T>) -> Self {
        Self { it, lease: Cell::default() }
    }
}

impl<T: ?Sized> Lendable<T> {
    /// It, counted.
    pub(crate) fn counted(&self) -> Arc<T> {
        Arc::clone(&self.it)
    }

    /// A number that stands beside it.
    pub(crate) fn fetch(&self) -> u32 {
        self.lease.get().place
    }
}

impl<T: ?Sized> Lender<T> {
    /// For the answer with this number, which is not 0.
    pub(crate) fn new(answer: u32) -> Self {
        Self { answer, has: FrozenVec::new() }
    }

    /// It, for as long as the answer takes.
    pub(crate) fn lend(&self, lendable: &Lendable<T>) -> Shared<'_, T> {
        let Lease { answer, place } = lendable.lease.get();
        let known = if answer == self.answer { self.has.get(at(place)) } else { None };
        known.map_or_else(|| self.take(lendable), Shared::Lent)
    }

    /// It, counted, as what it is told again.
    #[cold]
    fn take(&self, lendable: &Lendable<T>) -> Shared<'_, T> {
        let it = lendable.counted();
        let place = self.has.len();
        if place >= LENT_MAX {
            return Shared::Counted(it);
        }
        lendable.lease.set(Lease { answer: self.answer, place: u32::try_from(place).unwrap_or(u32::MAX) });
        Shared::Lent(self.has.push_get(it))
    }
}

impl<T: ?Sized> fmt::Debug for Lender<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lender").field("answer", &self.answer).field("has", &self.has.len()).finish()
    }
}

fn at(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_counts_what_it_tells_once() {
        let (lender, lendable) = (Lender::new(1), Lendable::from(Arc::new(7)));
        let told = [(); 10].map(|()| lender.lend(&lendable));
        assert!(told.iter().all(|told| matches!(told, Shared::Lent(7))));
        assert_eq!(Arc::strong_count(&lendable.it), 2);
        drop(lender);
        assert_eq!(Arc::strong_count(&lendable.it), 1);
    }

    #[test]
    fn answers_at_one_time_are_told_the_same_and_what_is_new_is_told_as_it_is() {
        let (one, other) = (Lender::new(1), Lender::new(2));
        let mut lendable = Lendable::from(Arc::new(7));
        for _ in 0..3 {
            assert_eq!([one.lend(&lendable), other.lend(&lendable)].map(|told| *told), [7, 7]);
        }
        let before = one.lend(&lendable);
        lendable = Arc::new(8).into();
        assert_eq!((*before, *one.lend(&lendable)), (7, 8));
    }

    #[test]
    fn an_answer_has_so_many_and_counts_the_rest() {
        let lender = Lender::new(1);
        let all: Vec<_> = (0..=LENT_MAX).map(|number| Lendable::from(Arc::new(number))).collect();
        let is_lent = |told: &Shared<'_, usize>| matches!(told, Shared::Lent(_));
        let told: Vec<_> = all.iter().map(|lendable| lender.lend(lendable)).collect();
        assert!(told.iter().enumerate().all(|(number, told)| **told == number));
        assert_eq!(told.iter().filter(|told| is_lent(told)).count(), LENT_MAX);
        assert!(!is_lent(&lender.lend(&all[LENT_MAX])));
    }
}
