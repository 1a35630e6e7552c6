//! Owners of ends, each kept once and as long as an end has it.

use std::hash::BuildHasher;
use std::sync::Arc;

use connections::Owner;
use foldhash::fast::RandomState;
use hashbrown::HashTable;

use crate::lent::Lendable;

/// The place of no owner.
pub(super) const NOBODY: u32 = u32::MAX;

/// Owners by place: each 104 bytes, and about 45 here.
#[derive(Debug, Default)]
pub(super) struct Owners {
    places: Vec<Option<Place>>,
    free: Vec<u32>,
    index: HashTable<u32>,
    hasher: RandomState,
}

#[derive(Debug)]
struct Place {
    owner: Lendable<Owner>,
    ends: u32,
}

impl Owners {
    /// The place of this owner, which one more end has from here on.
    pub(super) fn take(&mut self, owner: Option<Owner>) -> u32 {
        let Some(owner) = owner else { return NOBODY };
        let hash = self.hasher.hash_one(owner);
        let is_it = |place: &u32| self.get(*place).is_some_and(|known| **known == owner);
        if let Some(place) = self.index.find(hash, is_it).copied() {
            if let Some(Some(known)) = self.places.get_mut(index(place)) {
                known.ends = known.ends.saturating_add(1);
            }
            return place;
        }
        let Some(place) = self.free.pop().or_else(|| u32::try_from(self.places.len()).ok()) else {
            return NOBODY;
        };
        let new = Some(Place { owner: Arc::new(owner).into(), ends: 1 });
        match self.places.get_mut(index(place)) {
            Some(free) => *free = new,
            None => self.places.push(new),
        }
        let Self { places, index: by_hash, hasher, .. } = self;
        by_hash.insert_unique(hash, place, |place| hash_at(places, hasher, *place));
        place
    }

    /// One end less has the owner at this place.
    pub(super) fn give_back(&mut self, place: u32) {
        let Some(Some(known)) = self.places.get_mut(index(place)) else { return };
        known.ends = known.ends.saturating_sub(1);
        if known.ends > 0 {
            return;
        }
        let hash = hash_at(&self.places, &self.hasher, place);
        if let Ok(found) = self.index.find_entry(hash, |other| *other == place) {
            found.remove();
        }
        if let Some(known) = self.places.get_mut(index(place)) {
            *known = None;
        }
        self.free.push(place);
    }

    /// The owner at this place.
    pub(super) fn get(&self, place: u32) -> Option<&Lendable<Owner>> {
        self.places.get(index(place))?.as_ref().map(|place| &place.owner)
    }

    /// True where the owners at these places are one process, whatever of its tasks was seen, or nobody both times.
    pub(super) fn same_process(&self, one: u32, other: u32) -> bool {
        let process = |place| self.get(place).map(|owner| (owner.pid, owner.started_at_boot_ns));
        one == other || process(one) == process(other)
    }

    /// How many owners there are.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.index.len()
    }
}

fn hash_at(places: &[Option<Place>], hasher: &RandomState, place: u32) -> u64 {
    let owner = places.get(index(place)).and_then(|place| place.as_ref());
    owner.map_or(0, |place| hasher.hash_one(*place.owner))
}

fn index(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    fn owner(pid: u32, tid: u32) -> Option<Owner> {
        Some(Owner { tid, ..fixtures::owner(pid) })
    }

    #[test]
    fn an_owner_is_kept_once_and_until_its_last_end_is_gone() {
        let mut owners = Owners::default();
        let (one, again) = (owners.take(owner(1, 1)), owners.take(owner(1, 1)));
        assert_eq!((one, owners.len()), (again, 1));
        owners.give_back(one);
        assert_eq!(owners.get(again).map(|owner| owner.pid), Some(1));
        owners.give_back(again);
        assert!(owners.get(one).is_none() && owners.len() == 0);
        assert_eq!((owners.take(owner(2, 2)), owners.places.len()), (one, 1));
    }

    #[test]
    fn tasks_of_one_process_are_one_process_and_nobody_is_only_nobody() {
        let mut owners = Owners::default();
        let [one, task, other] = [owner(1, 1), owner(1, 2), owner(2, 2)].map(|owner| owners.take(owner));
        assert!(owners.same_process(one, task) && !owners.same_process(one, other));
        assert!(!owners.same_process(one, NOBODY) && owners.same_process(NOBODY, NOBODY));
        assert_eq!(owners.take(None), NOBODY);
    }
}
