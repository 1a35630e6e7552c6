//! The names of addresses, who asked for them, and how long all of that is kept.
//!
//! Where the names come from is the business of `lookups`.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use connections::{Annotation, KernelTime};

use super::DnsLimits;
use super::moment::Moment;
use crate::address_bits::{self, bits};
use crate::batch::{Question, fetch_each};
use crate::by_use::{ByUse, Place};
use crate::lent::{Lendable, Lender};

/// Processes that are remembered of each name, those that asked last.
const ASKERS_MAX: usize = 4;

/// The names of addresses, as answers to queries of this host gave them.
///
/// A name is fresh for as long as its answer said, but at least for a minute and at most for a day; and then it stays, as an
/// older one, as long as there is room: a connection that began while a name was fresh outlives it often. At each address
/// older names make room first, those longest not given; of the addresses those go that were longest neither given nor
/// looked at. So the name of a connection that somebody looks at stays.
///
/// Addresses are those of the host: the same private address in two network namespaces is one.
///
/// At the limit of 49 152 addresses with a name of 40 bytes each, this takes 12.2 MiB of the allocator: 260 bytes for each, of
/// which 112 are for the address, 56 for the name, and the rest for the list and the indices. Where each has a name that was
/// asked for and what that is an alias of, there is room for half of the addresses.
#[derive(Debug)]
pub struct Names {
    kept: Mutex<Kept>,
}

/// What became of names until now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct NamesCounts {
    /// Addresses that have a name.
    pub addresses: usize,
    /// Their names, each as often as there are addresses with it.
    pub names: usize,
    /// Addresses that made room for others.
    pub addresses_dropped: u64,
    /// Names that made room for others of the same address.
    pub names_dropped: u64,
}

/// One name of an address, for those who want to see all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownName<'a> {
    /// The name.
    pub name: &'a Arc<str>,
    /// False when it is older than its answer said.
    pub fresh: bool,
    /// When the last answer gave it, to a tenth of a second.
    pub answered_at: KernelTime,
    /// The processes that asked for it, at most four, the one that was answered last first.
    pub askers: Vec<u32>,
}

/// A name that an answer gave.
pub(super) struct Told<'a> {
    /// The name that was asked for.
    pub(super) asked: &'a Arc<str>,
    /// What it is an alias of.
    pub(super) canonical: Option<&'a Arc<str>>,
    /// For how many seconds the answer holds.
    pub(super) ttl_seconds: u32,
    /// Who asked; 0 where that is not known.
    pub(super) pid: u32,
    /// When the answer came.
    pub(super) at: KernelTime,
}

#[derive(Debug)]
struct Kept {
    /// By the bits of the address. IPv4 is kept as mapped IPv6: that is smaller than either of the two.
    addresses: ByUse<u128, Entry>,
    addresses_max: usize,
    names_max: usize,
    names_of_address_max: usize,
    counts: NamesCounts,
    /// The number of the last answer; begins anew after the greatest.
    last: Number,
}

/// Answers in their order. Times would need twice the room: several answers come within a tenth of a second.
type Number = u32;

/// The names of one address, the last given first, and for each what else is known. There is always a first. Most look-ups
/// read no more than this, which is in one line of the cache with the address.
#[derive(Debug)]
struct Entry {
    names: Lendable<[Arc<str>]>,
    facts: Box<[Facts]>,
}

#[derive(Debug, Clone, Copy)]
struct Facts {
    fresh_until: Moment,
    answered_at: Moment,
    /// With the last answer that each got. The last one first; the rest are 0.
    askers: [(u32, Number); ASKERS_MAX],
}

/// All names, held while a batch of connections is looked at. Nobody tells names meanwhile, so it should not be held
/// longer.
#[derive(Debug)]
pub struct Look<'a>(MutexGuard<'a, Kept>);

impl Names {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(limits: &DnsLimits) -> Self {
        Self {
            kept: Mutex::new(Kept {
                // One more is there before one makes room for it.
                addresses: ByUse::new(limits.addresses.saturating_add(1)),
                addresses_max: limits.addresses.max(1),
                names_max: limits.names.max(2),
                names_of_address_max: limits.names_of_address.max(2),
                counts: NamesCounts::default(),
                last: 0,
            }),
        }
    }

