//! What becomes of closed connections for which the log has no room: sums that are exact for every client.

use connections::{Event, KernelTime, Loss, Observation, RollUp};
use deltas::{ClientLimits, Delta, Refusal};

use crate::fixtures::observation;
use crate::world::{Told, World, told};

/// Connections and bytes of each roll-up, and the other records, of an answer.
fn sums(delta: &Delta) -> (Vec<(u64, u64)>, Vec<Told>) {
    let of = |rollup: &RollUp| (rollup.connections, rollup.total.sent_bytes);
    (delta.roll_ups.iter().map(|(_, rollup)| of(&rollup)).collect(), told(delta))
}

/// The next answer of the client, which it acknowledges.
fn tell(world: &mut World, client: &str) -> (Vec<(u64, u64)>, Vec<Told>) {
    let delta = world.poll(client);
    world.acknowledge(&delta);
    assert!(delta.coverage.complete());
    assert_eq!(delta.coverage.rolled_up, delta.roll_ups.iter().map(|(_, rollup)| rollup.connections).sum());
    sums(&delta)
}

#[test]
fn the_oldest_are_rolled_up_for_those_who_were_not_told_and_stay_whole_for_the_others() {
    let mut world = World::with_bounds(2, 10);
    world.register("slow");
    world.register("quick");
    let mut quick = Vec::new();
    for cookie in 1..=5 {
        world.close(cookie, 10 * cookie);
        quick.extend(world.tell("quick"));
    }
    assert_eq!(quick, [(1, 10, true), (2, 20, true), (3, 30, true), (4, 40, true), (5, 50, true)]);
    assert_eq!(tell(&mut world, "quick"), (vec![], vec![]));
    assert_eq!(
        (world.clients.closed_kept(), world.clients.rollups_kept()),
        (2, 1),
        "nobody is between them any more"
    );
    assert_eq!(tell(&mut world, "slow"), (vec![(3, 60)], vec![(4, 40, true), (5, 50, true)]));
    assert_eq!((world.clients.closed_kept(), world.clients.rollups_kept()), (0, 0));
    assert_eq!((world.clients.rolled_up_count(), world.clients.given_up()), (3, Loss::default()));
}

#[test]
fn connections_between_two_polls_that_differ_only_in_the_ephemeral_port_are_one_roll_up() {
    let mut world = World::with_bounds(1, 10);
    world.register("a");
    for cookie in 1..=4 {
        world.close(cookie, 10);
    }
    let delta = world.poll("a");
    let rollup = delta.roll_ups.iter().next().map(|(_, rollup)| rollup).expect("a roll-up");
    let common = rollup.key.common.expect("they have much in common");
    assert_eq!(common.ends, Some((([10, 0, 0, 1], 0).into(), ([10, 0, 0, 2], 443).into())));
    assert_eq!((rollup.connections, rollup.total.sent_bytes, common.service_port), (3, 30, Some(443)));
}

#[test]
fn of_a_roll_up_each_client_is_told_what_it_was_not_told_live() {
    let mut world = World::with_bounds(1, 10);
    for client in ["all", "some", "none"] {
        world.register(client);
    }
    world.read(1, 4);
    world.tell("some");
    world.tell("all");
    world.read(1, 9);
    world.tell("all");
    world.close(1, 10);
    world.close(2, 20);
    let rest = vec![(2, 20, true)];
    assert_eq!(tell(&mut world, "all"), (vec![(1, 1)], rest.clone()));
    assert_eq!(tell(&mut world, "some"), (vec![(1, 6)], rest.clone()));
    assert_eq!(tell(&mut world, "none"), (vec![(1, 10)], rest));
}

#[test]
fn what_a_pending_answer_told_live_is_taken_off_only_if_it_arrives() {
    for (delivered, rest) in [(true, 2), (false, 6)] {
        let mut world = World::with_bounds(1, 10);
        world.register("a");
        world.read(1, 4);
        world.tell("a");
        world.read(1, 8);
        let pending = world.poll("a");
        world.close(1, 10);
        world.close(2, 20);
        world.end(&pending.ticket, delivered);
        assert_eq!(tell(&mut world, "a"), (vec![(1, rest)], vec![(2, 20, true)]));
    }
}

#[test]
fn what_a_pending_answer_told_as_closed_comes_again_in_sums_if_it_is_lost_and_else_never() {
    for (delivered, again) in [(true, vec![]), (false, vec![(2, 30)])] {
        let mut world = World::with_bounds(2, 10);
        world.register("a");
        world.close(1, 10);
        world.close(2, 20);
        let pending = world.poll("a");
        world.close(3, 30);
        world.close(4, 40);
        world.end(&pending.ticket, delivered);
        assert_eq!(tell(&mut world, "a"), (again, vec![(3, 30, true), (4, 40, true)]));
    }
}

