//! What was told to a client, as a snapshot of the tallies, and what is news since.
//!
//! Owns no client and no log of what ended. A snapshot shares its memory with the table, and with other snapshots, as long
//! as nothing changes.

use std::sync::Arc;

use crate::closed::Place;
use crate::column::{CHUNK, Chunk, position};
use crate::connection::Connection;
use crate::counters::Counters;
use crate::details::Details;
use crate::tally::Tally;

/// What was told of all live connections that are visible, at one moment. What ended since, and what is at its place now, does not change it.
#[derive(Debug, Clone, Default)]
pub struct Told {
    tallies: Arc<Vec<Chunk<Tally>>>,
    count: usize,
}

/// The live connections with news, as they were at one moment, and what was told of them before.
#[derive(Debug, Clone, Default)]
pub struct News {
    /// Where many have news.
    chunks: Vec<NewsChunk>,
    /// The others, copied: so they keep nobody else in memory.
    few: Vec<Copied>,
}

/// Connections at neighbouring places, of which more than [`FEW_MAX`] have news.
#[derive(Debug, Clone)]
struct NewsChunk {
    tallies: Chunk<Tally>,
    details: Chunk<Details>,
    told: Option<Chunk<Tally>>,
}

/// One connection with news: 320 bytes.
#[derive(Debug, Clone)]
struct Copied {
    tally: Tally,
    details: Details,
    told: Tally,
}

/// Of a chunk so many are copied at most, half of what the chunk takes. More share it with the table, and the table copies
/// the chunk when it changes before the answer is gone.
const FEW_MAX: usize = 24;

/// What was told of places of which nothing was told.
static NOTHING: [Tally; CHUNK] = [Tally::NONE; CHUNK];

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

    pub(crate) fn chunks(&self) -> &[Chunk<Tally>] {
        &self.tallies
    }

    /// What was told of the connection that was at this place.
    pub(crate) fn at(&self, place: Place) -> Option<&Tally> {
        let (chunk, index) = position(place.number);
        let told = self.tallies.get(chunk)?.get(index)?;
        (told.is_visible() && told.generation == place.generation).then_some(told)
    }
}

impl News {
    pub(crate) fn new(tallies: &[Chunk<Tally>], details: &[Chunk<Details>], told: &Told) -> Self {
        let told = told.tallies.iter().map(Some).chain(std::iter::repeat(None));
        let chunks = tallies.iter().zip(details).zip(told);
        let changed = chunks.filter(|((now, _), told)| told.is_none_or(|told| !Arc::ptr_eq(now, told)));
        let mut news = Self::default();
        for ((tallies, details), told) in changed {
            news.add(tallies, details, told);
        }
        news
    }

    fn add(&mut self, tallies: &Chunk<Tally>, details: &Chunk<Details>, told: Option<&Chunk<Tally>>) {
        let before = told.map_or(&NOTHING, |told| told);
        if news_of(tallies, details, before, 0).nth(FEW_MAX).is_some() {
            let (tallies, details) = (Arc::clone(tallies), Arc::clone(details));
            self.chunks.push(NewsChunk { tallies, details, told: told.cloned() });
            return;
        }
        let copied = news_of(tallies, details, before, 0).map(|(_, news)| Copied {
            tally: *news.tally,
            details: news.details.clone(),
            told: *news.told,
        });
        self.few.extend(copied);
    }

    /// Each connection with news.
    pub fn iter(&self) -> impl Iterator<Item = NewsOf<'_>> {
        let mut chunks = self.chunks.iter();
        let (mut chunk, mut index) = (chunks.next(), 0);
        let of_chunks = std::iter::from_fn(move || {
            loop {
                if let Some((at, news)) = chunk?.next_from(index) {
                    index = at + 1;
                    return Some(news);
                }
                (chunk, index) = (chunks.next(), 0);
            }
        });
        let few = self.few.iter().map(|Copied { tally, details, told }| NewsOf { tally, details, told });
        of_chunks.chain(few)
    }

    /// The memory that this has for itself, in bytes.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        size_of_val(&self.few[..])
    }

    /// The memory that this shares with all other news of the same moment, and with the table while that does not change, in
    /// bytes. What was told before is not counted: whoever was told has it anyway.
    #[must_use]
    pub fn shared_bytes(&self) -> usize {
        self.chunks.len() * (size_of::<[Tally; CHUNK]>() + size_of::<[Details; CHUNK]>())
    }
}

impl NewsChunk {
    /// The next connection with news from a place of this chunk on.
    fn next_from(&self, index: usize) -> Option<(usize, NewsOf<'_>)> {
        let told = self.told.as_deref().unwrap_or(&NOTHING);
        news_of(&self.tallies, &self.details, told, index).next()
    }
}

/// The connections with news from a place of a chunk on, each with its place in it.
fn news_of<'a>(
    tallies: &'a [Tally; CHUNK],
    details: &'a [Details; CHUNK],
    told: &'a [Tally; CHUNK],
    index: usize,
) -> impl Iterator<Item = (usize, NewsOf<'a>)> {
    (index..CHUNK).filter_map(move |at| {
        let (tally, told) = (tallies.get(at)?, told.get(at)?);
        let is_news = tally.is_visible() && tally != told;
        is_news.then_some((at, NewsOf { tally, details: details.get(at)?, told }))
    })
}

impl NewsOf<'_> {
    /// The connection.
    #[must_use]
    #[inline]
    pub fn connection(&self) -> Connection {
        self.details.unpack(self.tally.counted)
    }

    /// What its counters have grown by since it was told; if it was not, its totals.
    #[must_use]
    #[inline]
    pub fn growth(&self) -> Counters {
        match self.was_told() {
            true => Counters::from(self.tally.counted).since(self.told.counted.into()).0,
            false => self.details.total(self.tally.counted),
        }
    }

    /// True when it is established, or was, and that was not told.
    #[must_use]
    #[inline]
    pub fn is_newly_established(&self) -> bool {
        self.tally.was_established() && !(self.was_told() && self.told.was_established())
    }

    fn was_told(&self) -> bool {
        self.told.is_visible() && self.told.generation == self.tally.generation
    }
}
