//! The clients against a naive model that remembers for each client what it has, connection by connection.

mod fixtures;
#[path = "model/host.rs"]
mod host;
#[path = "model/reader.rs"]
mod reader;

use connections::KernelTime;
use deltas::{Change, Coverage, Refusal, Registration};
use host::{After, Host, READERS, Step, TTL_ASKED, UNBOUNDED, USER, client, closed_records, steps};
use proptest::prelude::*;
use reader::{Flight, Reader};

/// The host and what each client has of it.
struct World {
    host: Host,
    readers: [Option<Reader>; READERS],
    bounded: bool,
    /// The client that was answered in this step.
    answered: Option<usize>,
}

impl World {
    fn new(closed_records: usize) -> Self {
        let bounded = closed_records != UNBOUNDED;
        Self { host: Host::new(closed_records), readers: [None, None, None], bounded, answered: None }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let closed = self.host.take(step);
        for reader in self.readers.iter_mut().flatten() {
            reader.due.extend(&closed);
        }
        let now = self.host.now;
        for reader in &mut self.readers {
            reader.take_if(|reader| reader.expired(now));
        }
        self.answered = None;
        match step {
            Step::Register { reader, asks_ttl } => self.register(reader, asks_ttl)?,
            Step::Remove(reader) => self.remove(reader)?,
            Step::Begin { reader, after } => self.begin(reader, after)?,
            Step::Poll { reader, after } => {
                self.begin(reader, after)?;
                self.answer(reader)?;
            }
            Step::Answer(reader) => self.answer(reader)?,
            Step::End { reader, delivered } => self.end(reader, delivered),
            Step::Replay { reader, delivered } => self.replay(reader, delivered)?,
            _ => {}
        }
        let registered = self.readers.iter().flatten().count();
        prop_assert_eq!(self.host.clients.list().len(), registered, "registered after {:?}", step);
        self.check_states()
    }

    fn check_states(&self) -> Result<(), TestCaseError> {
        for state in self.host.clients.list() {
            let number = (0..READERS).find(|number| client(*number) == state.id);
            let reader = number.and_then(|number| self.readers[number].as_ref());
            let reader =
                reader.ok_or_else(|| TestCaseError::fail(format!("unknown to the model: {state:?}")))?;
            let pending = reader.pending.as_ref().map(|delta| delta.sequence);
            prop_assert_eq!((state.pending, state.in_flight), (pending, reader.flight.is_some()));
            prop_assert_eq!((state.sequence, state.acknowledged), (reader.sequence, reader.acknowledged));
            prop_assert_eq!((state.heard_at.0, state.ttl_ns), (reader.heard_at, reader.ttl));
        }
        Ok(())
    }

    fn register(&mut self, number: usize, asks_ttl: bool) -> Result<(), TestCaseError> {
        let registration = self.host.register(number, asks_ttl);
        let known = self.readers[number].is_some();
        prop_assert_eq!(registration, Ok(if known { Registration::Known } else { Registration::New }));
        let reader = self.readers[number].get_or_insert_default();
        reader.heard_at = self.host.now;
        if asks_ttl {
            reader.ttl = TTL_ASKED;
        }
        Ok(())
    }

    fn remove(&mut self, number: usize) -> Result<(), TestCaseError> {
        let removed = self.host.clients.remove(&client(number), USER, KernelTime(self.host.now));
        let known = self.readers[number].take().is_some();
        prop_assert_eq!(removed, if known { Ok(()) } else { Err(Refusal::UnknownClient) });
        Ok(())
    }

    fn begin(&mut self, number: usize, after: After) -> Result<(), TestCaseError> {
        let reader = &mut self.readers[number];
        let after = match reader {
            Some(reader) => reader.number(after),
            None => None,
        };
        let begun = self.host.begin(number, after);
        let expected = reader.as_mut().ok_or(Refusal::UnknownClient).and_then(|reader| reader.begin(after));
        prop_assert_eq!(begun.as_ref().map(|_| ()).map_err(|refusal| *refusal), expected);
        if let (Ok(begun), Some(reader)) = (begun, reader) {
            let flight = Flight { ticket: begun.ticket, acknowledges_itself: after.is_none() };
            let superseded = reader.flight.replace(flight).map(|flight| flight.ticket);
            prop_assert_eq!(begun.superseded, superseded);
            reader.heard_at = self.host.now;
        }
        Ok(())
    }

