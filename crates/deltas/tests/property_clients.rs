//! The clients against a naive model.

mod fixtures;
mod model;

use std::collections::HashMap;

use connections::{Counters, RollUpKey};
use deltas::{Change, Coverage, Delta};
use model::host::{BUSY, Bounds, READERS, UNBOUNDED};
use model::step::{After, Step};
use model::world::World;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

/// What happens to many connections at once. Seldom: each later step takes longer.
fn many() -> impl Strategy<Value = Step> {
    prop_oneof![
        (0..1000u32).prop_map(|sent| Step::Fill { sent }),
        Just(Step::Clear),
        (0..BUSY, 0..100u8).prop_map(|(socket, connections)| Step::Crowd { socket, connections }),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let socket = || 0..BUSY;
    let reader = || 0..READERS;
    let after = || {
        prop_oneof![
            4 => Just(After::Itself),
            3 => Just(After::Pending),
            2 => Just(After::Acknowledged),
            1 => (0..12u64).prop_map(After::Number),
        ]
    };
    let step = prop_oneof![
        6 => (socket(), 0..1000u32, 0..1000u32)
            .prop_map(|(socket, sent, received)| Step::Grow { socket, sent, received }),
        1 => socket().prop_map(Step::HalfClose),
        1 => (socket(), 0..1000u32).prop_map(|(socket, sent)| Step::Adopt { socket, sent }),
        6 => socket().prop_map(Step::Read),
        1 => socket().prop_map(Step::Backwards),
        1 => socket().prop_map(Step::Late),
        1 => socket().prop_map(Step::Miss),
        1 => (0..5u8, 0..1000u32).prop_map(|(connections, sent)| Step::RollUp { connections, sent }),
        4 => socket().prop_map(Step::Close),
        1 => socket().prop_map(Step::Vanish),
        1 => many(),
        2 => (reader(), any::<bool>())
            .prop_map(|(reader, asks)| Step::Register { reader, asks }),
        1 => reader().prop_map(Step::Remove),
        2 => (reader(), after()).prop_map(|(reader, after)| Step::Begin { reader, after }),
        8 => (reader(), after()).prop_map(|(reader, after)| Step::Poll { reader, after }),
        2 => reader().prop_map(Step::Answer),
        7 => (reader(), any::<bool>()).prop_map(|(reader, delivered)| Step::End { reader, delivered }),
        1 => (reader(), any::<bool>()).prop_map(|(reader, delivered)| Step::Replay { reader, delivered }),
        2 => (0..8u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..150)
}

/// With or without room for what ends: for few, or about as many as are kept in one piece.
fn bounds(rollups: impl Strategy<Value = usize>) -> impl Strategy<Value = Bounds> {
    let closed_records = prop_oneof![2 => Just(UNBOUNDED), 2 => 1..5usize, 1 => 60..140usize];
    (closed_records, rollups).prop_map(|(closed_records, rollups)| Bounds { closed_records, rollups })
}

/// What an answer tells, in an order of its own. Of roll-ups the sums by kind: into how many parts they come does depend
/// on the other clients.
#[derive(Debug, PartialEq)]
struct Told {
    sequence: u64,
    acknowledged: u64,
    coverage: Coverage,
    changes: Vec<Change>,
    rolled_up: HashMap<RollUpKey, (u64, Option<u64>, Counters)>,
}

/// Every answer that this client got, in a world where only some clients act.
fn answers(
    steps: &[Step],
    bounds: Bounds,
    of: usize,
    acts: impl Fn(usize) -> bool,
) -> Result<Vec<Told>, TestCaseError> {
    let mut world = World::new(bounds);
    let mut answers = Vec::new();
    for step in steps {
        // Time passes, whoever acts.
        let step = if step.reader().is_none_or(&acts) { *step } else { Step::Wait(0) };
        world.take(step)?;
        let answered = world.answered == Some(of);
        let pending = world.readers[of].as_ref().and_then(|reader| reader.pending.as_ref());
        if let Some(delta) = pending.filter(|_| answered) {
            answers.push(told(delta, world.readers[of].as_ref().map_or(0, |reader| reader.first)));
        }
    }
    Ok(answers)
}

/// Numbers count from `first`.
fn told(delta: &Delta, first: u64) -> Told {
    let coverage = delta.coverage;
    let [sequence, acknowledged] =
        [delta.sequence, delta.acknowledged].map(|number| number.saturating_sub(first));
    let mut changes: Vec<_> = delta.changes.iter().collect();
    changes.sort_by_key(|change| change.connection.id);
    let mut rolled_up = HashMap::new();
    for (_, rollup) in delta.roll_ups.iter() {
        let (connections, established, total) =
            rolled_up.entry(rollup.key).or_insert((0, None, Counters::default()));
        *connections += rollup.connections;
        *established =
            established.zip(rollup.established).map(|(a, b)| a + b).or(*established).or(rollup.established);
        *total = total.plus(rollup.total);
    }
    Told { sequence, acknowledged, coverage, changes, rolled_up }
}

/// Seeds of cases that failed, which every run begins with; the file comes with the first and is to be checked in. Its path
/// is absolute: proptest derives one from a `lib.rs` or `main.rs` above the test, and there is none above this one.
const SEEDS: FileFailurePersistence = FileFailurePersistence::Direct(concat!(
    env!("CARGO_MANIFEST_DIR"),
    "/tests/proptest-regressions/property_clients.txt"
));

fn config() -> ProptestConfig {
    ProptestConfig { cases: 500, failure_persistence: Some(Box::new(SEEDS)), ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn what_a_client_was_told_and_what_it_lost_add_up_to_the_totals(
        steps in steps(),
        bounds in bounds(prop_oneof![Just(UNBOUNDED), 0..4usize]),
    ) {
        let mut world = World::new(bounds);
        for step in steps {
            world.take(step)?;
        }
        world.settle()?;
    }

    #[test]
    fn clients_do_not_affect_one_another(steps in steps(), bounds in bounds(Just(UNBOUNDED))) {
        let together = answers(&steps, bounds, 0, |_| true)?;
        let alone = answers(&steps, bounds, 0, |reader| reader == 0)?;
        prop_assert_eq!(together, alone);
    }
}
