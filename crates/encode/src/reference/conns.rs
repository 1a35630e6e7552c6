//! The list of connections of one answer, written one by one, each key once.
//!
//! Owns which records are told and in which order. Does not know what is in them (`change`, `rollup`) and how they are
//! written (`connection`).

use std::collections::BTreeMap;

use deltas::Delta;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::connection::ConnectionWire;
use super::key::Key;
use super::record::{Record, Sums};
use super::shared_keys::{Keys, SharedKeys};

/// How many shared keys are added up at once.
const KEYS_AT_ONCE: usize = 4096;

/// The records worth telling, each made and written when its turn comes; of those with one key the sum.
///
/// The first pass over the delta finds the keys that several records share. The second writes the others at once and
/// adds up the first 4096 shared keys, which are written at its end; a further pass follows for every further 4096.
pub(super) struct Conns<'a>(pub(super) &'a Delta);

impl Serialize for Conns<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let mut shared = shared_keys(self.0);
        for batch in 0..shared.batches().max(1) {
            let mut together: BTreeMap<Key, Sums> = BTreeMap::new();
            for Record { key, sums } in records(self.0) {
                match shared.batch(&key) {
                    None if batch == 0 => list.serialize_element(&ConnectionWire::new(&key, &sums))?,
                    Some(its) if its == batch => together.entry(key).or_default().add(&sums),
                    _ => {}
                }
            }
            for (key, sums) in &together {
                list.serialize_element(&ConnectionWire::new(key, sums))?;
            }
        }
        list.end()
    }
}

fn shared_keys(delta: &Delta) -> SharedKeys {
    let mut keys = Keys::default();
    records(delta).for_each(|record| keys.note(&record.key));
    keys.shared(KEYS_AT_ONCE)
}

/// What is worth telling, changes before roll-ups: always in the same order.
fn records(delta: &Delta) -> impl Iterator<Item = Record> {
    let changes = delta.changes.iter().map(|change| Record::of_change(&change));
    let roll_ups = delta.roll_ups.iter().map(|(_, rollup)| Record::of_roll_up(rollup));
    changes.chain(roll_ups).filter(|record| !record.sums.is_empty())
}
