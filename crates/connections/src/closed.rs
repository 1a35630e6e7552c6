//! What is kept of a connection that has ended.

use crate::connection::{Connection, ConnectionId};
use crate::counters::Counters;
use crate::details::Details;
use crate::entry::Entry;
use crate::ledger::ForAudit;
use crate::news::Told;
use crate::state::State;
use crate::tally::Counted;
use crate::time::KernelTime;
use crate::tuple::Protocol;

/// Where a live connection is kept. Places are given again; the generation is another one then.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Place {
    pub(crate) number: u32,
    pub(crate) generation: u32,
}

/// A connection that has ended: 248 bytes. Its owner is shared with other connections of that process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Closed {
    details: Details,
    counted: Counted,
    /// Where it was while it lived. It was nowhere with generation 0: nobody was told of it.
    place: Place,
    closed_at: KernelTime,
}

const _: () = assert!(size_of::<Closed>() == 248, "as the limits say");

/// What was told of a connection while it lived.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct ToldOf {
    /// Its totals.
    pub total: Counters,
    /// That it was established.
    pub established: bool,
}

impl Closed {
    pub(crate) fn new(details: Details, entry: &Entry, place: Option<Place>) -> Self {
        Self {
            details,
            counted: entry.since_opened.into(),
            place: place.unwrap_or(Place { number: 0, generation: 0 }),
            closed_at: entry.connection.closed_at.unwrap_or_default(),
        }
    }

    /// Its name.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.details.id
    }

    /// Its final totals.
    #[must_use]
    pub fn total(&self) -> Counters {
        self.details.total(self.counted)
    }

    /// All about it.
    #[must_use]
    pub fn connection(&self) -> Connection {
        let connection = self.details.unpack(self.counted);
        let failed_at = match connection.tuple.protocol {
            Protocol::Tcp => connection.failure.map(|_| self.closed_at),
            Protocol::Udp => connection.failed_at,
        };
        Connection { state: State::Closed, closed_at: Some(self.closed_at), failed_at, ..connection }
    }

    pub(crate) fn for_audit(&self) -> ForAudit {
        self.details.for_audit(self.counted)
    }

    /// True when it was established, as far as that was seen.
    #[must_use]
    pub fn was_established(&self) -> bool {
        self.details.established_at().is_some()
    }

    /// What was told of it while it lived; absent when nothing was.
    #[must_use]
    pub fn told_in(&self, told: &Told) -> Option<ToldOf> {
        let tally = told.at(self.place)?;
        let total = self.details.total(tally.counted);
        Some(ToldOf { total, established: tally.was_established() })
    }
}
