//! The log of closed connections: one copy for all clients.
//!
//! Positions count from the first connection ever appended and never repeat. Who has read how far is the
//! clients' business.

use std::collections::VecDeque;

use connections::{Connection, Loss, RollUp};

/// What the log holds.
#[derive(Debug, Clone, PartialEq, Eq)]
#[expect(clippy::large_enum_variant, reason = "nearly all are of the large one")]
pub(crate) enum Ended {
    /// One connection.
    One(Connection),
    /// Several, of which only sums are known.
    Several(RollUp),
}

impl Ended {
    /// How many connections it stands for, and all of their bytes.
    pub(crate) fn amount(&self) -> Loss {
        let (connections, total) = match self {
            Ended::One(connection) => (1, connection.total),
            Ended::Several(rollup) => (rollup.connections, rollup.total),
        };
        Loss { connections, bytes: total.payload_bytes() }
    }
}

/// Closed connections in the order of their closing.
#[derive(Debug, Default)]
pub(crate) struct ClosedLog {
    records: VecDeque<Ended>,
    /// Position of the first record held.
    first: u64,
}

impl ClosedLog {
    /// How many records are held.
    pub(crate) fn len(&self) -> usize {
        self.records.len()
    }

    /// The position after the last record.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    /// Appends a record.
    pub(crate) fn append(&mut self, ended: Ended) {
        self.records.push_back(ended);
    }

    /// Removes the oldest record and its position.
    pub(crate) fn remove_oldest(&mut self) -> Option<(u64, Ended)> {
        let ended = self.records.pop_front()?;
        let position = self.first;
        self.first += 1;
        Some((position, ended))
    }

    /// The records from `position` on, each with its position; those no longer held are skipped.
    pub(crate) fn from(&self, position: u64) -> impl Iterator<Item = (u64, &Ended)> {
        let skipped = usize::try_from(position.saturating_sub(self.first)).unwrap_or(usize::MAX);
        (self.first..).zip(&self.records).skip(skipped)
    }

    /// Forgets the records before `position`, and gives back memory when most of it is unused.
    pub(crate) fn trim(&mut self, position: u64) {
        while self.first < position && self.remove_oldest().is_some() {}
        if self.records.capacity() > 1024 && self.records.len() < self.records.capacity() / 4 {
            self.records.shrink_to(self.records.len() * 2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::connection;

    #[test]
    fn positions_never_repeat() {
        let mut log = ClosedLog::default();
        for cookie in 0..10 {
            log.append(Ended::One(connection(cookie)));
        }
        log.trim(4);
        assert_eq!((log.len(), log.end()), (6, 10));
        let cookies = |position| -> Vec<u64> {
            let ended = log.from(position).map(|(position, ended)| match ended {
                Ended::One(connection) if connection.id.cookie == position => position,
                other => panic!("{other:?} at {position}"),
            });
            ended.collect()
        };
        assert_eq!(cookies(0), [4, 5, 6, 7, 8, 9]);
        assert_eq!(cookies(8), [8, 9]);
        assert_eq!(log.remove_oldest().map(|(position, _)| position), Some(4));
        log.trim(100);
        assert_eq!((log.len(), log.end()), (0, 10));
    }
}
