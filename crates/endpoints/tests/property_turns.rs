//! `Turns` with clients and a table, against a simple memory: polls of several clients that wait, begin, are answered, cut,
//! given up and removed in any order, without threads and sockets, so that the order of messages is the only one.

mod interleavings;

use proptest::prelude::*;

use interleavings::host::SOCKETS;
use interleavings::poll::Outcome;
use interleavings::world::{After, CLIENTS, Step, Who, World};

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let (client, place, socket) = (|| 0..CLIENTS, || 0..3usize, || 0..SOCKETS);
    let who = || prop_oneof![8 => Just(Who::Owner), 3 => Just(Who::Root), 1 => Just(Who::Stranger)];
    let after = prop_oneof![
        6 => Just(After::Itself),
        3 => Just(After::Pending),
        2 => Just(After::Acknowledged),
        1 => (0..10u64).prop_map(After::Number),
    ];
    let create = prop::bool::weighted(0.3);
    let step = prop_oneof![
        6 => (socket(), 1..1000u64).prop_map(|(socket, bytes)| Step::Send { socket, bytes }),
        3 => socket().prop_map(Step::Close),
        3 => (client(), who()).prop_map(|(client, who)| Step::Register { client, who }),
        1 => (client(), who()).prop_map(|(client, who)| Step::Remove { client, who }),
        12 => (client(), who(), after, create)
            .prop_map(|(client, who, after, create)| Step::Poll { client, who, after, create }),
        6 => Just(Step::Pass),
        1 => Just(Step::Fail),
        6 => (client(), place(), prop::bool::weighted(0.7))
            .prop_map(|(client, place, delivered)| Step::Resolve { client, place, delivered }),
        2 => (client(), place()).prop_map(|(client, place)| Step::Leave { client, place }),
        1 => (client(), place()).prop_map(|(client, place)| Step::Deafen { client, place }),
        2 => (0..12u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(step, 1..120)
}

/// What came of every poll of one client, where only some clients act.
fn outcomes(steps: &[Step], of: usize, acts: impl Fn(usize) -> bool) -> Vec<Outcome> {
    let mut world = World::new();
    for step in steps {
        // Time passes, whoever acts.
        let step = if step.client().is_none_or(&acts) { *step } else { Step::Wait(0) };
        world.take(step);
    }
    let World { polls, readers, .. } = world;
    let first = |registration: usize| readers.get(registration).map_or(0, |reader| reader.first);
    let polls = polls.into_iter().filter(|poll| poll.client == of);
    polls.map(|poll| poll.outcome.counted_from(first(poll.registration))).collect()
}

fn config() -> ProptestConfig {
    // A failure shrinks to a handful of messages, which takes more attempts than there are by default.
    ProptestConfig {
        cases: 500,
        max_shrink_iters: 100_000,
        failure_persistence: None,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn in_any_order_every_poll_has_one_end_and_every_client_is_told_all_once(steps in steps()) {
        let mut world = World::new();
        for step in steps {
            world.take(step);
        }
        world.settle();
    }

    #[test]
    fn nobodys_messages_change_what_another_client_is_told(steps in steps()) {
        let together = outcomes(&steps, 0, |_| true);
        let alone = outcomes(&steps, 0, |client| client == 0);
        prop_assert_eq!(together, alone);
    }
}
