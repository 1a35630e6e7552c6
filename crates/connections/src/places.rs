//! Which places of the columns are in use. The lowest free one is given next, so that what is left of a crowd stands
//! close together and whole chunks come free.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use crate::column::{CHUNK, position};

/// Places in use and free ones. 4 bytes for each that is free.
#[derive(Debug, Default)]
pub(crate) struct Places {
    free: BinaryHeap<Reverse<u32>>,
    /// The first place that was never given.
    next: u32,
    /// Places in use, by chunk.
    used: Vec<u8>,
}

impl Places {
    /// A free place.
    pub(crate) fn take(&mut self) -> u32 {
        let place = self.free.pop().map_or(self.next, |Reverse(place)| place);
        self.next = self.next.max(place + 1);
        let (chunk, _) = position(place);
        if chunk >= self.used.len() {
            self.used.resize(chunk + 1, 0);
        }
        if let Some(used) = self.used.get_mut(chunk) {
            *used += 1;
        }
        place
    }

    /// A place is free again; tells the chunk if none in it is in use any more.
    pub(crate) fn give_back(&mut self, place: u32) -> Option<usize> {
        self.free.push(Reverse(place));
        let (chunk, _) = position(place);
        let used = self.used.get_mut(chunk)?;
        *used -= 1;
        (*used == 0).then_some(chunk)
    }

    pub(crate) fn in_use(&self) -> usize {
        usize::try_from(self.next).expect("as a place") - self.free.len()
    }
}

const _: () = assert!(CHUNK <= u8::MAX as usize, "counted in 8 bits");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lowest_free_place_is_given() {
        let mut places = Places::default();
        let given: Vec<u32> = (0..130).map(|_| places.take()).collect();
        assert_eq!(given, (0..130).collect::<Vec<_>>());
        assert_eq!((places.give_back(129), places.give_back(128)), (None, Some(2)));
        assert_eq!((places.give_back(64), places.give_back(3), places.in_use()), (None, None, 126));
        assert_eq!([places.take(), places.take(), places.take()], [3, 64, 128]);
    }
}
