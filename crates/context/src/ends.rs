//! The other end of a connection, where that is on this host too.
//!
//! Owns what makes two connections the two ends of one, and for how long ends are remembered. Learns of them from who owns
//! the state, and has no other source.

mod addresses;
mod lifetime;
mod names;
mod owners;
mod table;

use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;

use connections::{Annotation, Connection, ConnectionId, Direction, End, Nat, OtherEnd, Owner, Shared};

use crate::address_bits::{bits, is_loopback, stays_inside};
use crate::batch::{AT_ONCE, Question, fetch_each};
use crate::lent::Lendable;
use lifetime::Lifetime;
use names::{NONE, Place, opposite};
use table::{By, Known, Table};

/// How many ends are remembered: each 40 bytes, and 15 to 34 in the indexes. At the default limits 16.4 MiB: 229 376 times 40
/// bytes, three indexes of 524 288 times 5 bytes, and 4 bytes for each that has ended. The indexes have half of that until
/// ends have come and gone. The index of tuples is two, for ends with a global id and for those without: where all of them
/// were of one kind, and later of the other, it is 2.5 MiB more. An owner takes 150 bytes more, once for all of its ends, and
/// the addresses of ends 8 KiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EndLimits {
    /// Ends that live. Further ones are not found while they live.
    pub live: usize,
    /// Ends that have ended. The one that ended first is forgotten for the next.
    pub ended: usize,
}

/// How much is remembered, and what was not, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct EndCounts {
    /// Ends that live.
    pub live: usize,
    /// Ends that have ended and are remembered.
    pub ended: usize,
    /// Times that an end was told for which there was no room.
    pub refused: u64,
    /// Ended ones that were forgotten for others.
    pub forgotten: u64,
    /// Ends of which there were too many with the same addresses and ports: one of them is not found.
    pub crowded: u64,
}

/// What is known of the other end of a connection.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Found<'a> {
    /// The other end; absent also where it could be one of several that are not of one process in one namespace.
    pub other_end: Option<OtherEnd<'a>>,
    /// The other end is on this host: addresses say so, or one or several were found.
    pub intra_host: bool,
}

/// The ends of connections on this host.
#[derive(Debug)]
pub struct Ends {
    table: Mutex<Table>,
    /// How many wait to take note: a mutex alone would let those who look again and again go first.
    noting: AtomicU32,
}

impl Default for EndLimits {
    fn default() -> Self {
        Self { live: 196_608, ended: 32_768 }
    }
}

impl Ends {
    /// Remembers so many.
    #[must_use]
    pub fn new(limits: EndLimits) -> Self {
        Self { table: Mutex::new(Table::new(limits)), noting: AtomicU32::new(0) }
    }

    /// Takes note of connections that are new, have ended, or have another owner, direction, tuple or global id: less than
    /// a microsecond for each. It waits for who looks, not longer than that takes for 64 connections.
    pub fn note(&self, ends: &[End]) {
        self.noting.fetch_add(1, Ordering::Relaxed);
        let mut table = self.table();
        self.noting.fetch_sub(1, Ordering::Relaxed);
        ends.iter().for_each(|end| table.note(&end.connection, end.ended));
    }

