//! What is looked for at once.
//!
//! Most of the time that looking takes is waiting for memory, so a batch is looked for step by step: where each of it may be,
//! then a reading of all these places, and only then what is decided by what stands there. In a step as short as a reading the
//! processor waits for the memory of many at a time.

use std::hint::black_box;
use std::ops::BitXor;

use connections::Connection;
use hashbrown::HashTable;

use crate::address_bits::bits;

/// So many are asked for at once: what they lead to fits into the first cache of a processor.
pub(crate) const AT_ONCE: usize = 64;

/// What is found of each of a batch, in its order; beyond it there is nothing.
pub(crate) type Found<T> = [Option<T>; AT_ONCE];

/// A connection whose context is asked for. Its addresses are made numbers once, for all who look.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) connection: &'a Connection,
    pub(crate) local: u128,
    pub(crate) remote: u128,
}

impl<'a> Question<'a> {
    pub(crate) fn of(connection: &'a Connection) -> Self {
        let [local, remote] = [connection.tuple.local, connection.tuple.remote].map(|end| bits(end.ip()));
        Self { connection, local, remote }
    }

    /// Its owner when that is not known has the id of no process.
    pub(crate) fn pid(&self) -> u32 {
        self.connection.owner.as_ref().map_or(0, |owner| owner.pid)
    }
}

/// A number for each, of at most [`AT_ONCE`].
pub(crate) fn number_each<Q>(asked: &[Q], number: impl Fn(&Q) -> u64) -> [u64; AT_ONCE] {
    debug_assert!(asked.len() <= AT_ONCE, "{} are asked for at once", asked.len());
    let mut numbers = [0; AT_ONCE];
    for (hash, asked) in numbers.iter_mut().zip(asked) {
        *hash = number(asked);
    }
    numbers
}

/// What is found of each, of at most [`AT_ONCE`].
pub(crate) fn find_each<'a, Q, T: ?Sized>(asked: &[Q], find: impl Fn(&Q) -> Option<&'a T>) -> Found<&'a T> {
    debug_assert!(asked.len() <= AT_ONCE, "{} are asked for at once", asked.len());
    let mut found = [None; AT_ONCE];
    for (found, asked) in found.iter_mut().zip(asked) {
        *found = find(asked);
    }
    found
}

/// What stands where an index says that something with these hashes may be. It is not read.
pub(crate) fn first_each<'a, T>(
    index: &HashTable<u32>,
    hashes: &[u64],
    at: impl Fn(u32) -> Option<&'a T>,
) -> Found<&'a T> {
    let places = find_each(hashes, |hash| index.find(*hash, |_| true));
    find_each(&places, |place| at(*(*place)?))
}

/// Reads of each that was found what `read` gives, and does nothing with it.
pub(crate) fn fetch_each<T, N: BitXor<Output = N> + Default>(
    found: &Found<&T>,
    read: impl Fn(&T) -> Option<N>,
) {
    let all = found.iter().filter_map(|one| read((*one)?));
    black_box(all.fold(N::default(), N::bitxor));
}
