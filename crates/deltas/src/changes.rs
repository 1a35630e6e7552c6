//! The changed connections of an answer, one after the other.

use connections::{Closed, Connection, Counters, News, NewsOf, Told};

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

/// One of them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum One<'a> {
    Live(NewsOf<'a>),
    /// With what was told of it while it lived.
    Closed(&'a Closed, &'a Told),
    Listed(&'a Change),
}

impl One<'_> {
    pub(crate) fn change(&self) -> Change {
        match self {
            One::Live(news) => Change {
                connection: news.connection(),
                delta: news.growth(),
                newly_established: news.is_newly_established(),
            },
            One::Closed(closed, told) => {
                let told = closed.told_in(told).unwrap_or_default();
                Change {
                    connection: closed.connection(),
                    delta: closed.total().since(told.total).0,
                    newly_established: closed.was_established() && !told.established,
                }
            }
            One::Listed(change) => **change,
        }
    }

    /// True when it is closed, and nothing of it was told while it lived.
    pub(crate) fn is_closed_and_new(&self) -> bool {
        match self {
            One::Live(_) => false,
            One::Closed(closed, told) => closed.told_in(told).is_none(),
            One::Listed(change) => change.connection.closed_at.is_some(),
        }
    }
}

impl Changes {
    pub(crate) fn new(live: News, closed: Slice<Closed>, told: Told) -> Self {
        Self { live, closed, told, listed: Vec::new() }
    }

    /// Each of them. The order is the same every time, and means nothing.
    pub fn iter(&self) -> impl Iterator<Item = Change> {
        self.each().map(|one| one.change())
    }

    /// Each of them, not yet unpacked.
    pub(crate) fn each(&self) -> impl Iterator<Item = One<'_>> {
        let live = self.live.iter().map(One::Live);
        let closed = self.closed.iter().map(|(_, closed)| One::Closed(closed, &self.told));
        live.chain(closed).chain(self.listed.iter().map(One::Listed))
    }

    /// How many they are. Looks at all of them.
    #[must_use]
    pub fn count(&self) -> usize {
        self.each().count()
    }

    /// The memory that they keep at most, in bytes, when nobody shares it.
    pub(crate) fn bytes(&self) -> usize {
        self.live.bytes() + self.closed.bytes() + size_of_val(&self.listed[..])
    }
}

impl From<Vec<Change>> for Changes {
    fn from(listed: Vec<Change>) -> Self {
        Self { listed, ..Self::default() }
    }
}