    /// What is known of the other end of each, in the same order. With a translation the other end is also looked for by
    /// the translated addresses.
    #[must_use]
    pub fn find(&self, asked: &[(&Connection, Option<Nat>)]) -> Vec<Found<'static>> {
        let questions: Vec<_> = asked.iter().map(|(connection, _)| Question::of(connection)).collect();
        let with = |nat: &Option<Nat>| Annotation { nat: *nat, ..Annotation::default() };
        let mut known: Vec<_> = asked.iter().map(|(_, nat)| with(nat)).collect();
        for (questions, known) in questions.chunks(AT_ONCE).zip(known.chunks_mut(AT_ONCE)) {
            self.fill(questions, known, |owner| owner.counted().into());
        }
        let found = |known| {
            let Annotation { other_end, intra_host, .. } = known;
            Found { other_end, intra_host }
        };
        known.into_iter().map(found).collect()
    }

    /// The same for a batch of which the translations are filled in.
    pub(crate) fn fill<'a>(
        &self,
        questions: &[Question<'_>],
        known: &mut [Annotation<'a>],
        lend: impl Fn(&Lendable<Owner>) -> Shared<'a, Owner>,
    ) {
        while self.noting.load(Ordering::Relaxed) > 0 {
            thread::yield_now();
        }
        let table = self.table();
        let others = table.prepare(questions);
        for ((question, known), other) in questions.iter().zip(known).zip(&others) {
            known.intra_host = stays_inside(question.local, question.remote);
            // The other end of most is elsewhere. Of one with an id it was not looked for by its tuple.
            let by_tuple = || other.by_id != NONE && table.addresses.may_have(question.remote);
            if other.first.is_some() || known.nat.is_some() || by_tuple() {
                let found = table.find(question, known.intra_host, known.nat.as_ref(), other, &lend);
                (known.other_end, known.intra_host) = (found.other_end, found.intra_host);
            }
        }
    }

    /// How much is remembered, and what was not.
    #[must_use]
    pub fn counts(&self) -> EndCounts {
        self.table().counts
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// By what the other end of a connection is found at first: by its global id, or by its tuple where it has none.
#[derive(Clone, Copy)]
struct OfOther<'a> {
    by_id: u64,
    /// Of one without a global id; [`NONE`] where no end has the address of the other one.
    mirrored: u64,
    /// The first that may be found.
    first: Option<&'a Known>,
}

impl Table {
    /// By what the other ends of these are found. Reads what is read to find them.
    fn prepare(&self, questions: &[Question<'_>]) -> [OfOther<'_>; AT_ONCE] {
        let mut all = [OfOther { by_id: NONE, mirrored: NONE, first: None }; AT_ONCE];
        let others = &mut all[..questions.len()];
        for (other, question) in others.iter_mut().zip(questions) {
            let id = question.connection.global_id;
            other.by_id = self.names.of_global(id, opposite(question.direction));
            // What is found by its id is not looked for by its tuple.
            if other.by_id == NONE {
                other.mirrored = self.mirrored_of(question);
            }
        }
        for other in &mut *others {
            other.first = match other.by_id {
                NONE => {
                    let named = self.first(By::TupleOfNamed, other.mirrored);
                    named.or_else(|| self.first(By::Tuple, other.mirrored))
                }
                by_id => self.first(By::Global, by_id),
            };
        }
        let first = others.iter().map(|other| other.first);
        fetch_each(first, |known| Some(known.id ^ u64::from(self.owners.get(known.owner)?.fetch())));
        all
    }

    fn mirrored_of(&self, question: &Question<'_>) -> u64 {
        let local = Place { address: question.local, port: question.local_port };
        let remote = Place { address: question.remote, port: question.remote_port };
        self.mirrored(question, local, remote)
    }

    /// The name of the other end of a connection that has these ends there; [`NONE`] where no end on this host has the remote
    /// address, which is so of most connections.
    fn mirrored(&self, question: &Question<'_>, local: Place, remote: Place) -> u64 {
        match self.addresses.may_have(remote.address) {
            true => self.names.of_tuple(question.protocol, question.netns, remote, local),
            false => NONE,
        }
    }

    /// The ends with this tuple that can be the other one of a connection that has a global id, or has none: two ids that
    /// differ are two connections, however alike the tuples are.
    fn by_tuple(&self, name: u64, has_id: bool) -> impl Iterator<Item = &Known> {
        let named = if has_id { NONE } else { name };
        self.alike(By::Tuple, name).chain(self.alike(By::TupleOfNamed, named))
    }

    fn find<'a>(
        &self,
        question: &Question<'_>,
        inside: bool,
        nat: Option<&Nat>,
        other: &OfOther<'_>,
        lend: &impl Fn(&Lendable<Owner>) -> Shared<'a, Owner>,
    ) -> Found<'a> {
        let connection = question.connection;
        let mut candidates = Candidates { table: self, of: connection.id, id: None, first: None };
        // Times do not matter here: one whose beginning was missed is known since later than it lived.
        let by_id = if other.first.is_some() { other.by_id } else { NONE };
        self.alike(By::Global, by_id).for_each(|known| candidates.consider(known));
        if candidates.first.is_none() {
            let has_id = other.by_id != NONE;
            let mirrored = match other.first {
                _ if has_id => self.mirrored_of(question),
                Some(_) => other.mirrored,
                None => NONE,
            };
            let translated =
                nat.map_or(NONE, |nat| self.mirrored(question, nat.local.into(), nat.remote.into()));
            if (mirrored, translated) != (NONE, NONE) {
                self.find_by_tuple(connection, inside, has_id, [mirrored, translated], &mut candidates);
            }
        }
        let here = |nat: &Nat| {
            let (local, remote) = (bits(nat.local.ip()), bits(nat.remote.ip()));
            is_loopback(remote) || stays_inside(local, remote)
        };
        Found {
            intra_host: inside || candidates.first.is_some() || nat.is_some_and(here),
            other_end: candidates.first.filter(|chosen| !chosen.contradicted).map(|chosen| OtherEnd {
                netns: chosen.known.netns,
                owner: self.owners.get(chosen.known.owner).map(lend),
                direction: chosen.direction.unwrap_or(Direction::Unknown),
            }),
        }
    }

    fn find_by_tuple<'a>(
        &'a self,
        connection: &Connection,
        inside: bool,
        has_id: bool,
        [mirrored, translated]: [u64; 2],
        candidates: &mut Candidates<'a>,
    ) {
        // A later connection with the same addresses and ports is another one.
        let lifetime = Lifetime::of(connection);
        let met = |known: &&Known| known.lifetime.overlaps(lifetime);
        let here = |known: &&Known| !inside || known.netns == connection.tuple.netns;
        let alike = self.by_tuple(mirrored, has_id).filter(here).filter(met);
        alike.for_each(|known| candidates.consider(known));
        // Which namespace translated addresses are of is not known: not always that of the socket.
        if translated != mirrored {
            let alike = self.by_tuple(translated, has_id).filter(met);
            alike.for_each(|known| candidates.consider(known));
        }
    }
}

