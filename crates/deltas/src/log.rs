//! A log that clients read with a cursor each: one copy for all of them.
//!
//! Positions count from the first record ever appended and never repeat. Who has read how far is the clients' business.
//! Answers share the records with the log, in chunks: a chunk that is shared is copied when it changes.

use std::collections::VecDeque;
use std::sync::Arc;

/// Records in a chunk.
const CHUNK: usize = 64;

/// Records in the order of their appending.
#[derive(Debug)]
pub(crate) struct Log<T> {
    chunks: VecDeque<Arc<Vec<T>>>,
    /// Position of the first record of the first chunk.
    begin: u64,
    /// Position of the first record that somebody still needs.
    first: u64,
    end: u64,
}

/// Records of a log from some position on, as they were at one moment.
#[derive(Debug, Clone)]
pub(crate) struct Slice<T> {
    chunks: Vec<Arc<Vec<T>>>,
    begin: u64,
    from: u64,
}

impl<T> Default for Log<T> {
    fn default() -> Self {
        Self { chunks: VecDeque::new(), begin: 0, first: 0, end: 0 }
    }
}

impl<T> Default for Slice<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), begin: 0, from: 0 }
    }
}

impl<T: Clone> Log<T> {
    /// How many records somebody still needs.
    pub(crate) fn len(&self) -> usize {
        usize::try_from(self.end - self.first).unwrap_or(usize::MAX)
    }

    /// The position of the oldest record that somebody still needs.
    pub(crate) fn first(&self) -> u64 {
        self.first
    }

    /// How many of the records from `position` on somebody still needs.
    pub(crate) fn len_from(&self, position: u64) -> u64 {
        self.end - position.clamp(self.first, self.end)
    }

    /// The position after the last record.
    pub(crate) fn end(&self) -> u64 {
        self.end
    }

    /// Appends a record; gives its position.
    pub(crate) fn append(&mut self, record: T) -> u64 {
        if self.chunks.back().is_none_or(|last| last.len() >= CHUNK) {
            self.chunks.push_back(Arc::new(Vec::with_capacity(CHUNK)));
        }
        if let Some(last) = self.chunks.back_mut() {
            if Arc::get_mut(last).is_none() {
                let mut copy = Vec::with_capacity(CHUNK);
                copy.extend_from_slice(last);
                *last = Arc::new(copy);
            }
            Arc::make_mut(last).push(record);
        }
        self.end += 1;
        self.end - 1
    }

    /// Lets the record at a position be changed. Answers that were made before keep what they have.
    pub(crate) fn get_mut(&mut self, position: u64) -> Option<&mut T> {
        let index = index(position.checked_sub(self.begin)?);
        Arc::make_mut(self.chunks.get_mut(index / CHUNK)?).get_mut(index % CHUNK)
    }

    /// The records from `position` on that somebody still needs.
    pub(crate) fn from(&self, position: u64) -> Slice<T> {
        let position = position.max(self.first);
        let skipped = index(position.saturating_sub(self.begin)) / CHUNK;
        Slice {
            chunks: self.chunks.iter().skip(skipped).map(Arc::clone).collect(),
            begin: self.begin + (skipped * CHUNK) as u64,
            from: position,
        }
    }

    /// Takes the oldest record out, with its position.
    pub(crate) fn take_first(&mut self) -> Option<(u64, T)> {
        let position = self.first;
        let index = index(position - self.begin);
        let record = self.chunks.get(index / CHUNK)?.get(index % CHUNK)?.clone();
        self.trim(position + 1);
        Some((position, record))
    }

    /// Position of the first record of which `is_after` is true, which it is of all that follow. Those that nobody needs
    /// any more may be among them.
    pub(crate) fn position_of(&self, is_after: impl Fn(&T) -> bool) -> u64 {
        let full = self.chunks.partition_point(|chunk| chunk.last().is_some_and(|last| !is_after(last)));
        let rest = self.chunks.get(full).map_or(0, |chunk| chunk.partition_point(|record| !is_after(record)));
        // The last chunk need not be full.
        self.end.min(self.begin + (full * CHUNK + rest) as u64)
    }

    /// Nobody needs the records before `position` any more. Up to 63 of them stay in memory.
    pub(crate) fn trim(&mut self, position: u64) {
        self.first = position.clamp(self.first, self.end);
        let full = |chunk: &Arc<Vec<T>>| chunk.len() as u64;
        while let Some(chunk) = self.chunks.front().filter(|chunk| self.begin + full(chunk) <= self.first) {
            self.begin += full(chunk);
            self.chunks.pop_front();
        }
        // Of a crowd that has gone.
        if self.chunks.capacity() > 1024 && self.chunks.len() < self.chunks.capacity() / 4 {
            self.chunks.shrink_to(self.chunks.len() * 2);
        }
    }
}

impl<T> Slice<T> {
    /// The records, each with its position.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u64, &T)> {
        let all = (self.begin..).zip(self.chunks.iter().flat_map(|chunk| chunk.iter()));
        all.skip(index(self.from.saturating_sub(self.begin)))
    }

    /// True when there is none.
    pub(crate) fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The memory that this shares with the log, in bytes. Not counted is what the records themselves refer to.
    pub(crate) fn bytes(&self) -> usize {
        self.chunks.len() * CHUNK * size_of::<T>()
    }
}

fn index(distance: u64) -> usize {
    usize::try_from(distance).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn records(slice: &Slice<u64>) -> Vec<(u64, u64)> {
        slice.iter().map(|(position, record)| (position, *record)).collect()
    }

    #[test]
    fn positions_never_repeat() {
        let mut log = Log::default();
        for record in 0..200 {
            assert_eq!(log.append(record), record);
        }
        log.trim(140);
        assert_eq!((log.len(), log.end(), log.chunks.len()), (60, 200, 2));
        let expected: Vec<_> = (140..200).map(|record| (record, record)).collect();
        assert_eq!(records(&log.from(140)), expected);
        assert_eq!(records(&log.from(199)), [(199, 199)]);
        assert_eq!(records(&log.from(200)), []);
        log.trim(1000);
        assert_eq!((log.len(), log.end(), log.append(7)), (0, 200, 200));
        assert_eq!(records(&log.from(200)), [(200, 7)]);
        assert_eq!(records(&log.from(190)), [(200, 7)], "the rest is forgotten");
    }

    #[test]
    fn a_record_is_found_by_what_it_is_and_the_first_can_be_taken() {
        let mut log = Log::default();
        for record in 0..300 {
            log.append(2 * record);
        }
        log.trim(70);
        for (least, position) in [(0, 64), (141, 71), (256, 128), (383, 192), (598, 299), (599, 300)] {
            assert_eq!(log.position_of(|record| *record >= least), position, "{least}");
        }
        assert_eq!((log.take_first(), log.take_first(), log.len()), (Some((70, 140)), Some((71, 142)), 228));
        assert_eq!(
            records(&log.from(0)).first(),
            Some(&(72, 144)),
            "what was taken is gone, though its chunk is not"
        );
        log.trim(300);
        assert_eq!((log.take_first(), log.position_of(|record| *record >= 5)), (None, 300));
    }

    #[test]
    fn what_an_answer_has_does_not_change() {
        let mut log = Log::default();
        for record in 0..70 {
            log.append(record);
        }
        let slice = log.from(60);
        *log.get_mut(69).expect("there") = 1000;
        log.append(70);
        log.trim(71);
        assert_eq!(records(&slice), (60..70).map(|record| (record, record)).collect::<Vec<_>>());
        assert_eq!(slice.bytes(), 2 * CHUNK * 8);
    }
}
