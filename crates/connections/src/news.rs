//! What was told to a client, as a snapshot of the tallies, and what is news since.
//!
//! Owns no client and no log of what ended. A snapshot shares its memory with the table, and with other snapshots, as long
//! as nothing changes.

use std::sync::Arc;

use crate::closed::Place;
use crate::column::{Chunk, position};
use crate::connection::Connection;
use crate::counters::Counters;
use crate::details::Details;
use crate::tally::Tally;

/// What was told of all live connections, at one moment. What ended since, and what is at its place now, does not change it.
#[derive(Debug, Clone, Default)]
pub struct Told {
    tallies: Arc<Vec<Chunk<Tally>>>,
    count: usize,
}

/// The live connections with news, as they were at one moment, and what was told of them before.
#[derive(Debug, Clone, Default)]
pub struct News {
    chunks: Vec<NewsChunk>,
}

/// Connections at neighbouring places, one of which has news at least.
#[derive(Debug, Clone)]
struct NewsChunk {
    tallies: Chunk<Tally>,
    details: Chunk<Details>,
    told: Option<Chunk<Tally>>,
}

/// A connection with news.
#[derive(Debug, Clone, Copy)]
pub struct NewsOf<'a> {
    tally: &'a Tally,
    details: &'a Details,
    told: &'a Tally,
}

impl Told {
    pub(crate) fn new(tallies: Vec<Chunk<Tally>>, count: usize) -> Self {
        Self { tallies: Arc::new(tallies), count }
    }

    /// Connections that were told.
    #[must_use]
    pub fn count(&self) -> usize {
        self.count
    }

    /// What was told of the connection that was at this place.
    pub(crate) fn at(&self, place: Place) -> Option<&Tally> {
        let (chunk, index) = position(place.number);
        let told = self.tallies.get(chunk)?.get(index)?;
        (place.generation != 0 && told.generation == place.generation).then_some(told)
    }
}

impl News {
    pub(crate) fn new(tallies: &[Chunk<Tally>], details: &[Chunk<Details>], told: &Told) -> Self {
        let told = told.tallies.iter().map(Some).chain(std::iter::repeat(None));
        let chunks = tallies.iter().zip(details).zip(told);
        let changed = chunks.filter(|((now, _), told)| told.is_none_or(|told| !Arc::ptr_eq(now, told)));
        let chunks = changed.map(|((tallies, details), told)| NewsChunk {
            tallies: Arc::clone(tallies),
            details: Arc::clone(details),
            told: told.cloned(),
        });
        Self { chunks: chunks.collect() }
    }

    /// Each connection with news.
    pub fn iter(&self) -> impl Iterator<Item = NewsOf<'_>> {
        self.chunks.iter().flat_map(NewsChunk::iter)
    }

    /// The memory that this keeps at most, in bytes, if nobody shares it any more.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.chunks.len()
            * (2 * size_of::<[Tally; crate::column::CHUNK]>() + size_of::<[Details; crate::column::CHUNK]>())
    }
}

impl NewsChunk {
    fn iter(&self) -> impl Iterator<Item = NewsOf<'_>> {
        static NOTHING: Tally = Tally::NONE;
        let told = self.told.iter().flat_map(|told| told.iter()).chain(std::iter::repeat(&NOTHING));
        let places = self.tallies.iter().zip(self.details.iter()).zip(told);
        let news = places.filter(|((tally, _), told)| tally.generation != 0 && tally != told);
        news.map(|((tally, details), told)| NewsOf { tally, details, told })
    }
}

impl NewsOf<'_> {
    /// The connection.
    #[must_use]
    pub fn connection(&self) -> Connection {
        self.details.unpack(self.tally.counted)
    }

    /// What its counters have grown by since it was told; if it was not, its totals.
    #[must_use]
    pub fn growth(&self) -> Counters {
        let before = if self.was_told() { Counters::from(self.told.counted) } else { self.details.before() };
        Counters::from(self.tally.counted).since(before).0
    }

    /// True when it is established, or was, and that was not told.
    #[must_use]
    pub fn is_newly_established(&self) -> bool {
        self.tally.was_established() && !(self.was_told() && self.told.was_established())
    }

    fn was_told(&self) -> bool {
        self.told.generation == self.tally.generation
    }
}
