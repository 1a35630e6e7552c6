//! What an answer tells, one record after the other, as its client wants it told.
//!
//! Owns the view in which short-lived connections that differ only in the ephemeral port are one record. It is made from the
//! answer, for this client alone: what is kept of the connections stays as it is.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use connections::{Connection, Direction, RollUp, RollUpKey};
use foldhash::fast::RandomState;

use crate::changes::{Change, ChangeOf};
use crate::delta::{Delta, RollUpId};
use crate::registration::View;

/// A connection that lived for less is short-lived, in nanoseconds: two minutes.
const SHORT_LIVED_NS: u64 = 120_000_000_000;

/// What it takes for each closed connection at most to tell short-lived ones together: half as many sums, in a map that is
/// half full at worst, and hashes.
pub(crate) const VIEW_BYTES: usize =
    size_of::<(RollUpKey, Group)>() + (size_of::<Connection>() + 16) / 2 + 48;

/// One record of an answer.
#[derive(Debug, Clone)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time")]
pub enum Record<'a> {
    /// One connection.
    One(ChangeOf<'a>),
    /// Several of which only sums are told; of those that are told together because the client wants it, the first.
    Several(RollUpId, RollUp, Option<Box<Connection>>),
}

/// The kinds of short-lived connections of which an answer tells several. 16 bytes for each kind that it tells.
#[derive(Debug, Default)]
struct Repeated {
    hasher: RandomState,
    hashes: HashSet<u64, RandomState>,
}

/// Connections of one kind, added up.
struct Group {
    first: Box<Connection>,
    rollup: RollUp,
}

impl Delta {
    /// What it tells: connections, then roll-ups. The order is the same every time, and means nothing. With
    /// [`View::Ports`] it looks at all changes twice, and keeps what it adds up until the end.
    pub fn records(&self) -> impl Iterator<Item = Record<'_>> {
        let repeated = match self.view {
            View::Each => Repeated::default(),
            View::Ports => Repeated::of(self),
        };
        let mut groups = HashMap::default();
        let mut changes = self.changes.each();
        let mut sums = None;
        let records = std::iter::from_fn(move || {
            for one in changes.by_ref() {
                match repeated.kind(&one) {
                    Some((key, change)) => add(&mut groups, key, &change),
                    None => return Some(Record::One(one)),
                }
            }
            sums.get_or_insert_with(|| in_order(std::mem::take(&mut groups))).next()
        });
        let kept = self.roll_ups.iter().map(|(id, rollup)| Record::Several(id, rollup, None));
        records.chain(kept)
    }
}

impl Repeated {
    fn of(delta: &Delta) -> Self {
        let hasher = RandomState::default();
        let mut once = HashSet::<u64, RandomState>::default();
        let mut hashes = HashSet::<u64, RandomState>::default();
        for one in delta.changes.each().filter(ChangeOf::is_closed_and_new) {
            let connection = one.change().connection;
            if is_short_lived(&connection) {
                let hash = hasher.hash_one(RollUpKey::of(&connection));
                if !once.insert(hash) {
                    hashes.insert(hash);
                }
            }
        }
        Self { hasher, hashes }
    }

    /// The kind of a connection that is to be added up with others, and all about it.
    fn kind(&self, one: &ChangeOf<'_>) -> Option<(RollUpKey, Change)> {
        // One that was told while it lived is told as closed by its name.
        if self.hashes.is_empty() || !one.is_closed_and_new() {
            return None;
        }
        let change = one.change();
        let key = RollUpKey::of(&change.connection);
        let together = is_short_lived(&change.connection) && self.hashes.contains(&self.hasher.hash_one(key));
        together.then_some((key, change))
    }
}

fn is_short_lived(connection: &Connection) -> bool {
    let lived = connection
        .closed_at
        .zip(connection.opened_at)
        .map(|(closed, opened)| closed.nanoseconds_since(opened));
    let is_short = lived.is_some_and(|lived| lived < SHORT_LIVED_NS);
    is_short && connection.direction != Direction::Unknown
}

fn add(groups: &mut HashMap<RollUpKey, Group, RandomState>, key: RollUpKey, change: &Change) {
    let Change { connection, delta, newly_established } = change;
    let group = groups.entry(key).or_insert_with(|| Group {
        first: Box::new(*connection),
        rollup: RollUp::beginning_with(connection),
    });
    if connection.id < group.first.id {
        *group.first = *connection;
    }
    group.rollup.add(connection, *delta, *newly_established);
}

fn in_order<'a>(groups: HashMap<RollUpKey, Group, RandomState>) -> impl Iterator<Item = Record<'a>> {
    let mut groups: Vec<Group> = groups.into_values().collect();
    groups.sort_unstable_by_key(|group| group.first.id);
    groups
        .into_iter()
        .map(|Group { first, rollup }| Record::Several(RollUpId::Ports(first.id), rollup, Some(first)))
}
