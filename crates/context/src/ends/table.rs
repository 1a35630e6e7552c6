//! The ends that are known, found by their names.
//!
//! Owns what is kept of an end and for how long. Does not know which of several that are found is the right one.

use std::collections::VecDeque;

use connections::{Connection, Direction};
use hashbrown::HashTable;

use super::addresses::Addresses;
use super::lifetime::Lifetime;
use super::names::{FREE_BITS, NONE, Names};
use super::owners::{NOBODY, Owners};
use super::{EndCounts, EndLimits};
use crate::address_bits::bits;

/// So many ends are found by one name. More would need the same addresses and ports in as many namespaces, or as often
/// within the time for which ended ones are remembered, and to look through them would take long.
const ALIKE_MAX: usize = 16;

const DIRECTION: u64 = 0b011;
const ENDED: u64 = 0b100;

/// One end.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    /// The name of its connection; [`NONE`] of an ended one that was forgotten early.
    pub(super) id: u64,
    /// Its name by tuple, and its direction and whether it has ended in the free bits.
    tuple: u64,
    /// Its name by global id.
    pub(super) global: u64,
    pub(super) netns: u32,
    pub(super) owner: u32,
    pub(super) lifetime: Lifetime,
}

/// By which of its names an end is looked for.
#[derive(Debug, Clone, Copy)]
pub(super) enum By {
    Connection,
    /// Of those that have no global id.
    Tuple,
    /// Of those that have one, which need not be looked at for another that has one too.
    TupleOfNamed,
    Global,
}

/// Up to `live` and `ended` ends.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) names: Names,
    pub(super) owners: Owners,
    /// Local addresses of all ends that were told.
    pub(super) addresses: Addresses,
    limits: EndLimits,
    pub(super) counts: EndCounts,
    known: Vec<Known>,
    free: Vec<u32>,
    by_connection: HashTable<u32>,
    by_tuple: HashTable<u32>,
    by_tuple_of_named: HashTable<u32>,
    by_global: HashTable<u32>,
    /// The places of those that have ended, in the order in which that was told.
    ended: VecDeque<u32>,
}

impl Known {
    pub(super) fn direction(&self) -> Direction {
        match self.tuple & DIRECTION {
            1 => Direction::Incoming,
            2 => Direction::Outgoing,
            _ => Direction::Unknown,
        }
    }

    fn has_ended(&self) -> bool {
        self.tuple & ENDED != 0
    }

    fn name(&self, by: By) -> u64 {
        match by {
            By::Connection => self.id,
            By::Tuple | By::TupleOfNamed => self.tuple & !FREE_BITS,
            By::Global => self.global,
        }
    }

    /// How it is found by its tuple.
    fn by_tuple(&self) -> By {
        if self.global == NONE { By::Tuple } else { By::TupleOfNamed }
    }

    fn forget_name(&mut self, by: By) {
        match by {
            By::Connection => self.id = NONE,
            By::Tuple | By::TupleOfNamed => self.tuple &= FREE_BITS,
            By::Global => self.global = NONE,
        }
    }
}

impl Table {
    pub(super) fn new(limits: EndLimits) -> Self {
        Self {
            names: Names::default(),
            owners: Owners::default(),
            addresses: Addresses::default(),
            limits,
            counts: EndCounts::default(),
            known: Vec::new(),
            free: Vec::new(),
            by_connection: HashTable::new(),
            by_tuple: HashTable::new(),
            by_tuple_of_named: HashTable::new(),
            by_global: HashTable::new(),
            ended: VecDeque::new(),
        }
    }

    /// The ends with this name, at most [`ALIKE_MAX`].
    pub(super) fn alike(&self, by: By, name: u64) -> impl Iterator<Item = &Known> {
        let places = (name != NONE).then(|| self.index(by).iter_hash(spread(name)));
        let known = places.into_iter().flatten().filter_map(|place| self.known.get(at(*place)));
        known.filter(move |known| known.name(by) == name)
    }

    /// The first end that may have this name, if there is one. Does not read what is known of it.
    pub(super) fn first(&self, by: By, name: u64) -> Option<&Known> {
        let place = (name != NONE).then(|| self.index(by).find(spread(name), |_| true))??;
        self.known.get(at(*place))
    }

