//! The length of a jiffy on the running kernel, which no file tells: found from two of its tick counts.

/// The kernel's tick count and its time, read together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticks {
    pub(crate) jiffies: u64,
    pub(crate) at_ns: u64,
}

/// Two counts this far apart tell the usual rates from one another: 10 jiffies at the slowest.
pub(crate) const APART_NS: u64 = 100_000_000;

/// Rates that kernels are configured with (`CONFIG_HZ`).
const USUAL: [u64; 6] = [100, 128, 250, 300, 512, 1000];

/// Jiffies per second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct JiffyRate(u64);

impl JiffyRate {
    /// The usual rate nearest to what lies between two counts; `None` when they are too close.
    pub(crate) fn between(earlier: Ticks, later: Ticks) -> Option<Self> {
        let elapsed_ns = later.at_ns.checked_sub(earlier.at_ns).filter(|elapsed| *elapsed >= APART_NS)?;
        let jiffies = later.jiffies.checked_sub(earlier.jiffies)?;
        let measured = jiffies.checked_mul(1_000_000_000)? / elapsed_ns;
        USUAL.into_iter().min_by_key(|usual| usual.abs_diff(measured)).map(Self)
    }

    /// Microseconds of so many jiffies.
    pub(crate) fn microseconds(self, jiffies: u32) -> u64 {
        u64::from(jiffies) * 1_000_000 / self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_follows_from_two_counts() {
        let start = Ticks { jiffies: 1 << 32, at_ns: 7 };
        let after = |jiffies: u64, ns: u64| Ticks { jiffies: (1 << 32) + jiffies, at_ns: 7 + ns };
        assert_eq!(JiffyRate::between(start, after(25, APART_NS)), Some(JiffyRate(250)));
        assert_eq!(JiffyRate::between(start, after(31, APART_NS)), Some(JiffyRate(300)));
        assert_eq!(JiffyRate::between(start, after(101, APART_NS)), Some(JiffyRate(1000)));
        assert_eq!(JiffyRate::between(start, after(9, APART_NS)), Some(JiffyRate(100)));
        assert_eq!(JiffyRate::between(start, after(9, APART_NS - 1)), None);
        assert_eq!(JiffyRate::between(after(9, APART_NS), start), None);
        assert_eq!(JiffyRate(250).microseconds(3), 12_000);
    }
}
