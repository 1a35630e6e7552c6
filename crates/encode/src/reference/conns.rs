//! The list of connections of one answer, written one by one, each key once.
//!
//! Owns which records are told, in which order, and in how little memory. Does not know what is in them (`change`,
//! `rollup`), which of them belong together (`shared_keys`, `other_ends`) and how they are written (`connection`).

use std::collections::BTreeMap;

use deltas::{Delta, View};

use super::key::Key;
use super::other_ends::{Ends, OtherEnds};
use super::proto::Connection;
use super::record::{Record, Sums};
use super::shared_keys::{Keys, SharedKeys};

/// How many shared keys are added up at once.
const KEYS_AT_ONCE: usize = 4096;

/// The records worth telling, each made and written when its turn comes; of those with one key the sum.
///
/// The first pass over the delta notes hashes of keys and ends. The second writes the records that share their key with
/// no other, and adds up those of the first 4096 shared keys, which are written at its end; a further pass follows for
/// every further 4096, so that memory does not grow with them.
///
/// Memory for 100 000 connections, with what growing vectors keep to spare:
///
/// - Names of ends: up to 16 bytes for each connection, 2 MiB, and 3 MiB while they grow; and up to 6 more to find each, 1 MiB.
/// - Keys: 8 bytes for each record, 1 MiB, given back after the first pass.
/// - Shared keys: 16 bytes for each, of which there are at most half as many as records, 1 MiB.
/// - Sums: up to 288 bytes for each with its key, in a tree that is half full at worst, 2 MiB. They do not grow with the
///   answer.
///
/// So it is at most 6 MiB at any time.
///
/// # Errors
/// Those of `tell`.
pub(super) fn each<E>(delta: &Delta, mut tell: impl FnMut(&Connection) -> Result<(), E>) -> Result<(), E> {
    let (mut shared, ends) = looked_through(delta);
    for batch in 0..shared.batches().max(1) {
        let mut together: BTreeMap<Key, Sums> = BTreeMap::new();
        for mut record in records(delta) {
            let its_batch = shared.batch(&record.key);
            if its_batch.unwrap_or(0) != batch {
                continue;
            }
            ends.consult(&mut record);
            let Record { key, global_id: _, sums } = record;
            match its_batch {
                Some(_) => together.entry(key).or_default().add(&sums),
                None => tell(&Connection::new(&key, &sums))?,
            }
        }
        for (key, sums) in &together {
            tell(&Connection::new(key, sums))?;
        }
    }
    Ok(())
}

const _: () = assert!(size_of::<(Key, Sums)>() <= 288);

/// The first pass. An end that has no news says all the same where the other end is.
fn looked_through(delta: &Delta) -> (SharedKeys, OtherEnds) {
    let (mut keys, mut ends) = (Keys::default(), Ends::default());
    for told in delta.records() {
        let record = made(&told);
        if delta.view == View::Each && matches!(told, deltas::Record::One(_)) {
            ends.note(&record.key, record.global_id);
        }
        if !record.sums.is_empty() {
            keys.note(&record.key);
        }
    }
    if delta.view == View::Ports {
        // Those that are told together have ends too.
        for change in delta.changes.each() {
            let record = Record::of_change(&change.change());
            ends.note(&record.key, record.global_id);
        }
    }
    (keys.shared(KEYS_AT_ONCE), ends.noted())
}

/// What is worth telling, as the client wants it told: always in the same order.
fn records(delta: &Delta) -> impl Iterator<Item = Record> {
    delta.records().map(|told| made(&told)).filter(|record| !record.sums.is_empty())
}

fn made(told: &deltas::Record<'_>) -> Record {
    match told {
        deltas::Record::One(change) => Record::of_change(&change.change()),
        deltas::Record::Several(_, rollup) => Record::of_roll_up(rollup),
    }
}
