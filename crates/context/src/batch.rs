//! What is looked for at once.
//!
//! All of a batch is found before any of it is read: the processor waits for the memory of many at a time where nothing has
//! to be decided between. Allocating a list for each step would take as long as a tenth of the looking.

use smallvec::SmallVec;

/// So many are asked for at once: what they lead to fits into the first cache of a processor.
pub(crate) const AT_ONCE: usize = 64;

/// A list that needs no allocation for as many as are asked for at once.
pub(crate) type Batch<T> = SmallVec<[T; AT_ONCE]>;
