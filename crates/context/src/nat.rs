//! Translated addresses (NAT): what connection tracking of the kernel says of a connection, live or ended.
//!
//! A socket in each network namespace hears of translated connections that begin and end; a filter in the kernel keeps the
//! others away. What is older is listed. What has ended is remembered for a quarter of an hour, so that a
//! connection that a client is told of later has its translation.

mod counts;
mod dumps;
mod entry;
mod find;
mod listeners;
mod listening;
mod message;
mod request;
mod shared;
mod socket;
mod table;
mod views;
mod way;

use std::fmt;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, MutexGuard};
use std::thread::JoinHandle;
use std::time::Duration;

use connections::{Connection, Nat};

use self::find::Asked;
use self::shared::{Shared, lock};
use self::table::Table;
use self::way::Way;
use crate::Namespaces;
use crate::batch::Question;

pub use counts::NatCounts;
pub(crate) use find::Translated;
pub use views::{Heard, HostListing, TrackedConnection, read_conntrack};

/// How long taking in what waits may take before looking.
const CATCH_UP: Duration = Duration::from_millis(20);

/// Bounds of what is remembered, and of what is held open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NatLimits {
    /// Translations that are remembered, 127 bytes each while used. Beyond, the one that ended first is forgotten, and when
    /// none has ended, the oldest.
    pub entries: usize,
    /// Network namespaces that are listened to, the host's among them; an open file each, and at most half of the open files
    /// that the process may have.
    pub namespaces: usize,
    /// Bytes of events that the kernel keeps for us in the host's namespace while they are not read, and an eighth of that
    /// in each other one; only while used. An event takes about 1 KiB.
    pub buffer_bytes: usize,
    /// How often namespaces are listed again with translations of whose end the kernel does not tell: those that are older
    /// than the first who listens. Until then such a one is taken for living.
    pub listed_again: Duration,
}

impl Default for NatLimits {
    fn default() -> Self {
        Self {
            entries: 114_688,
            namespaces: 1024,
            buffer_bytes: 4 << 20,
            listed_again: Duration::from_secs(5 * 60),
        }
    }
}

/// Translations of addresses on this host. Two threads keep it up to date until it is dropped.
pub struct Translations {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
}

impl Translations {
    /// Begins to listen in all namespaces, and to list what is there. Where connection tracking cannot be read, nothing is
    /// known, and [`degradation`](Self::degradation) says why.
    ///
    /// # Errors
    /// No thread, or no open file, is to be had.
    pub fn start(limits: NatLimits, namespaces: Arc<dyn Namespaces>) -> io::Result<Self> {
        let shared = Arc::new(Shared::new(limits, namespaces)?);
        let mut translations = Self { shared, threads: Vec::new() };
        translations.run("nat-events", listening::run)?;
        translations.run("nat-dumps", dumps::run)?;
        Ok(translations)
    }

    fn run(&mut self, name: &str, work: fn(&Shared)) -> io::Result<()> {
        let shared = self.shared.clone();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || work(&shared))?;
        self.threads.push(thread);
        Ok(())
    }

    /// Takes in what the kernel has told until here, for at most 20 ms, so that a connection is found that ended before
    /// anybody read of it. Then the table waits for whoever looks: not to be kept.
    #[must_use]
    pub fn look(&self) -> Looking<'_> {
        lock(&self.shared.listeners).take_in(&self.shared, CATCH_UP);
        self.look_again()
    }

    /// The same without taking anything in: for what was known already when [`look`](Self::look) was called last.
    #[must_use]
    pub fn look_again(&self) -> Looking<'_> {
        Looking { shared: &self.shared, table: lock(&self.shared.table) }
    }

    /// What is missing and why, in a sentence; `None` when all is known.
    #[must_use]
    pub fn degradation(&self) -> Option<String> {
        lock(&self.shared.troubles).sentence()
    }

    /// What was counted. Does not wait for who takes in what the kernel has told.
    #[must_use]
    pub fn counts(&self) -> NatCounts {
        let table = lock(&self.shared.table);
        let count = |number| u64::try_from(number).unwrap_or(u64::MAX);
        NatCounts { entries: count(table.len()), evicted: table.evicted(), ..self.shared.totals.read() }
    }
}

impl Drop for Translations {
    fn drop(&mut self) {
        self.shared.stop();
        for thread in self.threads.drain(..) {
            // One that panicked has nothing more to do.
            let _ = thread.join();
        }
    }
}

impl fmt::Debug for Translations {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Translations").field("counts", &self.counts()).finish_non_exhaustive()
    }
}

/// The table, locked for looking.
pub struct Looking<'a> {
    shared: &'a Shared,
    table: MutexGuard<'a, Table>,
}

impl Looking<'_> {
    /// The translation of a connection, as it was while the connection lived: in its own namespace, then in the host's, and
    /// then in others if they agree. `None` where none is known. About 60 ns.
    #[must_use]
    pub fn of(&self, connection: &Connection) -> Option<Nat> {
        self.translated(connection).map(|translated| translated.nat)
    }

    /// The same, with who translates.
    pub(crate) fn translated(&self, connection: &Connection) -> Option<Translated> {
        if !self.table.knows(connection.tuple.netns) {
            self.ask_for_namespaces();
        }
        self.table.find(&Asked::new(&Question::of(connection), self.shared.home))
    }

    /// [`translated`](Self::translated) for a batch: told are those that are, with their number.
    pub(crate) fn of_each(&self, questions: &[Question<'_>], told: impl FnMut(usize, Translated)) {
        // Those of one namespace often follow one another.
        let mut namespaces = questions.chunk_by(|one, other| one.netns == other.netns);
        if namespaces.any(|of_one| !self.table.knows(of_one[0].netns)) {
            self.ask_for_namespaces();
        }
        let way = |question: &Question<'_>| (question.protocol, Way::leaving(question));
        self.table.find_each(questions, way, |question| Asked::new(question, self.shared.home), told);
    }

    fn ask_for_namespaces(&self) {
        if !self.shared.asked.swap(true, Ordering::Relaxed) {
            self.shared.ring();
        }
    }
}

impl fmt::Debug for Looking<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looking").field("entries", &self.table.len()).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::namespaces::fixtures::Nowhere;

    #[test]
    fn who_counts_and_who_looks_again_does_not_wait_for_what_is_taken_in() {
        let translations =
            Translations::start(NatLimits::default(), Arc::new(Nowhere)).expect("threads are to be had");
        let taking_in = lock(&translations.shared.listeners);
        assert_eq!(translations.counts().namespaces, 0);
        drop(translations.look_again());
        drop(translations.degradation());
        drop(taking_in);
    }
}