/// The ends that can be the other one of a connection.
struct Candidates<'a> {
    table: &'a Table,
    /// The connection itself, and its name once it is needed: most have no other end here.
    of: ConnectionId,
    id: Option<u64>,
    first: Option<Chosen<'a>>,
}

/// The first that was found, and what others say.
#[derive(Clone, Copy)]
struct Chosen<'a> {
    known: &'a Known,
    /// Another one is of another process or namespace.
    contradicted: bool,
    /// The direction that those have which have one; absent where they differ.
    direction: Option<Direction>,
}

impl<'a> Candidates<'a> {
    fn consider(&mut self, known: &'a Known) {
        // None is its own other end.
        let id = *self.id.get_or_insert_with(|| self.table.names.of_connection(self.of));
        if known.id == id {
            return;
        }
        let direction = known.direction();
        let Some(chosen) = &mut self.first else {
            self.first = Some(Chosen { known, contradicted: false, direction: Some(direction) });
            return;
        };
        let same_process = self.table.owners.same_process(chosen.known.owner, known.owner);
        chosen.contradicted |= chosen.known.netns != known.netns || !same_process;
        chosen.direction = match (chosen.direction, direction) {
            (Some(Direction::Unknown), direction) => Some(direction),
            (Some(known), Direction::Unknown) => Some(known),
            (Some(known), direction) if known == direction => Some(known),
            _ => None,
        };
    }
}
