//! What clients are told of lookups of names, against a plain list of all that came: each is told once, or counted as lost.

use std::collections::BTreeMap;
use std::sync::Arc;

use connections::{ConnectionId, KernelTime, Lookup, LookupOutcome, Protocol, Table, Tuple};
use deltas::{Ask, ClientId, ClientLimits, Clients, Delta, Health, Peer, Settings};
use proptest::prelude::*;

const NOW: KernelTime = KernelTime(1_000_000_000);
const USER: Peer = Peer::User(1000);
const READERS: usize = 2;

#[derive(Debug, Clone, Copy)]
enum Step {
    /// A lookup of one of a few names, through one of a few connections.
    LookUp { name: u8, connection: u8, rcode: Option<u16>, latency_ns: u64 },
    /// A poll that acknowledges itself, and whether its answer arrives.
    Poll { reader: usize, arrives: bool },
    /// A poll that says that the last answer that arrived is kept.
    After { reader: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let rcode = prop_oneof![2 => Just(Some(0)), 1 => Just(Some(3)), 1 => Just(Some(2)), 1 => Just(None)];
    prop_oneof![
        6 => (0..3u8, 0..3u8, rcode, 0..1000u64)
            .prop_map(|(name, connection, rcode, latency_ns)| Step::LookUp { name, connection, rcode, latency_ns }),
        2 => (0..READERS, any::<bool>()).prop_map(|(reader, arrives)| Step::Poll { reader, arrives }),
        1 => (0..READERS).prop_map(|reader| Step::After { reader }),
    ]
}

fn lookup(name: u8, connection: u8, rcode: Option<u16>, latency_ns: u64) -> Lookup {
    let end = |last, port| ([10, 0, 0, last], port).into();
    Lookup {
        connection: (connection > 0).then(|| ConnectionId { cookie: connection.into(), claimed_at: NOW }),
        tuple: Tuple { protocol: Protocol::Udp, netns: 1, local: end(1, 40_000), remote: end(2, 53) },
        pid: 7,
        domain: Arc::from(format!("{name}.example")),
        query_type: 1,
        outcome: rcode.map_or(LookupOutcome::TimedOut, |rcode| LookupOutcome::Answered { rcode, latency_ns }),
    }
}

/// A name, the connection that it was asked through, and the response code.
type Outcome = (Arc<str>, Option<ConnectionId>, Option<u16>);

/// What was told in all: how often which name had which outcome through which connection, and the latencies.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
struct Told {
    outcomes: BTreeMap<Outcome, u64>,
    latency_ns: u64,
    lost: u64,
}

impl Told {
    fn note(&mut self, lookup: &Lookup) {
        let rcode = match lookup.outcome {
            LookupOutcome::Answered { rcode, latency_ns } => {
                self.latency_ns += latency_ns;
                Some(rcode)
            }
            LookupOutcome::TimedOut => None,
        };
        *self.outcomes.entry((Arc::clone(&lookup.domain), lookup.connection, rcode)).or_default() += 1;
    }

    fn add(&mut self, delta: &Delta) {
        self.lost += delta.coverage.lookups_lost;
        for sum in delta.lookups.iter() {
            self.latency_ns += sum.success_latency_ns + sum.failure_latency_ns;
            let timed_out = (sum.timed_out > 0).then_some((None, sum.timed_out));
            let answered = sum.by_rcode.iter().map(|(rcode, count)| (Some(*rcode), *count));
            for (rcode, count) in answered.chain(timed_out) {
                *self.outcomes.entry((Arc::clone(&sum.domain), sum.connection, rcode)).or_default() += count;
            }
        }
    }

    fn count(&self) -> u64 {
        self.outcomes.values().sum()
    }
}

struct World {
    clients: Clients,
    table: Table,
    all: Told,
    /// Of each reader what it was told and has, and the sequence that it can acknowledge.
    readers: [(Told, Option<(u64, Told)>); READERS],
}

impl World {
    fn new(lookups: usize) -> Self {
        let limits = ClientLimits { lookups, ..ClientLimits::default() };
        let mut clients = Clients::new(limits, KernelTime(0));
        for reader in 0..READERS {
            clients.register(&id(reader), USER, Settings::default(), NOW).expect("there is room");
        }
        Self { clients, table: Table::new(1), all: Told::default(), readers: Default::default() }
    }

