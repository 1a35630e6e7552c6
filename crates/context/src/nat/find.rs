//! Which of the translations that a way could have is the one of a connection.

use connections::{Nat, Protocol};

use super::entry::Entry;
use super::way::Way;
use crate::batch::Question;

/// The translation of a connection, and whose it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Translated {
    /// The addresses.
    pub(crate) nat: Nat,
    /// True when the connection's own namespace translates them: its packets leave for the translated address then.
    pub(crate) by_own: bool,
}

/// A connection, as far as looking for its translation goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Asked {
    pub(crate) protocol: Protocol,
    /// The way of what its local end sends.
    pub(crate) way: Way,
    /// Its namespace.
    pub(crate) netns: u32,
    /// The namespace of the host.
    pub(crate) home: u32,
    pub(crate) opened: u64,
    pub(crate) closed: u64,
}

impl Asked {
    pub(crate) fn new(question: &Question<'_>, home: u32) -> Self {
        let connection = question.connection;
        Self {
            protocol: question.protocol,
            way: Way::leaving(question),
            netns: question.netns,
            home,
            opened: connection.opened_at.map_or(0, |time| time.0),
            closed: connection.closed_at.map_or(u64::MAX, |time| time.0),
        }
    }

    /// Whether both have lived at one time.
    pub(crate) fn overlaps(&self, entry: &Entry) -> bool {
        entry.began <= self.closed && entry.ended >= self.opened
    }

    /// For how long both have lived, in nanoseconds.
    fn overlap(&self, entry: &Entry) -> u64 {
        entry.ended.min(self.closed).saturating_sub(entry.began.max(self.opened))
    }
}

/// What was found in the connection's own namespace, in that of the host, and elsewhere.
#[derive(Debug, Default)]
pub(crate) struct Found {
    own: Best,
    home: Best,
    elsewhere: Best,
}

#[derive(Debug, Default)]
struct Best {
    /// The answer, how long it held while the connection lived, and whether it holds still.
    answer: Option<(Nat, u64, bool)>,
    /// There is another answer, and nobody can say which one is right.
    disputed: bool,
}

impl Found {
    /// One more that could be it, and how what comes back reaches the connection before it is translated.
    pub(crate) fn add(&mut self, asked: &Asked, entry: &Entry, back: &Way) {
        let best = match entry.netns {
            own if own == asked.netns => &mut self.own,
            home if home == asked.home => &mut self.home,
            _ => return self.elsewhere.add_to_equals(back.arriving()),
        };
        best.add(back.arriving(), asked.overlap(entry), entry.is_alive());
    }

    /// The nearest: what the connection's namespace does is what happens to it first.
    pub(crate) fn answer(&self) -> Option<Translated> {
        let near = [(&self.own, true), (&self.home, false), (&self.elsewhere, false)];
        let (best, by_own) = near.into_iter().find(|(best, _)| best.answer.is_some())?;
        best.answer.filter(|_| !best.disputed).map(|(nat, ..)| Translated { nat, by_own })
    }
}

impl Best {
    /// In one namespace they follow one another, and the one counts that held longest: how one ends and the next begins is
    /// known to some milliseconds only. Two that live at one time are of two zones.
    fn add(&mut self, nat: Nat, overlap: u64, alive: bool) {
        if let Some((other, other_overlap, other_alive)) = self.answer {
            self.disputed |= nat != other && (overlap == other_overlap || alive && other_alive);
            if overlap <= other_overlap {
                return;
            }
        }
        self.answer = Some((nat, overlap, alive));
    }

    fn add_to_equals(&mut self, nat: Nat) {
        self.disputed |= self.answer.is_some_and(|(other, ..)| other != nat);
        self.answer = Some((nat, 0, true));
    }
}
