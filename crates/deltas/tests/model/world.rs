//! The host and what its clients have of it, driven step by step and compared.

use connections::KernelTime;
use deltas::{Refusal, Registration};
use proptest::prelude::*;

use crate::model::host::{Bounds, Host, READERS, TTL_ASKED, USER, client};
use crate::model::reader::{Flight, Reader};
use crate::model::step::{After, Step};

/// The host and what each client has of it.
pub(crate) struct World {
    pub(crate) host: Host,
    pub(crate) readers: [Option<Reader>; READERS],
    bounds: Bounds,
    /// The client that was answered in this step.
    pub(crate) answered: Option<usize>,
}

impl World {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { host: Host::new(bounds), readers: [None, None, None], bounds, answered: None }
    }

    pub(crate) fn take(&mut self, step: Step) -> Result<(), TestCaseError> {
        let ends = self.host.take(step);
        for reader in self.readers.iter_mut().flatten() {
            reader.note_ends(&ends);
        }
        let now = self.host.now;
        for reader in &mut self.readers {
            reader.take_if(|reader| reader.expired(now));
        }
        self.answered = None;
        match step {
            Step::Register { reader, asks } => self.register(reader, asks)?,
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
        prop_assert!(self.host.clients.closed_kept() <= self.bounds.closed_records);
        prop_assert!(self.host.clients.rollups_kept() <= 2 * self.bounds.rollups.max(1));
        self.check_states()
    }

    fn check_states(&self) -> Result<(), TestCaseError> {
        let waiting = self.host.clients.list().iter().map(|state| state.closed_waiting).max();
        let kept = self.host.clients.closed_kept() as u64;
        prop_assert_eq!(kept, waiting.unwrap_or(0), "kept for nobody");
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

    fn register(&mut self, number: usize, asks: bool) -> Result<(), TestCaseError> {
        let registration = self.host.register(number, asks);
        let known = self.readers[number].is_some();
        prop_assert_eq!(registration, Ok(if known { Registration::Known } else { Registration::New }));
        // Numbers go on where those of all answers are.
        let state = self.host.clients.state(&client(number), USER);
        let sequence = state.map_err(|refusal| TestCaseError::fail(refusal.to_string()))?.sequence;
        let reader = self.readers[number].get_or_insert_with(|| Reader::numbered_above(sequence));
        reader.heard_at = self.host.now;
        if asks {
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
        reader.check_answer(&delta, &self.host, self.bounds)?;
        reader.answered(delta);
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
    pub(crate) fn settle(&mut self) -> Result<(), TestCaseError> {
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
            let nothing =
                again.is_some_and(|delta| delta.records().count() == 0 && delta.coverage.complete());
            prop_assert!(nothing, "told again: {:?}", again);
            self.end(number, true);
        }
        for state in self.host.clients.list() {
            let visible = self.host.table.connections().count();
            prop_assert_eq!((state.baselines, state.closed_waiting), (visible, 0));
        }
        prop_assert_eq!((self.host.clients.closed_kept(), self.host.clients.rollups_kept()), (0, 0));
        let in_flight: usize =
            self.readers.iter().flatten().filter(|reader| reader.pending.is_some()).count();
        prop_assert_eq!((self.host.clients.answer_bytes() == 0, in_flight), (true, 0));
        Ok(())
    }
}
