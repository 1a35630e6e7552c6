//! The addresses that ends on this host have had: most connections go to none of them, and need not be looked for.
//!
//! Owns when it can be said that an address was never one. Forgets nothing: after 16 000 addresses one in five that never was
//! is taken for one, and looked for in vain.

use std::hash::BuildHasher;

use foldhash::quality::RandomState;

/// Bits, of which each address sets one: 8 KiB.
const BITS: usize = 1 << 16;

/// A set of addresses that says of some others that they are in it too, and never of one that is in it that it is not.
#[derive(Debug)]
pub(super) struct Addresses {
    words: Box<[u64]>,
    /// Its upper bits are used: a faster one mixes neighbours there by some of its seeds.
    hasher: RandomState,
}

impl Default for Addresses {
    fn default() -> Self {
        Self { words: vec![0; BITS / 64].into(), hasher: RandomState::default() }
    }
}

impl Addresses {
    /// Of an address the bits.
    pub(super) fn add(&mut self, address: u128) {
        let (word, bit) = self.place(address);
        if let Some(word) = self.words.get_mut(word) {
            *word |= bit;
        }
    }

    /// False where the address was never added.
    pub(super) fn may_have(&self, address: u128) -> bool {
        let (word, bit) = self.place(address);
        self.words.get(word).is_some_and(|word| word & bit != 0)
    }

    fn place(&self, address: u128) -> (usize, u64) {
        let hash = self.hasher.hash_one(address);
        let number = usize::try_from(hash >> 48).unwrap_or(0) % BITS;
        (number / 64, 1 << (number % 64))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::address_bits::bits;

    #[test]
    fn what_was_added_is_there_and_little_else_is() {
        let mut addresses = Addresses::default();
        let address = |number| bits(Ipv4Addr::from_bits(number).into());
        (0..1000).map(address).for_each(|one| addresses.add(one));
        assert!((0..1000).all(|number| addresses.may_have(address(number))));
        let wrong = (1000..11_000).filter(|number| addresses.may_have(address(*number))).count();
        assert!(wrong < 400, "{wrong} of 10 000");
    }
}
