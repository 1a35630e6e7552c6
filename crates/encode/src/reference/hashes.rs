//! A sorted list of hashes in which most of those that are looked for are not there: that is known after one read of little
//! memory, and the others are found after two more, where halving the list takes one for each bit of its length.
//!
//! Owns the search. Does not know what is hashed, and takes it that the upper bits are as good as random: where they are not
//! it is slow and still right.

/// For each hash there are at least so many bits of those that say what is there. A power of two.
const BITS_FOR_EACH: usize = 8;

/// Hashes, and what finds them by their upper bits: at most 6 bytes more for each.
pub(super) struct Hashes {
    /// In ascending order.
    hashes: Vec<u64>,
    /// How many of the upper bits tell where to look: they have at most as many values as there are hashes.
    upper_bits: u32,
    /// For all values of the upper bits, how many hashes have smaller ones. It ends behind the last that is there.
    begins: Vec<u32>,
    /// A bit for each value of 4 more bits, true where a hash has it: at most 16 for each hash, which stay in a near cache.
    there: Vec<u64>,
}

impl Hashes {
    pub(super) fn of_sorted(hashes: Vec<u64>) -> Self {
        // At least one, since 64 bits cannot be shifted away.
        let upper_bits = hashes.len().checked_ilog2().unwrap_or(0).clamp(1, 31);
        let begins = Vec::with_capacity(1 << upper_bits);
        let words = ((BITS_FOR_EACH * 2) << upper_bits).div_ceil(64);
        let mut list = Self { hashes: Vec::new(), upper_bits, begins, there: vec![0; words] };
        for (place, hash) in (0..).zip(&hashes) {
            let upper = upper(*hash, upper_bits);
            while list.begins.len() <= upper {
                list.begins.push(place);
            }
            let (word, bit) = list.bit(*hash);
            if let Some(word) = list.there.get_mut(word) {
                *word |= bit;
            }
        }
        Self { hashes, ..list }
    }

    /// The hashes that are not smaller, in ascending order; nothing where it is sure that none has the same upper bits.
    pub(super) fn from(&self, hash: u64) -> &[u64] {
        let (word, bit) = self.bit(hash);
        if self.there.get(word).is_none_or(|word| word & bit == 0) {
            return &[];
        }
        let upper = upper(hash, self.upper_bits);
        let place = |upper: usize| Some(usize::try_from(*self.begins.get(upper)?).unwrap_or(usize::MAX));
        let begin = place(upper).unwrap_or(self.hashes.len());
        let end = place(upper + 1).unwrap_or(self.hashes.len());
        let near = self.hashes.get(begin..end).unwrap_or_default();
        let smaller = near.partition_point(|other| *other < hash);
        self.hashes.get(begin + smaller..).unwrap_or_default()
    }

    /// Where it is said whether there are hashes like this one.
    fn bit(&self, hash: u64) -> (usize, u64) {
        let number = upper(hash, self.upper_bits + (BITS_FOR_EACH * 2).ilog2());
        (number / 64, 1 << (number % 64))
    }
}

/// So many upper bits of a hash, at least one.
fn upper(hash: u64, bits: u32) -> usize {
    usize::try_from(hash >> (u64::BITS - bits)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(mut hashes: Vec<u64>, wanted: impl IntoIterator<Item = u64>) {
        hashes.sort_unstable();
        let found = Hashes::of_sorted(hashes.clone());
        for hash in wanted.into_iter().chain([0, 1, u64::MAX - 1, u64::MAX]) {
            let expected = &hashes[hashes.partition_point(|other| *other < hash)..];
            let is_there = expected.first() == Some(&hash);
            let from = found.from(hash);
            assert!(from == expected || from.is_empty() && !is_there, "{hash} in {} hashes", hashes.len());
        }
    }

    #[test]
    fn what_is_found_is_what_halving_finds() {
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        for length in [0, 1, 2, 3, 100, 1000] {
            let around =
                (0..length).map(spread).flat_map(|hash| [hash.wrapping_sub(1), hash, hash.wrapping_add(1)]);
            check((0..length).map(spread).collect(), around);
        }
    }

    #[test]
    fn most_hashes_that_are_not_there_are_known_at_once() {
        let spread = |number: u64| number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let mut hashes: Vec<u64> = (0..1000).map(spread).collect();
        hashes.sort_unstable();
        let hashes = Hashes::of_sorted(hashes);
        let looked_for = (1000..2000).filter(|number| !hashes.from(spread(*number)).is_empty()).count();
        assert!(looked_for < 250, "{looked_for} of 1000");
    }

    #[test]
    fn hashes_that_are_not_spread_are_found_too() {
        check((10..500).collect(), 0..510);
        check((10..500).map(|low| u64::MAX - low).collect(), (0..510).map(|low| u64::MAX - low));
        check(vec![7; 100], [6, 7, 8]);
        check([vec![1 << 63; 3], vec![5; 3]].concat(), [4, 5, 6, (1 << 63) - 1, 1 << 63, (1 << 63) + 1]);
    }
}
