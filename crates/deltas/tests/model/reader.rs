//! What one client has, and what it may be told next.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use connections::{Connection, ConnectionId, Counters, Failure, KernelTime, Loss, RollUp, RollUpKey, State};
use deltas::{Change, Delta, Record, Refusal, RollUpId, Ticket, View};
use proptest::prelude::*;

use crate::model::host::{Bounds, Ends, Host, TTL, UNBOUNDED};
use crate::model::step::After;

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
    established: BTreeSet<ConnectionId>,
    /// Of roll-ups, by kind.
    rolled_up: HashMap<RollUpKey, Sums>,
    told_roll_ups: BTreeSet<RollUpId>,
    /// What ended since it was registered, until its pending answer, and until the acknowledged one.
    ended: Ended,
    pending_ended: Ended,
    acknowledged_ended: Ended,
    /// Closed since it was registered.
    pub(crate) due: BTreeSet<ConnectionId>,
    /// What the kernel side added up since then.
    due_of_kernel: Sums,
    pub(crate) lost: Loss,
    pub(crate) sequence: u64,
    /// The number above which its answers have theirs.
    pub(crate) first: u64,
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
            established: BTreeSet::new(),
            rolled_up: HashMap::new(),
            told_roll_ups: BTreeSet::new(),
            ended: Ended::default(),
            pending_ended: Ended::default(),
            acknowledged_ended: Ended::default(),
            due: BTreeSet::new(),
            due_of_kernel: Sums::default(),
            lost: Loss::default(),
            sequence: 0,
            first: 0,
            acknowledged: 0,
            acknowledged_to: KernelTime(0),
            pending: None,
            undelivered: Vec::new(),
        }
    }
}

/// How much has ended.
#[derive(Debug, Clone, Copy, Default)]
struct Ended {
    closed: usize,
    /// Roll-ups of the kernel side.
    of_kernel: usize,
}

impl Ended {
    fn since(self, earlier: Self) -> Self {
        Self { closed: self.closed - earlier.closed, of_kernel: self.of_kernel - earlier.of_kernel }
    }

    /// True when so much is kept, whatever else is.
    fn have_room(self, bounds: Bounds) -> bool {
        self.closed <= bounds.closed_records && self.of_kernel <= bounds.rollups
    }
}

/// Sums over connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Sums {
    connections: u64,
    established: u64,
    total: Counters,
}

impl Sums {
    fn add(&mut self, connections: u64, established: u64, total: Counters) {
        self.connections += connections;
        self.established += established;
        self.total = self.total.plus(total);
    }

    fn add_roll_up(&mut self, rollup: &RollUp) {
        self.add(rollup.connections, rollup.established.unwrap_or(0), rollup.total);
    }
}

impl Reader {
    /// A new one, whose answers have larger numbers.
    pub(crate) fn numbered_above(sequence: u64) -> Self {
        Self { sequence, first: sequence, ..Self::default() }
    }

