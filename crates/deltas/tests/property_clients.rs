//! The clients against a naive model that remembers for each client what it has, connection by connection.

mod fixtures;
#[path = "model/host.rs"]
mod host;
#[path = "model/reader.rs"]
mod reader;

use connections::KernelTime;
use deltas::{Change, Coverage, Refusal, Registration};
use host::{Host, READERS, Step, TTL, UNBOUNDED, USER, client, closed_records, steps};
use proptest::prelude::*;
use reader::Reader;

/// The host and what each client has of it.
struct World {
    host: Host,
    readers: [Option<Reader>; READERS],
    bounded: bool,
}

impl World {
    fn new(closed_records: usize) -> Self {
        let bounded = closed_records != UNBOUNDED;
        Self { host: Host::new(closed_records), readers: [None, None, None], bounded }
    }

    fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let closed = self.host.take(step);
        for reader in self.readers.iter_mut().flatten() {
            reader.due.extend(&closed);
        }
        let now = self.host.now;
        for reader in &mut self.readers {
            reader.take_if(|reader| reader.pending.is_none() && now - reader.heard_at > TTL);
        }
        match step {
            Step::Register(reader) => self.register(reader)?,
            Step::Remove(reader) => self.remove(reader)?,
            Step::Poll(reader) => self.poll(reader)?,
            Step::Acknowledge(reader) => self.resolve(reader, true),
            Step::RollBack(reader) => self.resolve(reader, false),
            Step::Replay { reader, acknowledge } => self.replay(reader, acknowledge),
            _ => {}
        }
        let registered = self.readers.iter().flatten().count();
        prop_assert_eq!(self.host.clients.list().len(), registered, "registered after {:?}", step);
        Ok(())
    }

    fn register(&mut self, number: usize) -> Result<(), TestCaseError> {
        let now = self.host.now;
        let registration = self.host.clients.register(&client(number), USER, KernelTime(now));
        let known = self.readers[number].is_some();
        prop_assert_eq!(registration, Ok(if known { Registration::Known } else { Registration::New }));
        self.readers[number].get_or_insert_default().heard_at = now;
        Ok(())
    }

    fn remove(&mut self, number: usize) -> Result<(), TestCaseError> {
        let removed = self.host.clients.remove(&client(number), USER, KernelTime(self.host.now));
        let known = self.readers[number].take().is_some();
        prop_assert_eq!(removed, if known { Ok(()) } else { Err(Refusal::UnknownClient) });
        Ok(())
    }

    fn poll(&mut self, number: usize) -> Result<(), TestCaseError> {
        let answer = self.host.poll(number);
        let Some(reader) = &mut self.readers[number] else {
            prop_assert_eq!(answer.err(), Some(Refusal::UnknownClient));
            return Ok(());
        };
        if reader.pending.is_some() {
            prop_assert_eq!(answer.err(), Some(Refusal::AnswerPending));
            return Ok(());
        }
        let delta = answer.map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
        reader.check_answer(&delta, &self.host, self.bounded)?;
        (reader.sequence, reader.heard_at) = (delta.sequence, self.host.now);
        reader.pending = Some(delta);
        Ok(())
    }

    fn resolve(&mut self, number: usize, delivered: bool) {
        let Some(reader) = &mut self.readers[number] else {
            return;
        };
        let Some(delta) = reader.pending.take() else {
            return;
        };
        self.host.resolve(&delta.receipt, delivered);
        reader.heard_at = self.host.now;
        if delivered {
            reader.take(&delta);
        } else {
            reader.undelivered = delta.changes.iter().collect();
        }
    }

    /// Every receipt but that of the pending answer is void.
    fn replay(&mut self, number: usize, acknowledge: bool) {
        let pending = self.readers[number].as_ref().and_then(|reader| reader.pending.as_ref());
        let pending = pending.map(|delta| delta.receipt.clone());
        for receipt in self.host.receipts[number].clone() {
            if Some(&receipt) != pending.as_ref() {
                self.host.resolve(&receipt, acknowledge);
            }
        }
    }

    /// Polls once more and acknowledges: then every client has everything.
    fn settle(&mut self) -> Result<(), TestCaseError> {
        for number in 0..READERS {
            self.resolve(number, false);
            self.poll(number)?;
            self.resolve(number, true);
            let Some(reader) = &self.readers[number] else {
                continue;
            };
            reader.check_complete(&self.host)?;
            let delta = self.host.poll(number).map_err(|refusal| TestCaseError::fail(refusal.to_string()))?;
            prop_assert!(delta.changes.count() == 0 && delta.coverage.complete(), "told again: {:?}", delta);
            self.host.resolve(&delta.receipt, true);
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
        let asked = matches!(step, Step::Poll(reader) if reader == of);
        let pending = world.readers[of].as_ref().and_then(|reader| reader.pending.as_ref());
        if let Some(delta) = pending.filter(|_| asked) {
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
