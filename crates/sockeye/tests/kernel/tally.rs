//! What a client was told of many connections, in little memory: sums of the closed ones, and of the live ones what
//! was told so far. Fails at once when something is told twice or the deltas of one do not add up.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::time::Instant;

use connections::{Connection, ConnectionId, Counters, Direction};
use deltas::{Delta, RollUpId};

use crate::harness::{Client, DEADLINE};
use crate::peer::{Done, sizes};
use crate::world::NetNs;

/// Of the connections of some namespaces.
#[derive(Default)]
pub struct Tally {
    namespaces: Vec<u32>,
    live: HashMap<ConnectionId, Counters>,
    closed: HashSet<ConnectionId>,
    /// By namespace, and those in a roll-up of the rest under 0.
    pub sums: BTreeMap<u32, Sums>,
    roll_ups: HashSet<RollUpId>,
}

/// What was told of connections that have ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sums {
    /// Told one by one as closed.
    pub closed: u64,
    /// Told as part of a roll-up, and not one by one.
    pub rolled_up: u64,
    /// Of those told one by one.
    pub failed: u64,
    pub sent_bytes: u64,
    pub received_bytes: u64,
    pub retransmits: u64,
}

impl Tally {
    pub fn of<'a>(namespaces: impl IntoIterator<Item = &'a NetNs>) -> Self {
        Self { namespaces: namespaces.into_iter().map(NetNs::inode).collect(), ..Self::default() }
    }

    /// Adds an answer, and lets `judge` look at each connection that it tells as closed.
    pub fn add(&mut self, delta: &Delta, mut judge: impl FnMut(&Connection)) {
        let mut told = HashSet::new();
        for change in delta.changes.iter() {
            let connection = &change.connection;
            let (id, netns) = (connection.id, connection.tuple.netns);
            if !self.namespaces.contains(&netns) {
                continue;
            }
            assert!(told.insert(id), "twice in one answer: {connection:?}");
            assert!(!self.closed.contains(&id), "told after its close: {connection:?}");
            let sum = self.live.entry(id).or_default();
            *sum = sum.plus(change.delta);
            if connection.closed_at.is_none() {
                assert_eq!(*sum, connection.total, "the sum of deltas is the total: {connection:?}");
                continue;
            }
            let sum = self.live.remove(&id).expect("just entered");
            self.closed.insert(id);
            let sums = self.sums.entry(netns).or_default();
            sums.closed += 1;
            sums.failed += u64::from(connection.failure.is_some());
            sums.add(sum);
            assert_eq!(sum, connection.total, "the sum of deltas is the total: {connection:?}");
            judge(connection);
        }
        for (position, rollup) in delta.roll_ups.iter() {
            let netns = rollup.key.common.map_or(0, |common| common.netns);
            if netns == 0 || self.namespaces.contains(&netns) {
                assert!(self.roll_ups.insert(position), "told twice: {rollup:?}");
                let sums = self.sums.entry(netns).or_default();
                sums.rolled_up += rollup.connections;
                sums.add(rollup.total);
            }
        }
    }

    /// Connections told as closed, one by one or in a roll-up with a key of its own.
    pub fn closed(&self) -> u64 {
        self.sums.iter().filter(|(netns, _)| **netns != 0).map(|(_, sums)| sums.closed + sums.rolled_up).sum()
    }

    /// Connections told and not told as closed.
    pub fn live(&self) -> usize {
        self.live.len()
    }

    pub fn of_namespace(&self, namespace: &NetNs) -> Sums {
        self.sums.get(&namespace.inode()).copied().unwrap_or_default()
    }

    /// Polls until so many connections are told as closed; more must not come.
    pub fn wait_closed(&mut self, client: &mut Client<'_>, count: u64, mut judge: impl FnMut(&Connection)) {
        let begin = Instant::now();
        while self.closed() < count {
            let (closed, live) = (self.closed(), self.live());
            assert!(
                begin.elapsed() < 3 * DEADLINE,
                "{closed} closed of {count}, {live} live: {:?}",
                self.sums
            );
            let delta = client.clean_answer();
            self.add(&delta, &mut judge);
        }
        self.add(&client.answer(), judge);
        assert_eq!((self.closed(), self.live()), (count, 0), "{:?}", self.sums);
    }

    /// The sum over all namespaces, the rest included.
    pub fn all(&self) -> Sums {
        self.sums.values().fold(Sums::default(), |sum, more| Sums {
            closed: sum.closed + more.closed,
            rolled_up: sum.rolled_up + more.rolled_up,
            failed: sum.failed + more.failed,
            sent_bytes: sum.sent_bytes + more.sent_bytes,
            received_bytes: sum.received_bytes + more.received_bytes,
            retransmits: sum.retransmits + more.retransmits,
        })
    }

    /// Polls until at least so many connections are told one by one and in roll-ups, and nothing comes any more;
    /// answers the sums.
    pub fn wait_all(
        &mut self,
        client: &mut Client<'_>,
        count: u64,
        mut judge: impl FnMut(&Connection),
    ) -> Sums {
        let begin = Instant::now();
        loop {
            let before = self.all();
            // What ends in a roll-up is told by the pass after that in which its name is told.
            for _ in 0..3 {
                self.add(&client.answer(), &mut judge);
            }
            let all = self.all();
            if all == before && self.live() == 0 && all.closed + all.rolled_up >= count {
                return all;
            }
            let live = self.live();
            assert!(begin.elapsed() < 2 * DEADLINE, "{count} expected, {live} live: {:?}", self.sums);
        }
    }
}

impl Sums {
    /// What is to be told of ends that have done this.
    pub fn expect(&mut self, done: Done) {
        self.closed += done.connections;
        self.sent_bytes += done.wrote;
        self.received_bytes += done.read;
    }

    fn add(&mut self, counters: Counters) {
        self.sent_bytes += counters.sent_bytes;
        self.received_bytes += counters.received_bytes;
        self.retransmits += counters.retransmits;
    }
}

/// Fails unless the connection has the bytes that its port stands for.
pub fn assert_bytes(connection: &Connection, most: u64) {
    let Counters { sent_bytes, received_bytes, .. } = connection.total;
    assert_eq!((sent_bytes, received_bytes), expected_bytes(connection, most), "{connection:?}");
}

/// Fails when the connection has more bytes than that: one whose end is in a roll-up may have less.
pub fn assert_not_more_bytes(connection: &Connection, most: u64) {
    let (sent, received) = expected_bytes(connection, most);
    let Counters { sent_bytes, received_bytes, .. } = connection.total;
    assert!(sent_bytes <= sent && received_bytes <= received, "{connection:?}");
}

/// What this end sends and receives.
fn expected_bytes(connection: &Connection, most: u64) -> (u64, u64) {
    let incoming = connection.direction == Direction::Incoming;
    let opener = if incoming { connection.tuple.remote } else { connection.tuple.local };
    let (request, answer) = sizes(opener.port(), most);
    if incoming { (answer, request) } else { (request, answer) }
}
