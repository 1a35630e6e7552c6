//! A column of values by place, in chunks that snapshots share: a chunk that is shared is copied when it changes.
//!
//! Does not know what the values are, nor which places are in use (`places` does).

use std::sync::Arc;

/// Values in a chunk. A change after a snapshot copies so many; few make snapshots of many connections slow, many
/// make changes of few connections dear.
pub(crate) const CHUNK: usize = 64;

/// Values of neighbouring places.
pub(crate) type Chunk<T> = Arc<[T; CHUNK]>;

/// One value for each place.
#[derive(Debug)]
pub(crate) struct Column<T> {
    chunks: Vec<Chunk<T>>,
    /// Stands for all chunks in which no place is in use.
    unused: Chunk<T>,
}

impl<T: Clone + Default> Default for Column<T> {
    fn default() -> Self {
        Self { chunks: Vec::new(), unused: Arc::new(std::array::from_fn(|_| T::default())) }
    }
}

impl<T: Clone + Default> Column<T> {
    pub(crate) fn get(&self, place: u32) -> Option<&T> {
        let (chunk, index) = position(place);
        self.chunks.get(chunk)?.get(index)
    }

    /// Lets the value at a place be changed; before it is first set it is the default.
    pub(crate) fn get_mut(&mut self, place: u32) -> Option<&mut T> {
        let (chunk, index) = position(place);
        if chunk >= self.chunks.len() {
            self.chunks.resize(chunk + 1, Arc::clone(&self.unused));
        }
        Arc::make_mut(self.chunks.get_mut(chunk)?).get_mut(index)
    }

    /// Gives back the memory of a chunk in which no place is in use any more.
    pub(crate) fn release(&mut self, chunk: usize) {
        if let Some(chunk) = self.chunks.get_mut(chunk) {
            *chunk = Arc::clone(&self.unused);
        }
    }

    pub(crate) fn chunks(&self) -> &[Chunk<T>] {
        &self.chunks
    }
}

/// The chunk of a place and the index in it.
pub(crate) fn position(place: u32) -> (usize, usize) {
    let place = usize::try_from(place).expect("a place fits into the memory that it is in");
    (place / CHUNK, place % CHUNK)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shared_is_copied_when_it_changes() {
        let mut column = Column::<u64>::default();
        *column.get_mut(70).expect("there") = 7;
        *column.get_mut(1).expect("there") = 1;
        let shared = column.chunks().to_vec();
        *column.get_mut(70).expect("there") = 8;
        assert_eq!((column.get(70), shared[1][6]), (Some(&8), 7));
        assert!(Arc::ptr_eq(&shared[0], &column.chunks()[0]), "the other chunk is still one");
        let alone = Arc::as_ptr(&column.chunks()[1]);
        *column.get_mut(71).expect("there") = 9;
        assert_eq!(Arc::as_ptr(&column.chunks()[1]), alone, "nobody shares it any more");
        assert_eq!((column.get(71), column.get(128)), (Some(&9), None));
    }

    #[test]
    fn released_chunks_are_one() {
        let mut column = Column::<u64>::default();
        *column.get_mut(200).expect("there") = 7;
        column.release(3);
        assert_eq!(column.get(200), Some(&0));
        assert!(Arc::ptr_eq(&column.chunks()[0], &column.chunks()[3]));
    }
}
