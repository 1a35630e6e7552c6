//! What is kept of connections that have ended until every client has been told: one copy for all clients.
//!
//! Owns the limits of that. Up to the first each connection is kept by itself. Beyond it the oldest ones, which the slowest
//! clients were not told of, are added up with those that differ only in the ephemeral port; beyond the second the oldest of
//! those sums are lost. Who was told what is the clients' business.

use std::collections::HashMap;

use connections::{Closed, RollUp, RollUpKey};
use foldhash::fast::RandomState;

use crate::log::{Log, Slice};

/// Closed connections and roll-ups.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) closed: Log<Closed>,
    /// What was taken out of that log for want of room, in the order of the first of each.
    merged: Log<Merged>,
    /// Roll-ups of the kernel side.
    pub(crate) of_kernel: Log<RollUp>,
    /// Positions of those to which connections can be added: whoever was not told of one was told of none of them.
    open: HashMap<RollUpKey, u64, RandomState>,
    closed_max: usize,
    roll_ups_max: usize,
}

/// Connections that were taken out of the log of closed ones.
#[derive(Debug, Clone)]
pub(crate) struct Merged {
    /// Position in that log of the first of them. Clients that were told of it were told of all of them.
    pub(crate) first: u64,
    pub(crate) rollup: RollUp,
}

const _: () = assert!(size_of::<Merged>() <= 352, "as the limits say");

impl Ended {
    /// Nothing yet; room for so many closed connections, and so many roll-ups of each origin: what a slow client needs takes
    /// no room from what the kernel side tells all.
    pub(crate) fn new(closed_max: usize, roll_ups_max: usize) -> Self {
        Self {
            closed: Log::default(),
            merged: Log::default(),
            of_kernel: Log::default(),
            open: HashMap::default(),
            closed_max,
            roll_ups_max,
        }
    }

    /// Takes the oldest closed connection out, with its position, if there is no room for another one.
    pub(crate) fn make_room(&mut self) -> Option<(u64, Closed)> {
        if self.closed.len() < self.closed_max { None } else { self.closed.take_first() }
    }

    /// Some clients were told what is before this place in the log and some were not: from here on roll-ups are others.
    pub(crate) fn seal(&mut self) {
        self.open.clear();
        // As large as the last crowd that was rolled up.
        self.open.shrink_to(1024);
    }

    /// Adds a connection to the roll-up of its kind; gives the position of that, or nothing if there is no room for another.
    pub(crate) fn merge(&mut self, position: u64, closed: &Closed) -> Option<u64> {
        let connection = closed.connection();
        let key = RollUpKey::of(&connection);
        // One that was given up is not there any more.
        let known = self.open.get(&key).copied().filter(|merged| *merged >= self.merged.first());
        if known.is_none() && self.merged.len() >= self.roll_ups_max {
            return None;
        }
        let merged = known.unwrap_or_else(|| {
            let rollup = RollUp::beginning_with(&connection);
            let merged = self.merged.append(Merged { first: position, rollup });
            self.open.insert(key, merged);
            merged
        });
        self.merged.get_mut(merged)?.rollup.add(&connection, connection.total, closed.was_established());
        Some(merged)
    }

    /// The roll-ups that a client was not told of that was told the closed connections before `position`.
    pub(crate) fn merged_from(&self, position: u64) -> Slice<Merged> {
        self.merged.from(self.merged.position_of(|merged| merged.first >= position))
    }

    /// Takes out the oldest of those roll-ups, with its position.
    pub(crate) fn give_up_merged(&mut self) -> Option<(u64, Merged)> {
        self.merged.take_first()
    }

    /// Takes the oldest roll-up of the kernel side out, with its position, if there is no room for another one.
    pub(crate) fn make_room_of_kernel(&mut self) -> Option<(u64, RollUp)> {
        if self.of_kernel.len() < self.roll_ups_max.max(1) { None } else { self.of_kernel.take_first() }
    }

    /// Roll-ups that are kept.
    pub(crate) fn rollups_kept(&self) -> usize {
        self.merged.len() + self.of_kernel.len()
    }

    /// Every client was told what is before these positions.
    pub(crate) fn trim(&mut self, closed: u64, of_kernel: u64) {
        self.closed.trim(closed);
        self.of_kernel.trim(of_kernel);
        self.merged.trim(self.merged.position_of(|merged| merged.first >= closed));
    }
}
