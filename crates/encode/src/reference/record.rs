//! One record of the dialect before it is written: whose it is, and what is counted of it.
//!
//! Owns how two records with one key become one. Does not know where records come from (`change`, `rollup`), which of
//! them have one key (`shared_keys`), and how they are written (`connection`).

use std::collections::BTreeMap;

use connections::{Annotation, ContainerId, Counters, Nat};
use deltas::LookupSum;

use super::key::{ConnectionDirection, ConnectionType, Key};
use super::lists::{Lists, of_route};

/// What is to be told of a connection, or of several in one.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) key: Key,
    pub(super) sums: Sums<'a>,
}

impl<'a> Record<'a> {
    /// Lookups through a connection of which nothing else is told: one of which nothing else was counted.
    pub(super) fn of_lookups(sum: &'a LookupSum) -> Self {
        let key = Key {
            pid: i32::try_from(sum.pid).unwrap_or(0),
            protocol: ConnectionType::from(sum.tuple.protocol),
            netns: sum.tuple.netns,
            local: sum.tuple.local.into(),
            remote: sum.tuple.remote.into(),
            direction: ConnectionDirection::Outgoing,
        };
        Self { key, sums: Sums { lookups: vec![sum], ..Sums::default() } }
    }

    /// Adds what is known about it. Which of both ends began follows from the other end where that is known of it alone.
    pub(super) fn annotate(&mut self, annotation: &Annotation<'_>, lists: &mut Lists) {
        // Of processes the dialect has their ids and containers.
        let Annotation { process: _, nat, names: _, route, other_end, intra_host } = annotation;
        let Self { key, sums } = self;
        lists.name(key.remote.ip, annotation);
        sums.nat = *nat;
        sums.route = route.as_ref().and_then(of_route);
        sums.intra_host = *intra_host;
        let other_owner = other_end.as_ref().and_then(|end| end.owner.as_deref());
        sums.other_container = other_owner.and_then(|owner| owner.container);
        if let Some(other_end) = other_end
            && key.direction == ConnectionDirection::Unspecified
        {
            key.direction = ConnectionDirection::from(other_end.direction).opposite();
        }
    }
}

/// What is counted of everything with one key.
#[derive(Debug, Default)]
pub(super) struct Sums<'a> {
    pub(super) counters: Counters,
    pub(super) rtt_us: Mean,
    pub(super) rttvar_us: Mean,
    /// How many were established since the last answer.
    pub(super) established: u64,
    /// How many were closed since the last answer.
    pub(super) closed: u64,
    pub(super) failures: Failures,
    /// True when one of them agreed on congestion marks with the other end.
    pub(super) ecn_negotiated: bool,
    /// True when the other end of one of them is on this host.
    pub(super) intra_host: bool,
    /// The container of the process, of which the key has the id; of several the first.
    pub(super) container: Option<ContainerId>,
    /// The container of the other end, where that is on this host; of several the first.
    pub(super) other_container: Option<ContainerId>,
    /// How addresses are translated; of several the first.
    pub(super) nat: Option<Nat>,
    /// The interface towards the next router; of several the first.
    pub(super) route: Option<[u8; 6]>,
    /// What came of lookups through it.
    pub(super) lookups: Vec<&'a LookupSum>,
}

impl Sums<'_> {
    /// True when the reader learns nothing from them: facts that are no counts come along with news, and are none.
    pub(super) fn is_empty(&self) -> bool {
        let Self {
            counters,
            rtt_us: _,
            rttvar_us: _,
            established,
            closed,
            failures,
            ecn_negotiated: _,
            intra_host: _,
            container: _,
            other_container: _,
            nat: _,
            route: _,
            lookups,
        } = self;
        *counters == Counters::default()
            && *established == 0
            && *closed == 0
            && failures.0.is_empty()
            && lookups.is_empty()
    }

    pub(super) fn add(&mut self, other: Self) {
        let Self {
            counters,
            rtt_us,
            rttvar_us,
            established,
            closed,
            failures,
            ecn_negotiated,
            intra_host,
            container,
            other_container,
            nat,
            route,
            lookups,
        } = other;
        self.counters = self.counters.plus(counters);
        self.rtt_us.add(rtt_us);
        self.rttvar_us.add(rttvar_us);
        self.established = self.established.saturating_add(established);
        self.closed = self.closed.saturating_add(closed);
        for (errno, count) in failures.0 {
            self.failures.add(errno, u64::from(count));
        }
        self.ecn_negotiated |= ecn_negotiated;
        self.intra_host |= intra_host;
        self.container = self.container.or(container);
        self.other_container = self.other_container.or(other_container);
        self.nat = self.nat.or(nat);
        self.route = self.route.or(route);
        self.lookups.extend(lookups);
    }
}

/// The mean of the samples that there are.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Mean {
    sum: u64,
    samples: u32,
}

impl Mean {
    pub(super) fn of(sample: Option<u32>) -> Self {
        sample.map_or_else(Self::default, |sample| Self { sum: sample.into(), samples: 1 })
    }

    fn add(&mut self, other: Self) {
        self.sum = self.sum.saturating_add(other.sum);
        self.samples = self.samples.saturating_add(other.samples);
    }

    /// Rounded down; 0 without a sample.
    pub(super) fn value(self) -> u32 {
        narrow(self.sum.checked_div(self.samples.into()).unwrap_or(0))
    }
}

/// How often which errno ended connections, each errno once, the smallest first. A failure without errno has no place
/// here.
#[derive(Debug, Default)]
pub(super) struct Failures(Vec<(u16, u32)>);

impl Failures {
    /// How often each errno struck.
    pub(super) fn by_errno(&self) -> BTreeMap<u32, u32> {
        self.0.iter().map(|(errno, count)| (u32::from(*errno), *count)).collect()
    }

    pub(super) fn add(&mut self, errno: u16, count: u64) {
        match self.0.binary_search_by_key(&errno, |(errno, _)| *errno) {
            Ok(place) => {
                if let Some((_, sum)) = self.0.get_mut(place) {
                    *sum = sum.saturating_add(narrow(count));
                }
            }
            Err(place) => self.0.insert(place, (errno, narrow(count))),
        }
    }
}

/// The nearest that 32 bits hold.
pub(super) fn narrow(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mean_is_of_those_that_have_a_sample() {
        let mut mean = Mean::of(Some(10));
        mean.add(Mean::of(None));
        mean.add(Mean::of(Some(21)));
        assert_eq!((mean.value(), Mean::of(None).value()), (15, 0));
    }

    #[test]
    fn the_mean_of_large_samples_is_not_cut_off() {
        let mut mean = Mean::of(Some(u32::MAX));
        mean.add(Mean::of(Some(u32::MAX)));
        assert_eq!(mean.value(), u32::MAX);
    }

    #[test]
    fn failures_with_one_errno_are_counted_together() {
        let mut failures = Failures::default();
        for (errno, count) in [(111, 2), (13, 1), (111, 3), (104, u64::MAX), (104, 1)] {
            failures.add(errno, count);
        }
        assert_eq!(failures.0, [(13, 1), (104, u32::MAX), (111, 5)]);
    }
}