    fn take(&mut self, step: Step) {
        match step {
            Step::LookUp { name, connection, rcode, latency_ns } => {
                let lookup = lookup(name, connection, rcode, latency_ns);
                self.all.note(&lookup);
                self.clients.keep_lookup(&lookup);
            }
            Step::Poll { reader, arrives } => {
                let begun =
                    self.clients.begin(&id(reader), USER, Ask::default(), NOW).expect("nothing is in flight");
                let delta = self
                    .clients
                    .answer(&begun.ticket, &self.table, Health::default(), NOW)
                    .expect("it began");
                self.clients.end(&begun.ticket, arrives, NOW);
                let (has, pending) = &mut self.readers[reader];
                *pending = None;
                if arrives {
                    has.add(&delta);
                }
            }
            Step::After { reader } => {
                let (has, pending) = &mut self.readers[reader];
                let after = pending.take().map(|(sequence, told)| {
                    *has = told;
                    sequence
                });
                let state = self.clients.state(&id(reader), USER).expect("it is registered");
                let ask = Ask { after: after.or(Some(state.acknowledged)), ..Ask::default() };
                let begun = self.clients.begin(&id(reader), USER, ask, NOW).expect("the sequence is known");
                let delta = self
                    .clients
                    .answer(&begun.ticket, &self.table, Health::default(), NOW)
                    .expect("it began");
                let mut told = has.clone();
                told.add(&delta);
                *pending = Some((delta.sequence, told));
                self.clients.end(&begun.ticket, true, NOW);
            }
        }
    }
}

fn id(reader: usize) -> ClientId {
    ClientId::parse(&format!("reader-{reader}")).expect("a valid id")
}

proptest! {
    #[test]
    fn every_lookup_is_told_to_every_client_once_whatever_answers_are_lost(steps in prop::collection::vec(step(), 0..80)) {
        let mut world = World::new(1000);
        steps.into_iter().for_each(|step| world.take(step));
        for reader in 0..READERS {
            world.take(Step::Poll { reader, arrives: true });
            prop_assert_eq!(&world.readers[reader].0, &world.all);
        }
        prop_assert_eq!((world.clients.lookups_kept(), world.clients.lookups_lost()), (0, 0));
    }

    #[test]
    fn at_the_limit_the_oldest_lookups_are_counted_as_lost(steps in prop::collection::vec(step(), 0..80), limit in 0..4usize) {
        let mut world = World::new(limit);
        for step in steps {
            world.take(step);
            prop_assert!(world.clients.lookups_kept() <= limit.max(1));
        }
        for reader in 0..READERS {
            world.take(Step::Poll { reader, arrives: true });
            let told = &world.readers[reader].0;
            prop_assert_eq!(told.count() + told.lost, world.all.count());
        }
    }
}

fn answer(clients: &mut Clients, reader: usize, health: Health) -> Delta {
    let begun = clients.begin(&id(reader), USER, Ask::default(), NOW).expect("nothing is in flight");
    let delta = clients.answer(&begun.ticket, &Table::new(1), health, NOW).expect("it began");
    clients.end(&begun.ticket, true, NOW);
    delta
}

#[test]
fn who_begins_is_not_told_of_lookups_from_before_and_others_are() {
    let mut world = World::new(1000);
    world.take(Step::LookUp { name: 1, connection: 1, rcode: Some(0), latency_ns: 1 });
    world.clients.register(&id(READERS), USER, Settings::default(), NOW).expect("there is room");
    world.take(Step::LookUp { name: 1, connection: 1, rcode: Some(0), latency_ns: 1 });
    let mut told = |reader| {
        let delta = answer(&mut world.clients, reader, Health::default());
        delta.lookups.iter().map(|sum| sum.count()).sum::<u64>()
    };
    assert_eq!((told(READERS), told(0)), (1, 2));
}

#[test]
fn the_memory_of_lookups_counts_as_that_of_the_answer() {
    let mut world = World::new(1000);
    let before = answer(&mut world.clients, 0, Health::default());
    let without = world.clients.answer_bytes();
    drop(before);
    world.take(Step::LookUp { name: 1, connection: 1, rcode: Some(0), latency_ns: 1 });
    let _answer = answer(&mut world.clients, 0, Health::default());
    let with = world.clients.answer_bytes();
    assert!(with >= without + 64 * size_of::<deltas::LookupSum>(), "a chunk of them: {without} {with}");
}

#[test]
fn each_interval_has_the_messages_that_were_lost_in_it() {
    let mut world = World::new(1000);
    let mut lost = |messages_lost| {
        let health = Health { messages_lost, ..Health::default() };
        answer(&mut world.clients, 0, health).coverage.messages_lost
    };
    assert_eq!((lost(5), lost(7), lost(7)), (5, 2, 0));
}