    pub(crate) fn note_ends(&mut self, ends: &Ends) {
        self.ended.closed += ends.closed.len();
        self.ended.of_kernel += usize::from(ends.rolled_up.is_some());
        self.due.extend(&ends.closed);
        if let Some((connections, total)) = ends.rolled_up {
            self.due_of_kernel.add(connections, 0, total);
        }
    }

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
            After::Pending => self.pending_sequence().or(Some(self.some_number(6))),
            After::Acknowledged => Some(self.acknowledged),
            After::Number(number) => Some(self.some_number(number)),
        }
    }

    /// A number about that of the last answer; where there is none, one that no answer has.
    fn some_number(&self, number: u64) -> u64 {
        let some = (self.sequence + number).saturating_sub(6);
        if some > self.first { some } else { u64::MAX - number }
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
        bounds: Bounds,
    ) -> Result<(), TestCaseError> {
        prop_assert!(delta.sequence > self.sequence, "not fresh: {} after {}", delta.sequence, self.sequence);
        prop_assert_eq!(delta.acknowledged, self.acknowledged);
        prop_assert_eq!(delta.from, self.acknowledged_to);
        let mut told = BTreeMap::new();
        for change in delta.changes.iter() {
            let connection = &change.connection;
            prop_assert!(told.insert(connection.id, change).is_none(), "told twice in one answer");
            prop_assert!(!self.told_closed(connection.id), "told again after its close");
            let sum = self.sums.get(&connection.id).copied().unwrap_or_default().plus(change.delta);
            prop_assert_eq!(sum, connection.total);
            let established =
                connection.established_at.is_some() && !self.established.contains(&connection.id);
            prop_assert_eq!(change.newly_established, established);
            if connection.state == State::Closed {
                prop_assert!(self.due.contains(&connection.id), "closed before the client was registered");
                prop_assert_eq!(Some(connection), host.finals.get(&connection.id));
            }
        }
        for (id, _) in delta.roll_ups.iter() {
            prop_assert!(!self.told_roll_ups.contains(&id), "told again: {}", id);
        }
        self.check_records(delta)?;
        if self.ended.since(self.acknowledged_ended).have_room(bounds) {
            prop_assert_eq!(delta.coverage.losses.closed_log_full, Loss::default(), "it has kept up");
        }
        if bounds.closed_records != UNBOUNDED || bounds.rollups != UNBOUNDED {
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

    /// An answer was made.
    pub(crate) fn answered(&mut self, delta: Delta) {
        self.sequence = delta.sequence;
        self.pending = Some(delta);
        self.pending_ended = self.ended;
    }

    fn take(&mut self, delta: &Delta) {
        self.acknowledged_ended = self.pending_ended;
        for change in delta.changes.iter() {
            let sum = self.sums.entry(change.connection.id).or_default();
            *sum = sum.plus(change.delta);
            self.states.insert(change.connection.id, change.connection.state);
            self.failures.extend(change.connection.failure.map(|failure| (change.connection.id, failure)));
            self.established.extend(change.newly_established.then_some(change.connection.id));
        }
        for (id, rollup) in delta.roll_ups.iter() {
            self.told_roll_ups.insert(id);
            self.rolled_up.entry(rollup.key).or_default().add_roll_up(&rollup);
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
        let mut missing: HashMap<RollUpKey, Sums> = HashMap::new();
        for id in &self.due {
            let Some(last) = host.finals.get(id) else { continue };
            let sum = self.sums.get(id).copied().unwrap_or_default();
            if self.told_closed(*id) {
                prop_assert_eq!(sum, last.total);
            } else {
                let established = last.established_at.is_some() && !self.established.contains(id);
                let sums = missing.entry(RollUpKey::of(last)).or_default();
                sums.add(1, established.into(), last.total.since(sum).0);
            }
        }
        self.check_sums(missing)
    }

    /// What was not told by itself was told in sums, or counted as lost.
    fn check_sums(&self, mut missing: HashMap<RollUpKey, Sums>) -> Result<(), TestCaseError> {
        let of_kernel = self.due_of_kernel;
        if of_kernel != Sums::default() {
            let kernel_key = RollUpKey { protocol: connections::Protocol::Tcp, common: None };
            missing.insert(kernel_key, of_kernel);
        }
        let mut lost = Loss::default();
        for (kind, missing) in &missing {
            let told = self.rolled_up.get(kind).copied().unwrap_or_default();
            let (total, negative) = missing.total.since(told.total);
            prop_assert!(negative == 0 && told.connections <= missing.connections, "{:?}: {:?}", kind, told);
            prop_assert!(told.established <= missing.established, "{:?}: {:?} of {:?}", kind, told, missing);
            let connections = missing.connections - told.connections;
            lost = lost.plus(Loss { connections, bytes: bytes(total) });
            if self.lost == Loss::default() {
                prop_assert_eq!(&told, missing, "{:?}", kind);
            }
        }
        prop_assert_eq!(self.lost, lost);
        Ok(())
    }

    /// The view by ports tells the same sums, and by its name what is live or was told while it lived.
    fn check_records(&self, delta: &Delta) -> Result<(), TestCaseError> {
        let (mut told, mut expected) = (Sums::default(), Sums::default());
        for change in delta.changes.iter() {
            expected.add(1, change.newly_established.into(), change.delta);
        }
        delta.roll_ups.iter().for_each(|(_, rollup)| expected.add_roll_up(&rollup));
        let (mut kinds, mut names) = (HashSet::new(), BTreeSet::new());
        for record in delta.records() {
            match record {
                Record::One(one) => {
                    let change = one.change();
                    told.add(1, change.newly_established.into(), change.delta);
                    names.insert(change.connection.id);
                }
                Record::Several(id, rollup, _) => {
                    told.add_roll_up(&rollup);
                    if let RollUpId::Ports(_) = id {
                        prop_assert!(delta.view == View::Ports && rollup.connections > 1);
                        prop_assert!(kinds.insert(rollup.key), "one kind twice: {:?}", rollup);
                    }
                }
            }
        }
        prop_assert_eq!(told, expected);
        for change in delta.changes.iter() {
            let Connection { id, state, .. } = change.connection;
            let by_name = state != State::Closed || self.sums.contains_key(&id);
            prop_assert!(!by_name || names.contains(&id), "not told by its name: {}", id);
        }
        Ok(())
    }
}