    /// Holds all names, for a batch of connections.
    #[must_use]
    pub fn look(&self) -> Look<'_> {
        // What is kept is whole between any two steps of who panicked.
        Look(self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// What became of names until now.
    #[must_use]
    pub fn counts(&self) -> NamesCounts {
        let kept = self.look().0;
        NamesCounts { addresses: kept.addresses.len(), ..kept.counts }
    }

    /// Tells all addresses with all their names, those of an address one after the other and the last given first. Nothing
    /// counts as used by it, and no name can be told meanwhile: it takes some milliseconds at the limit, and what `tell` takes.
    pub fn each(&self, now: KernelTime, mut tell: impl FnMut(IpAddr, KnownName<'_>)) {
        let now = Moment::of(now);
        for (address, entry) in self.look().0.addresses.iter() {
            for (name, facts) in entry.names.iter().zip(&entry.facts) {
                let askers = facts.askers.iter().map(|(pid, _)| *pid).filter(|pid| *pid != 0);
                let known = KnownName {
                    name,
                    fresh: now <= facts.fresh_until,
                    answered_at: facts.answered_at.time(),
                    askers: askers.collect(),
                };
                tell(address_bits::address(*address), known);
            }
        }
    }
}

impl Look<'_> {
    /// The names of an address: first those that this process asked for, the one that it asked for last before the others;
    /// then the rest, the last given first. What it was asked for stands before what that is an alias of. `None` when none is
    /// known. Of two processes that had the same id one after the other, both asked.
    ///
    /// The address counts as used. Takes about 20 ns, and allocates only where the order is not that of the last look-ups.
    #[must_use]
    pub fn of(&self, address: IpAddr, pid: u32) -> Option<Arc<[Arc<str>]>> {
        let entry = self.0.addresses.used(self.0.addresses.get(&bits(address))?)?;
        Some(entry.ordered_for(pid, self.0.last).unwrap_or_else(|| entry.names.counted()))
    }

    /// [`of`](Self::of) for the remote ends of a batch of connections and the processes that own them.
    pub(crate) fn fill<'k>(
        &self,
        questions: &[Question<'_>],
        known: &mut [Annotation<'k>],
        lender: &'k Lender<[Arc<str>]>,
    ) {
        let kept = &*self.0;
        let first = kept.addresses.first_each(questions, |question| question.remote);
        fetch_each(first, Place::fetch);
        for ((question, first), known) in questions.iter().zip(&first).zip(known) {
            let place = first.and_then(|first| kept.addresses.is_at(first, &question.remote));
            if let Some(entry) = place.and_then(|place| kept.addresses.used(place)) {
                let ordered = entry.ordered_for(question.pid, kept.last);
                known.names = Some(ordered.map_or_else(|| lender.lend(&entry.names), Into::into));
            }
        }
    }

    pub(super) fn tell(&mut self, address: IpAddr, told: &Told<'_>) {
        let kept = &mut *self.0;
        // Who answers with these says that there is no address.
        if address.is_unspecified() {
            return;
        }
        let key = bits(address);
        kept.last = kept.last.wrapping_add(1);
        if let Some(entry) = kept.addresses.get_mut(&key) {
            let before = entry.names.len();
            kept.counts.names_dropped += entry.add(told, kept.last, kept.names_of_address_max);
            kept.counts.names = kept.counts.names - before + entry.names.len();
        } else {
            let entry = Entry::new(told, kept.last);
            kept.counts.names += entry.names.len();
            kept.addresses.insert(key, entry);
        }
        kept.make_room();
    }
}

impl Kept {
    /// Forgets the addresses that were longest not used, but never the last one.
    fn make_room(&mut self) {
        let is_over = |kept: &Self| {
            kept.addresses.len() > kept.addresses_max
                || kept.counts.names > kept.names_max && kept.addresses.len() > 1
        };
        while is_over(self) {
            let Some(entry) = self.addresses.take_oldest() else { return };
            self.counts.names -= entry.names.len();
            self.counts.addresses_dropped += 1;
        }
    }
}

impl Entry {
    fn new(told: &Told<'_>, number: Number) -> Self {
        let facts = Facts::new(told, number);
        match told.canonical {
            None => Self { names: names([told.asked.clone()]), facts: Box::new([facts]) },
            Some(canonical) => Self {
                names: names([told.asked.clone(), canonical.clone()]),
                facts: Box::new([facts, facts]),
            },
        }
    }

    /// Adds names, or moves them to the front. How many others made room.
    fn add(&mut self, told: &Told<'_>, number: Number, names_max: usize) -> u64 {
        if self.begins_with(told) {
            // Answers are repeated more often than they change.
            let given = if told.canonical.is_some() { 2 } else { 1 };
            self.facts[..given].iter_mut().for_each(|facts| facts.again(told, number));
            return 0;
        }
        let mut all: Vec<_> = self.names.iter().cloned().zip(self.facts.iter().copied()).collect();
        // The one that was asked for comes last, and so to the front.
        for name in told.canonical.into_iter().chain([told.asked]) {
            let found = all.iter().position(|(known, _)| **known == **name);
            let mut one =
                found.map_or_else(|| (name.clone(), Facts::new(told, number)), |place| all.remove(place));
            one.1.again(told, number);
            all.insert(0, one);
        }
        let mut dropped = 0;
        while all.len() > names_max {
            let now = Moment::of(told.at);
            let older = all.iter().rposition(|(_, facts)| facts.fresh_until < now);
            all.remove(older.unwrap_or(all.len() - 1));
            dropped += 1;
        }
        self.facts = all.iter().map(|(_, facts)| *facts).collect();
        self.names = names(all.into_iter().map(|(name, _)| name).collect::<Vec<_>>());
        dropped
    }

    /// True when these are the names given last already.
    fn begins_with(&self, told: &Told<'_>) -> bool {
        let names = [Some(told.asked), told.canonical];
        let mut known = self.names.iter();
        names.into_iter().flatten().all(|name| known.next() == Some(name))
    }

    /// In the order of this process, when that is another one. `last` is the number of the last answer.
    fn ordered_for(&self, pid: u32, last: Number) -> Option<Arc<[Arc<str>]>> {
        // One name has one order.
        if self.facts.len() == 1 || pid == 0 { None } else { self.ordered(pid, last) }
    }

    fn ordered(&self, pid: u32, last: Number) -> Option<Arc<[Arc<str>]>> {
        // Who did not ask comes after all who did. Equal ones stay as they are.
        let order = |facts: &Facts| facts.answers_since(pid, last).map_or(u64::MAX, u64::from);
        if self.facts.iter().is_sorted_by_key(order) {
            return None;
        }
        let mut all: Vec<_> = self.names.iter().zip(&self.facts).collect();
        all.sort_by_key(|(_, facts)| order(facts));
        Some(all.into_iter().map(|(name, _)| name.clone()).collect())
    }
}

fn names(names: impl Into<Arc<[Arc<str>]>>) -> Lendable<[Arc<str>]> {
    names.into().into()
}

impl Facts {
    fn new(told: &Told<'_>, number: Number) -> Self {
        let mut facts = Self {
            fresh_until: Moment::default(),
            answered_at: Moment::default(),
            askers: Default::default(),
        };
        facts.again(told, number);
        facts
    }

    /// It was given again.
    fn again(&mut self, told: &Told<'_>, number: Number) {
        let at = Moment::of(told.at);
        self.fresh_until = self.fresh_until.max(at.after_ttl(told.ttl_seconds));
        self.answered_at = self.answered_at.max(at);
        if told.pid == 0 {
            return;
        }
        let known = self.askers.iter().position(|(pid, _)| *pid == told.pid);
        self.askers[..=known.unwrap_or(ASKERS_MAX - 1)].rotate_right(1);
        self.askers[0] = (told.pid, number);
    }

    /// How many answers there were since this process was last answered with the name.
    fn answers_since(&self, pid: u32, last: Number) -> Option<Number> {
        self.askers.iter().find(|(asker, _)| *asker == pid).map(|(_, number)| last.wrapping_sub(*number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_most_look_ups_read_is_in_one_line_of_the_cache() {
        assert_eq!(size_of::<Place<u128, Entry>>(), 64);
    }
}