#[test]
fn an_answer_that_told_a_roll_up_and_was_lost_is_followed_by_one_that_tells_as_much_and_more() {
    let mut world = World::with_bounds(1, 10);
    world.register("a");
    (1..=3).for_each(|cookie| world.close(cookie, 10));
    let lost = world.poll("a");
    assert_eq!(sums(&lost), (vec![(2, 20)], vec![(3, 10, true)]));
    (4..=5).for_each(|cookie| world.close(cookie, 10));
    assert_eq!(sums(&lost), (vec![(2, 20)], vec![(3, 10, true)]), "an answer stays as it is");
    world.roll_back(&lost);
    let (rolled_up, whole) = tell(&mut world, "a");
    assert_eq!(rolled_up.iter().fold((0, 0), |sum, (count, bytes)| (sum.0 + count, sum.1 + bytes)), (4, 40));
    assert_eq!(whole, [(5, 10, true)]);
}

#[test]
fn that_connections_were_established_is_told_once() {
    let established = |cookie, at: Option<u64>| {
        let observation = observation(cookie, 1);
        Event::Read(Observation { established_at: at.map(KernelTime), ..observation })
    };
    let mut world = World::with_bounds(1, 10);
    world.register("told");
    world.register("untold");
    world.table.apply(established(1, Some(5)));
    world.table.apply(established(2, None));
    world.tell("told");
    // What the close does not say stays as it was read.
    (1..=3).for_each(|cookie| world.close(cookie, 1));
    for (client, expected) in [("told", 0), ("untold", 1)] {
        let delta = world.poll(client);
        let counts: Vec<_> = delta.roll_ups.iter().map(|(_, rollup)| rollup.established).collect();
        assert_eq!(counts, [Some(expected)], "{client}");
    }
}

#[test]
fn beyond_the_limit_of_roll_ups_the_oldest_is_lost_to_those_who_were_not_told() {
    let mut world = World::with_bounds(1, 1);
    world.register("slow");
    world.register("quick");
    world.read(1, 4);
    world.tell("slow");
    world.close(1, 10);
    world.close(2, 20);
    world.tell("quick");
    world.close(3, 30);
    // It is where the other client is: another roll-up begins, and there is no room for two.
    world.close(4, 40);
    let told = (vec![(1, 30)], vec![(4, 40, true)]);
    let delta = world.poll("slow");
    assert_eq!(sums(&delta), told);
    // What it was told of the first while it lived is not lost.
    let loss = Loss { connections: 2, bytes: 26 };
    assert_eq!(delta.coverage.losses.closed_log_full, loss);
    assert!(!delta.coverage.complete());
    assert_eq!(tell(&mut world, "quick"), told);
    assert_eq!(world.clients.given_up(), loss);
}

#[test]
fn a_roll_up_that_was_given_up_is_not_added_to() {
    let mut world = World::with_bounds(1, 1);
    world.register("a");
    for cookie in 1..=2 {
        world.close(cookie, 10);
    }
    world.close_udp(3, 5);
    world.close(4, 10);
    // Of TCP, of UDP, and of TCP again.
    world.close(5, 10);
    let delta = world.poll("a");
    assert_eq!(sums(&delta), (vec![(1, 10)], vec![(5, 10, true)]));
    assert_eq!(delta.coverage.losses.closed_log_full, Loss { connections: 3, bytes: 25 });
}

#[test]
fn answers_on_their_way_are_limited_in_bytes_and_one_is_always_possible() {
    let mut world = World::with(ClientLimits { answer_bytes: 1, ..ClientLimits::default() });
    world.register("a");
    world.register("b");
    world.read(1, 10);
    let first = world.poll("a");
    assert!(world.clients.answer_bytes() > 0);
    let begun = world.begin("b");
    assert_eq!(world.answer(begun.clone()).err(), Some(Refusal::AnswersTooLarge));
    world.acknowledge(&first);
    assert_eq!(world.answer(begun.clone()).err(), Some(Refusal::AnswersTooLarge), "it is not encoded yet");
    drop(first);
    assert_eq!(world.clients.answer_bytes(), 0);
    let second = world.answer(begun).expect("now there is room");
    assert_eq!((second.sequence, told(&second)), (1, vec![(1, 10, false)]), "a refusal takes no number");
}

#[test]
fn little_news_takes_little_of_what_answers_may_take_and_what_they_share_counts_once() {
    let mut world = World::with(ClientLimits { answer_bytes: 300_000, ..ClientLimits::default() });
    let clients: Vec<String> = (0..10).map(|number| format!("c{number}")).collect();
    clients.iter().for_each(|client| world.register(client));
    let all = |world: &mut World, sent_bytes, step| {
        (0..900).step_by(step).for_each(|cookie| world.read(cookie, sent_bytes));
        let answers: Vec<_> = clients.iter().map(|client| world.poll(client)).collect();
        let bytes = world.clients.answer_bytes();
        answers.iter().for_each(|answer| world.acknowledge(answer));
        (answers.iter().map(|answer| told(answer).len()).sum::<usize>(), bytes)
    };
    // 15 chunks, of 64 connections of 240 bytes.
    assert_eq!(all(&mut world, 1, 1), (10 * 900, 14 * 64 * 240 + 4 * 320 * 10));
    // One of each chunk, copied for each answer.
    assert_eq!(all(&mut world, 2, 64), (10 * 15, 10 * 15 * 320));
    assert_eq!(world.clients.answer_bytes(), 0);
}
