//! What an iterator or a drain gave: events handed over in chunks, and what is counted on the way.

use connections::Event;

use crate::inbox::{Inbox, Intake};
use crate::jiffies::JiffyRate;
use crate::record::RECORD_BYTES;

/// What an iterator gave.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(super) jiffy: Option<JiffyRate>,
    pub(crate) malformed: u64,
    /// Live connections without an owner, or with a guessed one.
    pub(crate) unsettled: u64,
}

impl Reading {
    /// Decodes a chunk and hands it over.
    pub(super) fn hand_over(&mut self, chunk: &[[u8; RECORD_BYTES]], events: &mut impl FnMut(Vec<Event>)) {
        let mut inbox = Inbox::of(self.jiffy, chunk.len());
        for record in chunk {
            inbox.take_in(record);
        }
        self.malformed += inbox.take_malformed();
        let batch = inbox.take();
        self.unsettled += batch.iter().filter(|event| is_unsettled(event)).count() as u64;
        events(batch);
    }
}

fn is_unsettled(event: &Event) -> bool {
    matches!(event, Event::Read(observation) if observation.owner.is_none())
}
