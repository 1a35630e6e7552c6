//! Which records of one answer share a key, found without holding them.
//!
//! Owns the hashes of keys and the order in which shared ones are written. Does not add anything up.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

use super::key::Key;

/// Takes note of the keys of an answer, 8 bytes each.
#[derive(Default)]
pub(super) struct Keys {
    hasher: KeyHasher,
    hashes: Vec<u64>,
}

impl Keys {
    pub(super) fn note(&mut self, key: &Key) {
        self.hashes.push(self.hasher.hash(key));
    }

    /// The keys that were noted more than once. Two that merely share a hash count too: what differs is told
    /// apart when it is added up.
    pub(super) fn shared(mut self, at_once: usize) -> SharedKeys {
        self.hashes.sort_unstable();
        let several = self.hashes.chunk_by(|one, next| one == next).filter(|equal| equal.len() > 1);
        let hashes: Vec<u64> = several.filter_map(|equal| equal.first().copied()).collect();
        SharedKeys { hasher: self.hasher, places: vec![None; hashes.len()], hashes, seen: 0, at_once }
    }
}

/// Keys that several records have, in batches of which each takes little memory to add up: 16 bytes for each key.
///
/// A batch holds the keys that come first, so that the order is that of the records and not that of the hashes.
pub(super) struct SharedKeys {
    hasher: KeyHasher,
    /// In ascending order.
    hashes: Vec<u64>,
    /// For each of them, how many others were seen before it; absent until it is seen.
    places: Vec<Option<u32>>,
    seen: u32,
    at_once: usize,
}

impl SharedKeys {
    /// How many batches there are.
    pub(super) fn batches(&self) -> usize {
        self.hashes.len().div_ceil(self.at_once)
    }

    /// The batch that a record with this key is added up in; absent for a key that no other record has.
    pub(super) fn batch(&mut self, key: &Key) -> Option<usize> {
        if self.hashes.is_empty() {
            return None;
        }
        let index = self.hashes.binary_search(&self.hasher.hash(key)).ok()?;
        let place = *self.places.get_mut(index)?.get_or_insert_with(|| {
            self.seen += 1;
            self.seen - 1
        });
        Some(usize::try_from(place).unwrap_or(usize::MAX) / self.at_once)
    }
}

/// Leaves the direction out: another end may tell it only when all are known.
#[derive(Default)]
struct KeyHasher(RandomState);

impl KeyHasher {
    fn hash(&self, key: &Key) -> u64 {
        let Key { pid, protocol, netns, local, remote, direction: _ } = *key;
        self.0.hash_one((pid, protocol, netns, local, remote))
    }
}
