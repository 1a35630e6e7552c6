//! The ids of connections that closed a short time ago, so that nothing that comes late revives them.

use std::collections::{HashSet, VecDeque};

use foldhash::fast::RandomState;

use crate::connection::ConnectionId;

/// A reading can arrive this many passes after the close of its connection, and is ignored.
const PASSES: u64 = 2;

/// At most this many are kept, the newest: 65 536 of 40 bytes. A reading comes late by less than one pass,
/// so that the oldest are the ones to spare.
const TOMBSTONES_MAX: usize = 65_536;

/// Closed ids, each for two passes.
#[derive(Debug, Default)]
pub(crate) struct Tombstones {
    ids: HashSet<ConnectionId, RandomState>,
    /// In the order of their closing, with the number of the pass in which they closed.
    order: VecDeque<(u64, ConnectionId)>,
}

impl Tombstones {
    /// True when the connection closed a short time ago.
    pub(crate) fn contains(&self, id: &ConnectionId) -> bool {
        self.ids.contains(id)
    }

    /// Notes that the connection closed in this pass.
    pub(crate) fn bury(&mut self, id: ConnectionId, pass: u64) {
        if self.order.len() >= TOMBSTONES_MAX {
            self.forget_oldest();
        }
        if self.ids.insert(id) {
            self.order.push_back((pass, id));
        }
    }

    /// Forgets those that are old enough when this pass begins.
    pub(crate) fn pass_began(&mut self, pass: u64) {
        while self.order.front().is_some_and(|(buried_in, _)| pass.saturating_sub(*buried_in) > PASSES) {
            self.forget_oldest();
        }
    }

    fn forget_oldest(&mut self) {
        if let Some((_, id)) = self.order.pop_front() {
            self.ids.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::KernelTime;

    fn id(cookie: u64) -> ConnectionId {
        ConnectionId { cookie, claimed_at: KernelTime(1) }
    }

    #[test]
    fn a_tombstone_lasts_for_two_passes_after_the_one_that_buried() {
        let mut tombstones = Tombstones::default();
        tombstones.bury(id(1), 5);
        tombstones.pass_began(6);
        tombstones.bury(id(2), 6);
        tombstones.pass_began(7);
        assert!(tombstones.contains(&id(1)));
        tombstones.pass_began(8);
        assert!(!tombstones.contains(&id(1)));
        assert!(tombstones.contains(&id(2)));
        tombstones.pass_began(9);
        assert_eq!((tombstones.ids.len(), tombstones.order.len()), (0, 0));
    }

    #[test]
    fn at_the_limit_the_oldest_tombstone_goes() {
        let mut tombstones = Tombstones::default();
        let max = TOMBSTONES_MAX as u64;
        for cookie in 0..=max {
            tombstones.bury(id(cookie), 0);
        }
        assert_eq!((tombstones.ids.len(), tombstones.order.len()), (TOMBSTONES_MAX, TOMBSTONES_MAX));
        assert!(!tombstones.contains(&id(0)));
        assert!(tombstones.contains(&id(1)) && tombstones.contains(&id(max)));
    }
}
