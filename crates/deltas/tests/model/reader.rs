//! What one client has, and what it may be told next.

use std::collections::{BTreeMap, BTreeSet};

use connections::{ConnectionId, Counters, Failure, KernelTime, Loss, State};
use deltas::{Change, Delta, Refusal, Ticket};
use proptest::prelude::*;

use crate::host::{After, Host, TTL};

fn bytes(counters: Counters) -> u64 {
    counters.sent_bytes + counters.received_bytes
}

/// A poll that has begun and not ended.
#[derive(Debug, Clone)]
pub(crate) struct Flight {
    pub(crate) ticket: Ticket,
    pub(crate) acknowledges_itself: bool,
}

/// What one client has, according to the answers that it acknowledged.
#[derive(Debug)]
pub(crate) struct Reader {
    pub(crate) heard_at: u64,
    pub(crate) ttl: u64,
    pub(crate) flight: Option<Flight>,
    pub(crate) sums: BTreeMap<ConnectionId, Counters>,
    pub(crate) states: BTreeMap<ConnectionId, State>,
    pub(crate) failures: BTreeMap<ConnectionId, Failure>,
    /// Closed since it was registered.
    pub(crate) due: BTreeSet<ConnectionId>,
    pub(crate) lost: Loss,
    pub(crate) sequence: u64,
    pub(crate) acknowledged: u64,
    pub(crate) acknowledged_to: KernelTime,
    pub(crate) pending: Option<Delta>,
    /// The newest answer that was lost and has not been made up for.
    pub(crate) undelivered: Vec<Change>,
}

impl Default for Reader {
    fn default() -> Self {
        Self {
            heard_at: 0,
            ttl: TTL,
            flight: None,
            sums: BTreeMap::new(),
            states: BTreeMap::new(),
            failures: BTreeMap::new(),
            due: BTreeSet::new(),
            lost: Loss::default(),
            sequence: 0,
            acknowledged: 0,
            acknowledged_to: KernelTime(0),
            pending: None,
            undelivered: Vec::new(),
        }
    }
}

impl Reader {
    pub(crate) fn expired(&self, now: u64) -> bool {
        self.flight.is_none() && now - self.heard_at > self.ttl
    }

    fn pending_sequence(&self) -> Option<u64> {
        self.pending.as_ref().map(|delta| delta.sequence)
    }

    /// The number that a poll says.
    pub(crate) fn number(&self, after: After) -> Option<u64> {
        match after {
            After::Itself => None,
            After::Pending => self.pending_sequence().or(Some(self.sequence)),
            After::Acknowledged => Some(self.acknowledged),
            After::Number(number) => Some(number),
        }
    }

    /// Begins a poll: what becomes of the pending answer, or why it is refused.
    pub(crate) fn begin(&mut self, after: Option<u64>) -> Result<(), Refusal> {
        let (acknowledged, pending) = (self.acknowledged, self.pending_sequence());
        match after {
            None if self.flight.is_some() => Err(Refusal::Busy),
            Some(after) if Some(after) != pending && after != acknowledged => {
                Err(Refusal::OutOfSequence { acknowledged, pending })
            }
            _ => {
                self.resolve(after.is_some() && after == pending);
                Ok(())
            }
        }
    }

    /// What becomes of the pending answer.
    pub(crate) fn resolve(&mut self, acknowledged: bool) {
        match self.pending.take() {
            Some(delta) if acknowledged => self.take(&delta),
            Some(delta) => self.undelivered = delta.changes.iter().collect(),
            None => {}
        }
    }

    fn told_closed(&self, id: ConnectionId) -> bool {
        self.states.get(&id) == Some(&State::Closed)
    }

    /// What the next answer must tell when nothing was given up.
    fn expected(&self, host: &Host) -> BTreeSet<ConnectionId> {
        let live = host.table.connections().filter(|connection| {
            let id = &connection.id;
            let known = (self.sums.get(id), self.states.get(id), self.failures.get(id));
            known != (Some(&connection.total), Some(&connection.state), connection.failure.as_ref())
        });
        let closed = self.due.iter().copied().filter(|id| !self.told_closed(*id));
        live.map(|connection| connection.id).chain(closed).collect()
    }

    pub(crate) fn check_answer(
        &self,
        delta: &Delta,
        host: &Host,
        bounded: bool,
    ) -> Result<(), TestCaseError> {
        prop_assert_eq!(delta.sequence, self.sequence + 1);
        prop_assert_eq!(delta.acknowledged, self.acknowledged);
        prop_assert_eq!(delta.from, self.acknowledged_to);
        let mut told = BTreeMap::new();
        for change in delta.changes.iter() {
            let connection = &change.connection;
            prop_assert!(told.insert(connection.id, change).is_none(), "told twice in one answer");
            prop_assert!(!self.told_closed(connection.id), "told again after its close");
            let sum = self.sums.get(&connection.id).copied().unwrap_or_default().plus(change.delta);
            prop_assert_eq!(sum, connection.total);
            if connection.state == State::Closed {
                prop_assert!(self.due.contains(&connection.id), "closed before the client was registered");
                prop_assert_eq!(Some(&sum), host.finals.get(&connection.id));
            }
        }
        if bounded {
            return Ok(());
        }
        prop_assert_eq!(told.keys().copied().collect::<BTreeSet<_>>(), self.expected(host));
        prop_assert_eq!(delta.coverage.losses.closed_log_full, Loss::default());
        for lost in &self.undelivered {
            let Some(again) = told.get(&lost.connection.id) else {
                return Err(TestCaseError::fail(format!("not told again: {}", lost.connection.id)));
            };
            prop_assert_eq!(again.delta.since(lost.delta).1, 0, "less than in the answer that was lost");
            prop_assert!(lost.connection.state != State::Closed || again.connection.state == State::Closed);
        }
        Ok(())
    }

    fn take(&mut self, delta: &Delta) {
        for change in delta.changes.iter() {
            let sum = self.sums.entry(change.connection.id).or_default();
            *sum = sum.plus(change.delta);
            self.states.insert(change.connection.id, change.connection.state);
            self.failures.extend(change.connection.failure.map(|failure| (change.connection.id, failure)));
        }
        self.lost = self.lost.plus(delta.coverage.losses.closed_log_full);
        (self.acknowledged, self.acknowledged_to) = (delta.sequence, delta.to);
        self.undelivered.clear();
    }

    /// Told and lost together are all there was.
    pub(crate) fn check_complete(&self, host: &Host) -> Result<(), TestCaseError> {
        for connection in host.table.connections() {
            prop_assert_eq!(self.sums.get(&connection.id), Some(&connection.total));
            prop_assert_eq!(self.failures.get(&connection.id), connection.failure.as_ref());
        }
        let mut missing = Loss::default();
        for id in &self.due {
            let total = host.finals.get(id).copied().unwrap_or_default();
            let sum = self.sums.get(id).copied().unwrap_or_default();
            if self.told_closed(*id) {
                prop_assert_eq!(sum, total);
            } else {
                missing.add(bytes(total) - bytes(sum));
            }
        }
        prop_assert_eq!(self.lost, missing);
        Ok(())
    }
}
