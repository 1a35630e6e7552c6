//! The list of connections of one answer, written one by one, each key once.
//!
//! Owns which records are told, in which order, and in how little memory. Does not know what is in them (`change`,
//! `rollup`), which of them belong together (`shared_keys`) and how they are written (`connection`).

use std::collections::BTreeMap;

use deltas::LookupSum;

use super::key::Key;
use super::lists::Lists;
use super::proto::Connection;
use super::record::{Record, Sums};
use super::shared_keys::{Keys, SharedKeys};
use crate::annotated::{Unpacked, annotated};
use crate::answer::Answer;
use crate::lookups::Untold;

/// How many shared keys are added up at once.
const KEYS_AT_ONCE: usize = 4096;

/// The records worth telling, each made and written when its turn comes; of those with one key the sum. What they refer to
/// goes into the lists.
///
/// The first pass over the delta notes hashes of keys. The second writes the records that share their key with
/// no other, and adds up those of the first 4096 shared keys, which are written at its end; a further pass follows for
/// every further 4096, so that memory does not grow with them.
///
/// Memory for 100 000 connections, with what growing vectors keep to spare:
///
/// - Keys: 8 bytes for each record, 1 MiB, given back after the first pass.
/// - Shared keys: 16 bytes for each, of which there are at most half as many as records, 1 MiB.
/// - Sums: up to 416 bytes for each with its key, in a tree that is half full at worst, 3 MiB. They do not grow with the
///   answer.
/// - Names of addresses: as `lists` says.
/// - Lookups: of 32 768, each through a connection and of a name of its own, 4 MiB more.
///
/// # Errors
/// Those of `tell`.
pub(super) fn each<E>(
    answer: &Answer<'_>,
    lists: &mut Lists,
    mut tell: impl FnMut(&Connection) -> Result<(), E>,
) -> Result<(), E> {
    let lookups = Untold::of(answer.delta);
    let Keyed { mut shared, alone } = looked_through(answer, &lookups);
    for batch in 0..shared.batches().max(1) {
        let mut together: BTreeMap<Key, Sums<'_>> = BTreeMap::new();
        let of_batch = records(answer, &lookups).filter_map(|made| {
            let its_batch = shared.batch(&made.record.key);
            (its_batch.unwrap_or(0) == batch).then_some((made, its_batch.is_some()))
        });
        let of_batch = of_batch.map(|(made, is_shared)| Made { is_shared, ..made });
        for (made, annotation) in annotated(of_batch, answer.context) {
            let Made { mut record, is_shared, .. } = made;
            record.annotate(&annotation, lists);
            let Record { key, sums } = record;
            if is_shared {
                together.entry(key).or_default().add(sums);
            } else {
                tell(&Connection::new(&key, &sums, lists))?;
            }
        }
        for sum in &alone {
            let Record { key, sums } = Record::of_lookups(sum);
            match shared.batch(&key) {
                Some(its_batch) if its_batch == batch => together.entry(key).or_default().add(sums),
                None if batch == 0 => tell(&Connection::new(&key, &sums, lists))?,
                _ => {}
            }
        }
        for (key, sums) in &together {
            tell(&Connection::new(key, sums, lists))?;
        }
    }
    Ok(())
}

const _: () = assert!(size_of::<(Key, Sums<'_>)>() <= 416);

/// What the first pass finds.
struct Keyed<'a> {
    shared: SharedKeys,
    /// Lookups of connections of which nothing else is told.
    alone: Vec<&'a LookupSum>,
}

fn looked_through<'a>(answer: &Answer<'a>, lookups: &Untold<'a>) -> Keyed<'a> {
    let mut keys = Keys::default();
    for Made { unpacked, record, is_shared: _ } in records(answer, lookups) {
        keys.note(&record.key);
        if let Unpacked::One(change) = &unpacked
            && !record.sums.lookups.is_empty()
        {
            lookups.note_told(change.connection.id);
        }
    }
    let alone: Vec<_> = lookups.rest().collect();
    alone.iter().for_each(|sum| keys.note(&Record::of_lookups(sum).key));
    Keyed { shared: keys.shared(KEYS_AT_ONCE), alone }
}

/// A record in both forms.
struct Made<'a> {
    unpacked: Unpacked,
    record: Record<'a>,
    is_shared: bool,
}

impl AsRef<Unpacked> for Made<'_> {
    fn as_ref(&self) -> &Unpacked {
        &self.unpacked
    }
}

/// What is worth telling, as the client wants it told: always in the same order.
fn records<'a, 'l>(
    answer: &Answer<'a>,
    lookups: &'l Untold<'a>,
) -> impl Iterator<Item = Made<'a>> + use<'a, 'l> {
    let made = |told: deltas::Record<'_>| {
        let unpacked = Unpacked::from(told);
        let record = match &unpacked {
            Unpacked::One(change) => Record::of_change(change, lookups),
            Unpacked::Several(_, rollup, _) => Record::of_roll_up(rollup),
        };
        Made { unpacked, record, is_shared: false }
    };
    answer.delta.records().map(made).filter(|made| !made.record.sums.is_empty())
}
