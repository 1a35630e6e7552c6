//! Decoded records on their way out of the kernel, and how many could not be decoded.

use connections::Event;

use crate::jiffies::JiffyRate;
use crate::record::{Decoded, decode};

/// Takes in the records of one ring buffer and gives events.
pub(crate) trait Intake {
    /// What the records become.
    type Event;

    /// One record.
    fn take_in(&mut self, bytes: &[u8]);

    /// Takes out everything as events.
    fn take(&mut self) -> Vec<Self::Event>;

    /// How many records could not be decoded since the last call.
    fn take_malformed(&mut self) -> u64;
}

/// Takes in records of connections.
#[derive(Debug, Default)]
pub(crate) struct Inbox {
    decoded: Decoded,
    malformed: u64,
    jiffy: Option<JiffyRate>,
}

impl Inbox {
    /// With room for so many records.
    pub(crate) fn of(jiffy: Option<JiffyRate>, records: usize) -> Self {
        let decoded = Decoded { events: Vec::with_capacity(records), unchanged: Vec::new() };
        Self { decoded, malformed: 0, jiffy }
    }

    /// From now on facts in jiffies can be told.
    pub(crate) fn set_jiffy(&mut self, jiffy: Option<JiffyRate>) {
        self.jiffy = jiffy;
    }
}

impl Intake for Inbox {
    type Event = Event;

    fn take_in(&mut self, bytes: &[u8]) {
        self.malformed += u64::from(decode(bytes, self.jiffy, &mut self.decoded).is_err());
    }

    fn take(&mut self) -> Vec<Event> {
        let Decoded { mut events, unchanged } = std::mem::take(&mut self.decoded);
        if !unchanged.is_empty() {
            events.push(Event::Unchanged(unchanged));
        }
        events
    }

    fn take_malformed(&mut self) -> u64 {
        std::mem::take(&mut self.malformed)
    }
}
