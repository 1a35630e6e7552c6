//! The log of closed connections: one copy for all clients.
//!
//! Positions count from the first connection ever appended and never repeat. Who has read how far is the
//! clients' business.

use std::collections::VecDeque;

use connections::Connection;

/// Closed connections in the order of their closing.
#[derive(Debug, Default)]
pub(crate) struct ClosedLog {
    records: VecDeque<Connection>,
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
    pub(crate) fn append(&mut self, connection: Connection) {
        self.records.push_back(connection);
    }

    /// Removes the oldest record and its position.
    pub(crate) fn remove_oldest(&mut self) -> Option<(u64, Connection)> {
        let connection = self.records.pop_front()?;
        let position = self.first;
        self.first += 1;
        Some((position, connection))
    }

    /// The records from `position` on; those no longer held are skipped.
    pub(crate) fn from(&self, position: u64) -> impl Iterator<Item = &Connection> {
        let skipped = position.saturating_sub(self.first);
        self.records.iter().skip(usize::try_from(skipped).unwrap_or(usize::MAX))
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
            log.append(connection(cookie));
        }
        log.trim(4);
        assert_eq!((log.len(), log.end()), (6, 10));
        assert_eq!(log.from(0).map(|c| c.id.cookie).collect::<Vec<_>>(), [4, 5, 6, 7, 8, 9]);
        assert_eq!(log.from(8).map(|c| c.id.cookie).collect::<Vec<_>>(), [8, 9]);
        assert_eq!(log.remove_oldest().map(|(position, _)| position), Some(4));
        log.trim(100);
        assert_eq!((log.len(), log.end()), (0, 10));
    }
}
