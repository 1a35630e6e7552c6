//! What is looked for at once.
//!
//! Most of the time that looking takes is waiting for memory, so a batch is looked for step by step: where each of it may be,
//! then a reading of all these places, and only then what is decided by what stands there. In a step as short as a reading the
//! processor waits for the memory of many at a time.

use std::hint::black_box;
use std::ops::BitXor;

use connections::{Connection, Direction, Protocol, Tuple};
use hashbrown::HashTable;

use crate::address_bits::bits;

/// So many are asked for at once: what they lead to fits into the first cache of a processor.
pub(crate) const AT_ONCE: usize = 64;

/// What is found of each of a batch, in its order; beyond it there is nothing.
pub(crate) type Found<T> = [Option<T>; AT_ONCE];

/// A connection whose context is asked for: what all who look read of it is put beside each other once, in one line of the
/// cache, and addresses are made numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question<'a> {
    pub(crate) local: u128,
    pub(crate) remote: u128,
    pub(crate) connection: &'a Connection,
    pub(crate) netns: u32,
    /// 0 when its owner is not known: the id of no process.
    pub(crate) pid: u32,
    pub(crate) local_port: u16,
    pub(crate) remote_port: u16,
    pub(crate) protocol: Protocol,
    pub(crate) direction: Direction,
}

impl<'a> Question<'a> {
    pub(crate) fn of(connection: &'a Connection) -> Self {
        let Tuple { protocol, netns, local, remote } = &connection.tuple;
        Self {
            local: bits(local.ip()),
            remote: bits(remote.ip()),
            connection,
            netns: *netns,
            pid: connection.owner.as_ref().map_or(0, |owner| owner.pid),
            local_port: local.port(),
            remote_port: remote.port(),
            protocol: *protocol,
            direction: connection.direction,
        }
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
    find_each(hashes, |hash| at(*index.find(*hash, |_| true)?))
}

/// Reads of each that was found what `read` gives, and does nothing with it.
pub(crate) fn fetch_each<'a, T: 'a, N: BitXor<Output = N> + Default>(
    found: impl IntoIterator<Item = Option<&'a T>>,
    read: impl Fn(&T) -> Option<N>,
) {
    let all = found.into_iter().flatten().filter_map(read);
    black_box(all.fold(N::default(), N::bitxor));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_question_is_in_one_line_of_the_cache() {
        assert_eq!(size_of::<Question<'_>>(), 64);
    }
}