    /// The poll in flight is answered, if it was not yet.
    fn answer(&mut self, number: usize) -> Result<(), TestCaseError> {
        let Some(reader) = self.readers[number].as_mut().filter(|reader| reader.pending.is_none()) else {
            return Ok(());
        };
        let Some(flight) = &reader.flight else {
            return Ok(());
        };
        let answer = self.host.answer(&flight.ticket);
        let delta = answer.map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
        reader.check_answer(&delta, &self.host, self.bounded)?;
        reader.sequence = delta.sequence;
        reader.pending = Some(delta);
        self.answered = Some(number);
        Ok(())
    }

    fn end(&mut self, number: usize, delivered: bool) {
        let Some(reader) = &mut self.readers[number] else {
            return;
        };
        let Some(flight) = reader.flight.take() else {
            return;
        };
        self.host.end(&flight.ticket, delivered);
        reader.heard_at = self.host.now;
        if flight.acknowledges_itself {
            reader.resolve(delivered);
        }
    }

    /// Every ticket but that of the poll in flight is void.
    fn replay(&mut self, number: usize, delivered: bool) -> Result<(), TestCaseError> {
        let flight = self.readers[number].as_ref().and_then(|reader| reader.flight.as_ref());
        let in_flight = flight.map(|flight| flight.ticket.clone());
        for ticket in self.host.tickets[number].clone() {
            if Some(&ticket) != in_flight.as_ref() {
                let refused = self.host.answer(&ticket).err();
                prop_assert!(matches!(refused, Some(Refusal::Superseded | Refusal::UnknownClient)));
                self.host.end(&ticket, delivered);
            }
        }
        Ok(())
    }

    /// Polls once more and acknowledges: then every client has everything.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for number in 0..READERS {
            self.end(number, false);
            self.begin(number, After::Itself)?;
            self.answer(number)?;
            self.end(number, true);
            let Some(reader) = &self.readers[number] else {
                continue;
            };
            reader.check_complete(&self.host)?;
            self.begin(number, After::Itself)?;
            self.answer(number)?;
            let again = self.readers[number].as_ref().and_then(|reader| reader.pending.as_ref());
            let nothing = again.is_some_and(|delta| delta.changes.count() == 0 && delta.coverage.complete());
            prop_assert!(nothing, "told again: {:?}", again);
            self.end(number, true);
        }
        for state in self.host.clients.list() {
            prop_assert_eq!((state.baselines, state.closed_waiting), (self.host.table.live_count(), 0));
        }
        prop_assert_eq!(self.host.clients.closed_kept(), 0);
        Ok(())
    }
}

/// Sequence, acknowledged sequence, coverage and sorted changes.
type Answer = (u64, u64, Coverage, Vec<Change>);

/// Every answer that this client got, in a world where only some clients act.
fn answers(
    steps: &[Step],
    closed_records: usize,
    of: usize,
    acts: impl Fn(usize) -> bool,
) -> Result<Vec<Answer>, TestCaseError> {
    let mut world = World::new(closed_records);
    let mut answers = Vec::new();
    for step in steps {
        // Time passes, whoever acts.
        let step = if step.reader().is_none_or(&acts) { *step } else { Step::Wait(0) };
        world.take(step)?;
        let answered = world.answered == Some(of);
        let pending = world.readers[of].as_ref().and_then(|reader| reader.pending.as_ref());
        if let Some(delta) = pending.filter(|_| answered) {
            let mut changes: Vec<_> = delta.changes.iter().collect();
            changes.sort_by_key(|change| change.connection.id);
            answers.push((delta.sequence, delta.acknowledged, delta.coverage, changes));
        }
    }
    Ok(answers)
}

fn config() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_a_client_was_told_and_what_it_lost_add_up_to_the_totals(
        steps in steps(),
        closed_records in closed_records(),
    ) {
        let mut world = World::new(closed_records);
        for step in steps {
            world.take(step)?;
            prop_assert!(world.host.clients.closed_kept() <= closed_records);
        }
        world.settle()?;
    }

    #[test]
    fn clients_do_not_affect_one_another(steps in steps(), closed_records in closed_records()) {
        let together = answers(&steps, closed_records, 0, |_| true)?;
        let alone = answers(&steps, closed_records, 0, |reader| reader == 0)?;
        prop_assert_eq!(together, alone);
    }
}
