//! What one registration of a client was told and has acknowledged.

use std::collections::BTreeMap;

use connections::KernelTime;
use deltas::{Delta, Peer, Refusal};

use crate::interleavings::host::Connections;

#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) owner: Peer,
    registered_at: KernelTime,
    /// What it has who has this answer and those that it goes on from.
    has: BTreeMap<u64, Connections>,
    pub(crate) sequence: u64,
    /// The number above which its answers have theirs.
    pub(crate) first: u64,
    pub(crate) acknowledged: u64,
    pub(crate) pending: Option<u64>,
}

impl Reader {
    pub(crate) fn new(owner: Peer, registered_at: KernelTime) -> Self {
        let has = BTreeMap::from([(0, Connections::new())]);
        Self { owner, registered_at, has, sequence: 0, first: 0, acknowledged: 0, pending: None }
    }

    pub(crate) fn number_above(&mut self, first: u64) {
        (self.first, self.sequence) = (first, first);
    }

    /// A poll begins: what it says becomes of the pending answer.
    pub(crate) fn begin(&mut self, after: Option<u64>) {
        self.acknowledged = after.unwrap_or(self.acknowledged);
        self.pending = None;
    }

    /// Why a poll with this `after` is refused.
    pub(crate) fn refusal(&self, after: Option<u64>) -> Option<Refusal> {
        let Self { acknowledged, pending, .. } = *self;
        let is_wrong = after.is_some_and(|after| after != acknowledged && Some(after) != pending);
        is_wrong.then_some(Refusal::OutOfSequence { acknowledged, pending })
    }

    /// A poll that acknowledges itself has ended.
    pub(crate) fn resolve(&mut self, delivered: bool) {
        let pending = self.pending.take();
        self.acknowledged = pending.filter(|_| delivered).unwrap_or(self.acknowledged);
    }

    /// An answer is made: with what its client has, it must be all that is true.
    pub(crate) fn take(&mut self, delta: &Delta, truth: &Connections) {
        assert!(delta.sequence > self.sequence, "{delta:?} after {}", self.sequence);
        assert_eq!(delta.acknowledged, self.acknowledged, "{delta:?}");
        let mut has = self.has[&self.acknowledged].clone();
        for change in delta.changes.iter() {
            let known = has.entry(change.connection.id).or_default();
            assert_eq!(known.closed_at, None, "closed once: {change:?}");
            known.bytes += change.delta.sent_bytes;
            known.closed_at = change.connection.closed_at;
            assert_eq!(known.bytes, change.connection.total.sent_bytes, "deltas add up: {change:?}");
        }
        let mut due = truth.clone();
        due.retain(|_, known| known.closed_at.is_none_or(|at| at > self.registered_at));
        assert_eq!(has, due, "all that there is");
        self.has.insert(delta.sequence, has);
        (self.sequence, self.pending) = (delta.sequence, Some(delta.sequence));
    }
}
