//! An entry of the table, and the lines in which entries stand: those that live, those that have ended, each the oldest
//! first, and places that are free.

use connections::Protocol;

use super::way::{Translation, Way};

/// No place.
pub(crate) const NOWHERE: u32 = u32::MAX;
/// The end of what has not ended.
pub(crate) const ALIVE: u64 = u64::MAX;

/// A translation with its lifetime: 104 bytes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Entry {
    pub(crate) original: Way,
    pub(crate) reply: Way,
    /// It began at this time of the kernel or later; 0 when nobody saw its beginning.
    pub(crate) began: u64,
    /// It ended at this time or earlier; [`ALIVE`] while it lives.
    pub(crate) ended: u64,
    pub(crate) netns: u32,
    /// The places before and behind it in its line.
    before: u32,
    behind: u32,
    pub(crate) zone: u16,
    pub(crate) protocol: Protocol,
    /// The last dump of its namespace that it is known to have outlived.
    pub(crate) mark: u8,
}

const _: () = assert!(size_of::<Entry>() == 104, "the documentation says so");

impl Entry {
    pub(crate) fn new(netns: u32, translation: &Translation, began: u64, ended: u64, mark: u8) -> Self {
        let Translation { protocol, zone, original, reply } = *translation;
        Self { original, reply, began, ended, netns, before: NOWHERE, behind: NOWHERE, zone, protocol, mark }
    }

    /// A number that comes of all parts: an entry is in two or three lines of the cache.
    pub(crate) fn fetch(&self) -> u64 {
        let Way { source, source_port, .. } = self.original;
        self.began ^ u64::from(source[0]) ^ u64::from(source_port ^ self.zone)
    }

    /// The first direction, or the other one.
    pub(crate) fn way(&self, reply: bool) -> &Way {
        if reply { &self.reply } else { &self.original }
    }

    pub(crate) fn is_alive(&self) -> bool {
        self.ended == ALIVE
    }

    /// Whether the kernel could not have both at one time.
    pub(crate) fn has_place_of(&self, netns: u32, translation: &Translation) -> bool {
        self.netns == netns
            && self.zone == translation.zone
            && self.protocol == translation.protocol
            && self.original == translation.original
    }
}

/// A line of entries, linked in themselves.
#[derive(Debug)]
pub(crate) struct Line {
    first: u32,
    last: u32,
}

impl Default for Line {
    fn default() -> Self {
        Self { first: NOWHERE, last: NOWHERE }
    }
}

impl Line {
    /// The place of the oldest.
    pub(crate) fn first(&self) -> Option<u32> {
        (self.first != NOWHERE).then_some(self.first)
    }

    /// Puts what stands in no line at the end of this one.
    pub(crate) fn append(&mut self, entries: &mut [Entry], place: u32) {
        let entry = at(entries, place);
        (entry.before, entry.behind) = (self.last, NOWHERE);
        match self.last {
            NOWHERE => self.first = place,
            last => at(entries, last).behind = place,
        }
        self.last = place;
    }

    /// Takes out what stands in this line.
    pub(crate) fn remove(&mut self, entries: &mut [Entry], place: u32) {
        let Entry { before, behind, .. } = *at(entries, place);
        match before {
            NOWHERE => self.first = behind,
            before => at(entries, before).behind = behind,
        }
        match behind {
            NOWHERE => self.last = before,
            behind => at(entries, behind).before = before,
        }
    }
}

fn at(entries: &mut [Entry], place: u32) -> &mut Entry {
    &mut entries[position(place)]
}

/// A place as the position in the list of entries.
pub(crate) fn position(place: u32) -> usize {
    usize::try_from(place).expect("32 bits fit")
}
