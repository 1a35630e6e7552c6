//! The changed connections of an answer, one after the other.

use connections::{Closed, Connection, Counters, News, NewsOf, State, Told};

use crate::log::Slice;

/// Live and closed connections that changed, each once. What they were when the answer was made stays, whatever happens
/// to the table and the log.
#[derive(Debug, Default)]
pub struct Changes {
    live: News,
    closed: Slice<Closed>,
    /// What was told of the closed ones while they lived.
    told: Told,
    listed: Vec<Change>,
}

/// A changed connection and by how much.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Change {
    /// The connection as it is now.
    pub connection: Connection,
    /// What was added since the client's acknowledged baseline.
    pub delta: Counters,
    /// True when it was established, and this client was not told so before.
    pub newly_established: bool,
}

/// A changed connection as it is kept: [`ChangeOf::change`] makes half a kilobyte of it.
#[derive(Debug, Clone, Copy)]
pub struct ChangeOf<'a>(Kept<'a>);

#[derive(Debug, Clone, Copy)]
enum Kept<'a> {
    Live(NewsOf<'a>),
    /// With what was told of it while it lived.
    Closed(&'a Closed, &'a Told),
    Listed(&'a Change),
}

impl ChangeOf<'_> {
    /// The connection, and by how much it has changed.
    #[must_use]
    #[inline]
    pub fn change(&self) -> Change {
        match self.0 {
            Kept::Live(news) => Change {
                connection: news.connection(),
                delta: news.growth(),
                newly_established: news.is_newly_established(),
            },
            Kept::Closed(closed, told) => {
                let told = closed.told_in(told).unwrap_or_default();
                Change {
                    connection: closed.connection(),
                    delta: closed.total().since(told.total).0,
                    newly_established: closed.was_established() && !told.established,
                }
            }
            Kept::Listed(change) => *change,
        }
    }

    /// True when it is closed, and nothing of it was told while it lived.
    pub(crate) fn is_closed_and_new(&self) -> bool {
        match self.0 {
            Kept::Live(_) => false,
            Kept::Closed(closed, told) => closed.told_in(told).is_none(),
            Kept::Listed(change) => change.connection.closed_at.is_some(),
        }
    }
}

impl Changes {
    pub(crate) fn new(live: News, closed: Slice<Closed>, told: &Told) -> Self {
        // Nobody asks for the rest of it.
        let told = if closed.is_empty() { Told::default() } else { told.clone() };
        Self { live, closed, told, listed: Vec::new() }
    }

    /// Each of them. The order is the same every time, and means nothing.
    pub fn iter(&self) -> impl Iterator<Item = Change> {
        self.each().map(|one| one.change())
    }

    /// Each of them, in the same order, not yet unpacked.
    pub fn each(&self) -> impl Iterator<Item = ChangeOf<'_>> {
        let live = self.live.iter().map(Kept::Live);
        let closed = self.closed.iter().map(|(_, closed)| Kept::Closed(closed, &self.told));
        live.chain(closed).chain(self.listed.iter().map(Kept::Listed)).map(ChangeOf)
    }

    /// How many they are. Looks at all of them.
    #[must_use]
    pub fn count(&self) -> usize {
        self.each().count()
    }

    /// How many of them are closed.
    #[must_use]
    pub fn closed_count(&self) -> u64 {
        let listed = self.listed.iter().filter(|change| change.connection.state == State::Closed);
        (self.closed.iter().count() + listed.count()).try_into().unwrap_or(u64::MAX)
    }

    /// The memory that they have for themselves, in bytes.
    pub(crate) fn own_bytes(&self) -> usize {
        self.live.own_bytes() + size_of_val(&self.listed[..])
    }

    /// The memory that it takes at most to tell short-lived ones together, in bytes.
    pub(crate) fn view_bytes(&self) -> usize {
        self.closed.iter().count() * crate::records::VIEW_BYTES
    }

    /// The memory that they share with all others of one moment, in bytes.
    pub(crate) fn shared_bytes(&self) -> usize {
        self.live.shared_bytes() + self.closed.bytes()
    }
}

impl From<Vec<Change>> for Changes {
    fn from(listed: Vec<Change>) -> Self {
        Self { listed, ..Self::default() }
    }
}