    /// Takes note of a connection as it is at this time.
    pub(super) fn note(&mut self, connection: &Connection, ended: bool) {
        self.addresses.add(bits(connection.tuple.local.ip()));
        let id = self.names.of_connection(connection.id);
        let is_it = |place: &u32| self.known.get(at(*place)).is_some_and(|known| known.id == id);
        match self.by_connection.find(spread(id), is_it).copied() {
            Some(place) => self.update(place, connection, ended),
            None => self.add(id, connection, ended),
        }
        while self.ended.len() > self.limits.ended {
            self.forget_oldest();
        }
        self.counts.ended = self.ended.len();
    }

    fn add(&mut self, id: u64, connection: &Connection, ended: bool) {
        if !ended && self.counts.live >= self.limits.live {
            self.counts.refused = self.counts.refused.saturating_add(1);
            return;
        }
        let Some(place) = self.free.pop().or_else(|| u32::try_from(self.known.len()).ok()) else { return };
        let owner = self.owners.take(connection.owner);
        let known = Known { id, ..self.seen(connection, owner, ended) };
        match self.known.get_mut(at(place)) {
            Some(free) => *free = known,
            None => {
                if self.known.len() == self.known.capacity() {
                    // An eighth more instead of twice as many: of a large host that is megabytes.
                    let room = self.limits.live.saturating_add(self.limits.ended).saturating_add(1);
                    let room = room.saturating_sub(self.known.len()).max(1);
                    self.known.reserve_exact((self.known.len() / 8 + 64).min(room));
                }
                self.known.push(known);
            }
        }
        self.link(By::Connection, place);
        self.link(By::Global, place);
        self.link_tuple(place);
        if ended {
            self.ended.push_back(place);
        } else {
            self.counts.live += 1;
        }
    }

    /// One that has ended does not live again: what says so was late.
    fn update(&mut self, place: u32, connection: &Connection, ended: bool) {
        let Some(before) = self.known.get(at(place)).copied() else { return };
        if before.has_ended() && !ended {
            return;
        }
        let owner = if self.owners.get(before.owner).map(|owner| **owner) == connection.owner {
            before.owner
        } else {
            let owner = self.owners.take(connection.owner);
            self.owners.give_back(before.owner);
            owner
        };
        let after = Known { id: before.id, ..self.seen(connection, owner, ended) };
        let renamed = before.global != after.global;
        let moved = renamed || before.name(By::Tuple) != after.name(By::Tuple);
        if moved {
            self.unlink(before.by_tuple(), place);
        }
        if renamed {
            self.unlink(By::Global, place);
        }
        if let Some(known) = self.known.get_mut(at(place)) {
            *known = after;
        }
        if renamed {
            self.link(By::Global, place);
        }
        if moved {
            self.link_tuple(place);
        }
        if ended && !before.has_ended() {
            self.ended.push_back(place);
            self.counts.live = self.counts.live.saturating_sub(1);
        }
    }

    /// What is kept of a connection, but for its name.
    fn seen(&self, connection: &Connection, owner: u32, ended: bool) -> Known {
        let tuple = connection.tuple;
        let direction = match connection.direction {
            Direction::Unknown => 0,
            Direction::Incoming => 1,
            Direction::Outgoing => 2,
        };
        let by_tuple =
            self.names.of_tuple(tuple.protocol, tuple.netns, tuple.local.into(), tuple.remote.into());
        Known {
            id: NONE,
            tuple: by_tuple | direction | if ended { ENDED } else { 0 },
            global: self.names.of_global(connection.global_id, connection.direction),
            netns: tuple.netns,
            owner,
            lifetime: Lifetime::of(connection),
        }
    }

    fn forget_oldest(&mut self) {
        let Some(place) = self.ended.pop_front() else { return };
        self.counts.forgotten = self.counts.forgotten.saturating_add(1);
        self.forget(place);
        self.free.push(place);
    }

    /// Makes that nothing leads to it any more. Of an ended one the place is in use until its turn comes.
    fn forget(&mut self, place: u32) {
        let by_tuple = self.known.get(at(place)).map_or(By::Tuple, Known::by_tuple);
        for by in [By::Connection, by_tuple, By::Global] {
            self.unlink(by, place);
        }
        if let Some(known) = self.known.get_mut(at(place)) {
            self.owners.give_back(known.owner);
            known.owner = NOBODY;
        }
    }

    /// Makes that it is found by its tuple, after it is found by its global id or is not.
    fn link_tuple(&mut self, place: u32) {
        if let Some(by) = self.known.get(at(place)).map(Known::by_tuple) {
            self.link(by, place);
        }
    }

