//! The two maps of roll-ups in turn: the programs write one while the other is read and emptied.
//!
//! What they write in a turn is a generation. Decides nothing about when a turn ends: the collector does.

use std::os::fd::{AsFd, AsRawFd};

use connections::{Event, Protocol, RollUp};
use libbpf_rs::{MapCore, MapFlags, MapMut};

use super::orders::Orders;
use super::skeletons::tracer::TracerMaps;
use super::take_out::take_out;
use super::types::{rollup, rollup_key};
use crate::error::CollectError;
use crate::plain::{from_bytes, to_bytes};
use crate::rollup::{decode, rest_key};

/// Entries that a map of roll-ups always has: the rest of each protocol, and its generation.
pub(super) const ROLLUPS_ALWAYS: u32 = 3;

/// Which generation of roll-ups the programs write.
#[derive(Debug)]
pub(super) struct Turns {
    generation: u32,
}

/// What a generation held.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    pub(crate) events: Vec<Event>,
    pub(crate) malformed: u64,
}

impl Turns {
    /// The programs write the first generation, in the map that `rollups` holds from the start.
    pub(super) fn begin(maps: &TracerMaps<'_>) -> Result<Self, CollectError> {
        let turns = Self { generation: 1 };
        prepare(turns.map(maps, turns.generation), turns.generation)?;
        Ok(turns)
    }

    /// Ends the generation that the programs write: after this call nothing is added to it, and passes tell
    /// the names of the connections in it that were told live.
    pub(super) fn close(&mut self, maps: &TracerMaps<'_>, orders: &mut Orders) -> Result<(), CollectError> {
        let next = self.generation + 1;
        let map = self.map(maps, next);
        prepare(map, next)?;
        let descriptor = map.as_fd().as_raw_fd().to_ne_bytes();
        // The kernel returns when no program uses the other map any more.
        let swapped = maps.rollups.update(&0u32.to_ne_bytes(), &descriptor, MapFlags::ANY);
        swapped.map_err(|source| failed("swap", source))?;
        orders.roll_ups_closed(maps, self.generation)?;
        self.generation = next;
        Ok(())
    }

    /// Takes what the closed generation holds. Its names were told: the next pass forgets them.
    pub(super) fn take(&self, maps: &TracerMaps<'_>, orders: &mut Orders) -> Result<Taken, CollectError> {
        let map = self.map(maps, orders.closed_roll_ups());
        let mut taken = Taken::default();
        // The keys first: a walk starts over when the key that it stands on is deleted.
        for key in map.keys().collect::<Vec<_>>() {
            let sums = take_out(map, &key).map_err(|source| failed("drain", source))?;
            match rollup_from(&key, sums.as_deref()) {
                Some(Ok(rollup)) => taken.events.push(Event::RollUp(Box::new(rollup))),
                Some(Err(_)) => taken.malformed += 1,
                None => {}
            }
        }
        orders.roll_ups_settled(maps)?;
        Ok(taken)
    }

    fn map<'m, 'a>(&self, maps: &'m TracerMaps<'a>, generation: u32) -> &'m MapMut<'a> {
        // The first generation is in the map that `rollups` begins with.
        if generation % 2 == 1 { &maps.rollups_even } else { &maps.rollups_odd }
    }
}

/// An empty map gets the entries that are always there.
fn prepare(map: &MapMut<'_>, generation: u32) -> Result<(), CollectError> {
    let numbered = rollup { connections: generation.into(), ..rollup::default() };
    let put = |key: &rollup_key, value: &rollup| {
        map.update(to_bytes(key), to_bytes(value), MapFlags::ANY).map_err(|source| failed("prepare", source))
    };
    put(&rollup_key::default(), &numbered)?;
    for protocol in [Protocol::Tcp, Protocol::Udp] {
        put(&rest_key(protocol), &rollup::default())?;
    }
    Ok(())
}

/// `None` for what is no roll-up: the generation of the map, or what is gone.
fn rollup_from(key: &[u8], sums: Option<&[u8]>) -> Option<Result<RollUp, crate::record::Malformed>> {
    let key: rollup_key = from_bytes(key)?;
    let sums: rollup = from_bytes(sums?)?;
    (key.protocol != 0).then(|| decode(&key, &sums))
}

fn failed(operation: &'static str, source: libbpf_rs::Error) -> CollectError {
    CollectError::Map { operation, map: "rollups", source }
}
