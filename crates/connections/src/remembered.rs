//! What a client was told of the connections that live, with the names that those have.
//!
//! A snapshot of what was told has tallies alone; the names are in the details of the table, as long as the connection is
//! still at its place. Shares its memory with both.

use crate::closed::ToldOf;
use crate::column::Chunk;
use crate::connection::ConnectionId;
use crate::details::Details;
use crate::news::Told;
use crate::tally::Tally;

/// What was told of connections that live.
#[derive(Debug, Clone, Default)]
pub struct Remembered {
    told: Told,
    tallies: Vec<Chunk<Tally>>,
    details: Vec<Chunk<Details>>,
}

impl Remembered {
    pub(crate) fn new(told: Told, tallies: &[Chunk<Tally>], details: &[Chunk<Details>]) -> Self {
        Self { told, tallies: tallies.to_vec(), details: details.to_vec() }
    }

    /// Each connection, and what was told of it. Those that have ended since are not among them. The order is the same
    /// every time, and means nothing.
    pub fn iter(&self) -> impl Iterator<Item = (ConnectionId, ToldOf)> {
        let chunks = self.told.chunks().iter().zip(&self.tallies).zip(&self.details);
        chunks.flat_map(|((told, now), details)| of_chunk(told, now, details))
    }
}

fn of_chunk<'a>(
    told: &'a Chunk<Tally>,
    now: &'a Chunk<Tally>,
    details: &'a Chunk<Details>,
) -> impl Iterator<Item = (ConnectionId, ToldOf)> + 'a {
    let places = told.iter().zip(now.iter()).zip(details.iter());
    let lives = |told: &Tally, now: &Tally| told.is_visible() && told.generation == now.generation;
    places.filter(move |((told, now), _)| lives(told, now)).map(|((told, _), details)| {
        let (total, established) = (details.total(told.counted), told.was_established());
        (details.id, ToldOf { total, established })
    })
}