    /// Makes that it is found by this name. Of too many with the same name the one that ended first is forgotten, and where
    /// all of them live it is not found.
    fn link(&mut self, by: By, place: u32) {
        let Some(name) = self.known.get(at(place)).map(|known| known.name(by)) else { return };
        if name == NONE {
            return;
        }
        let places = self.index(by).iter_hash(spread(name)).copied();
        let alike = places.filter_map(|place| Some((place, self.known.get(at(place))?)));
        let alike = alike.filter(|(_, known)| known.name(by) == name);
        let (mut number, mut oldest) = (0, None);
        for (place, known) in alike {
            number += 1;
            let closed = (known.lifetime.closed(), place);
            if known.has_ended() && oldest.is_none_or(|oldest| closed < oldest) {
                oldest = Some(closed);
            }
        }
        if number >= ALIKE_MAX {
            self.counts.crowded = self.counts.crowded.saturating_add(1);
            match oldest {
                Some((_, oldest)) => self.forget(oldest),
                None => {
                    if let Some(known) = self.known.get_mut(at(place)) {
                        known.forget_name(by);
                    }
                    return;
                }
            }
        }
        let Self { known, by_connection, by_tuple, by_tuple_of_named, by_global, .. } = self;
        let index = match by {
            By::Connection => by_connection,
            By::Tuple => by_tuple,
            By::TupleOfNamed => by_tuple_of_named,
            By::Global => by_global,
        };
        let hash = |place: &u32| known.get(at(*place)).map_or(0, |known| spread(known.name(by)));
        index.insert_unique(spread(name), place, hash);
    }

    fn unlink(&mut self, by: By, place: u32) {
        let Some(name) = self.known.get(at(place)).map(|known| known.name(by)) else { return };
        if name == NONE {
            return;
        }
        let index = match by {
            By::Connection => &mut self.by_connection,
            By::Tuple => &mut self.by_tuple,
            By::TupleOfNamed => &mut self.by_tuple_of_named,
            By::Global => &mut self.by_global,
        };
        if let Ok(found) = index.find_entry(spread(name), |other| *other == place) {
            found.remove();
        }
        if let Some(known) = self.known.get_mut(at(place)) {
            known.forget_name(by);
        }
    }

    fn index(&self, by: By) -> &HashTable<u32> {
        match by {
            By::Connection => &self.by_connection,
            By::Tuple => &self.by_tuple,
            By::TupleOfNamed => &self.by_tuple_of_named,
            By::Global => &self.by_global,
        }
    }
}

/// The hash that an index is given: the free bits of a name are none that it looks at.
fn spread(name: u64) -> u64 {
    name.rotate_left(32)
}

fn at(place: u32) -> usize {
    usize::try_from(place).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use connections::ConnectionId;

    use super::*;
    use crate::fixtures;

    #[test]
    fn an_end_takes_as_much_as_the_limits_say() {
        assert_eq!(size_of::<Known>(), 40);
    }

    /// A connection to the server at that port, whose owner nobody else is.
    fn connection(number: u32, port: u16) -> Connection {
        let server = format!("10.0.0.1:{port}");
        let one = fixtures::connection(1, "10.0.0.1:1", &server, Direction::Outgoing, Some(number.into()));
        let id = ConnectionId { cookie: number.into(), ..one.id };
        Connection { id, owner: Some(fixtures::owner(number)), ..one }
    }

    #[test]
    fn whoever_comes_and_goes_nothing_grows_beyond_the_limits() {
        let mut table = Table::new(EndLimits { live: 4, ended: 4 });
        for number in 0..1000 {
            // Some have their port for themselves, and others the port of a crowd.
            let port = if number % 2 == 0 { 7 } else { u16::try_from(number).expect("it is small") };
            let begun = connection(number, port);
            table.note(&begun, false);
            table.note(&Connection { owner: Some(fixtures::owner(number + 5000)), ..begun }, false);
            if number % 3 > 0 {
                table.note(&begun, true);
            }
            let indexes = [&table.by_connection, &table.by_tuple, &table.by_global].map(HashTable::len);
            assert!(table.known.len() <= 9 && table.owners.len() <= 8, "{table:?}");
            assert!(indexes.iter().all(|length| *length <= 8), "{indexes:?}");
        }
        assert_eq!((table.counts.live, table.counts.ended, table.owners.len()), (4, 4, 8));
        assert!(table.counts.refused > 0);
    }
}
