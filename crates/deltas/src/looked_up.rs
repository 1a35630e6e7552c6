//! What came of lookups of names, kept until every client has been told: one copy for all clients, added up by connection,
//! name and type of query.
//!
//! Owns the limit of that, and what it means that a sum belongs to one interval of a client. Does not know how answers were
//! matched with queries.

use std::collections::HashMap;
use std::sync::Arc;

use connections::{ConnectionId, Lookup, LookupOutcome, Tuple};
use foldhash::fast::RandomState;

use crate::log::{Log, Slice};

/// What came of all lookups of one name and type through one connection, in one interval. 160 bytes, and 16 for each response
/// code; names are shared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LookupSum {
    /// The connection, where it is known.
    pub connection: Option<ConnectionId>,
    /// Its ends, seen from the one that asked.
    pub tuple: Tuple,
    /// The process that asked; 0 where it is not known.
    pub pid: u32,
    /// The name that was asked for.
    pub domain: Arc<str>,
    /// The type of record that was asked for, by its number.
    pub query_type: u16,
    /// Queries that got no answer in time.
    pub timed_out: u64,
    /// From query to answer, of all that succeeded together, in nanoseconds.
    pub success_latency_ns: u64,
    /// The same of those that failed.
    pub failure_latency_ns: u64,
    /// Answers by response code, the smallest first; code 0 is success.
    pub by_rcode: Vec<(u16, u64)>,
}

/// The lookups of an answer. What it tells does not change.
#[derive(Debug, Clone, Default)]
pub struct Lookups {
    kept: Slice<LookupSum>,
    listed: Vec<LookupSum>,
}

/// Sums of lookups in the order in which they began.
#[derive(Debug)]
pub(crate) struct LookedUp {
    log: Log<LookupSum>,
    /// Positions of those to which lookups can be added: whoever was not told of one was told of none of its lookups.
    open: HashMap<Key, u64, RandomState>,
    sums_max: usize,
}

/// What lookups have in common that are told together.
type Key = (Option<ConnectionId>, Tuple, Arc<str>, u16);

impl LookedUp {
    pub(crate) fn new(sums_max: usize) -> Self {
        Self { log: Log::default(), open: HashMap::default(), sums_max: sums_max.max(1) }
    }

    /// Adds a lookup. Gives the position of a sum that had to go for it, and how many lookups were in that.
    pub(crate) fn keep(&mut self, lookup: &Lookup) -> Option<(u64, u64)> {
        let Lookup { connection, tuple, pid, domain, query_type, outcome } = lookup;
        let key = (*connection, *tuple, Arc::clone(domain), *query_type);
        if let Some(sum) = self.open.get(&key).and_then(|position| self.log.get_mut(*position)) {
            sum.add(*outcome);
            return None;
        }
        let lost = self.make_room();
        let mut sum = LookupSum {
            connection: *connection,
            tuple: *tuple,
            pid: *pid,
            domain: Arc::clone(domain),
            query_type: *query_type,
            timed_out: 0,
            success_latency_ns: 0,
            failure_latency_ns: 0,
            by_rcode: Vec::new(),
        };
        sum.add(*outcome);
        self.open.insert(key, self.log.append(sum));
        lost.map(|(position, sum)| (position, sum.count()))
    }

    /// At the limit, gives the oldest sum up.
    fn make_room(&mut self) -> Option<(u64, LookupSum)> {
        if self.log.len() < self.sums_max {
            return None;
        }
        let (position, sum) = self.log.take_first()?;
        // Nothing can be added to it any more. Another one with its key may be open since then.
        let LookupSum { connection, tuple, domain, query_type, .. } = &sum;
        let key = (*connection, *tuple, Arc::clone(domain), *query_type);
        if self.open.get(&key) == Some(&position) {
            self.open.remove(&key);
        }
        Some((position, sum))
    }

    /// Some client was told what there is, or begins here: what comes belongs to other sums.
    pub(crate) fn seal(&mut self) {
        self.open.clear();
        // As large as the last crowd.
        self.open.shrink_to(1024);
    }

    /// The position after the last sum.
    pub(crate) fn end(&self) -> u64 {
        self.log.end()
    }

    /// What a client is to be told that was told what is before `position`.
    pub(crate) fn from(&self, position: u64) -> Lookups {
        Lookups { kept: self.log.from(position), listed: Vec::new() }
    }

    /// Every client was told what is before `position`.
    pub(crate) fn trim(&mut self, position: u64) {
        self.log.trim(position);
    }

    /// Sums that are kept.
    pub(crate) fn len(&self) -> usize {
        self.log.len()
    }
}

impl LookupSum {
    fn add(&mut self, outcome: LookupOutcome) {
        let LookupOutcome::Answered { rcode, latency_ns } = outcome else {
            self.timed_out += 1;
            return;
        };
        let latency = if rcode == 0 { &mut self.success_latency_ns } else { &mut self.failure_latency_ns };
        *latency = latency.saturating_add(latency_ns);
        match self.by_rcode.binary_search_by_key(&rcode, |(code, _)| *code) {
            Ok(place) => self.by_rcode.get_mut(place).into_iter().for_each(|(_, count)| *count += 1),
            Err(place) => self.by_rcode.insert(place, (rcode, 1)),
        }
    }

    /// Answers that say that the lookup succeeded.
    #[must_use]
    pub fn succeeded(&self) -> u64 {
        self.by_rcode.iter().filter(|(rcode, _)| *rcode == 0).map(|(_, count)| count).sum()
    }

    /// Answers that say that it failed.
    #[must_use]
    pub fn failed(&self) -> u64 {
        self.by_rcode.iter().filter(|(rcode, _)| *rcode != 0).map(|(_, count)| count).sum()
    }

    /// All lookups.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.timed_out + self.succeeded() + self.failed()
    }
}

impl Lookups {
    /// Each sum, in the order in which they began.
    pub fn iter(&self) -> impl Iterator<Item = &LookupSum> {
        self.kept.iter().map(|(_, sum)| sum).chain(&self.listed)
    }

    /// True when there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.iter().next().is_none()
    }

    /// The memory that they share with all others of one moment, in bytes.
    pub(crate) fn shared_bytes(&self) -> usize {
        self.kept.bytes()
    }
}

impl From<Vec<LookupSum>> for Lookups {
    fn from(listed: Vec<LookupSum>) -> Self {
        Self { listed, ..Self::default() }
    }
}

#[cfg(test)]
mod tests {
    use connections::{KernelTime, Protocol};

    use super::*;

    fn lookup(number: u64) -> Lookup {
        let end = |port| ([10, 0, 0, 1], port).into();
        Lookup {
            connection: Some(ConnectionId { cookie: number, claimed_at: KernelTime(1) }),
            tuple: Tuple { protocol: Protocol::Udp, netns: 1, local: end(4000), remote: end(53) },
            pid: 7,
            domain: "a.example".into(),
            query_type: 1,
            outcome: LookupOutcome::TimedOut,
        }
    }

    /// What nobody fetches for an hour may be very many.
    #[test]
    fn what_is_given_up_leaves_nothing_behind() {
        let mut looked_up = LookedUp::new(4);
        for number in 0..1000 {
            let lost = looked_up.keep(&lookup(number));
            assert_eq!(lost, number.checked_sub(4).map(|first| (first, 1)));
        }
        assert_eq!((looked_up.len(), looked_up.open.len()), (4, 4));
        assert_eq!(looked_up.keep(&lookup(0)), Some((996, 1)), "it begins anew");
        assert_eq!(looked_up.keep(&lookup(999)), None, "it is open still");
    }
}
