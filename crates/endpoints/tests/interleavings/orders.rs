//! Orders of messages that have a story, one by one. Each step is checked as in any other order.

use connections::ConnectionId;
use deltas::{Peer, Refusal};

use crate::interleavings::poll::{Outcome, Stage};
use crate::interleavings::world::{After, Step, Who, World};

/// The client of these tests, and a poll's place when there is no other.
const CLIENT: usize = 0;
const ONLY: usize = 0;

/// A client, and one connection that has sent 100 bytes.
fn world() -> World {
    let mut world = World::new();
    world.take(Step::Register { client: CLIENT, who: Who::Owner });
    world.take(Step::Send { socket: 0, bytes: 100 });
    world
}

fn poll(world: &mut World, after: After) -> usize {
    world.take(Step::Poll { client: CLIENT, who: Who::Owner, after, create: false });
    world.polls.len() - 1
}

fn resolve(world: &mut World, delivered: bool) {
    world.take(Step::Resolve { client: CLIENT, place: ONLY, delivered });
}

fn stages<const N: usize>(world: &World, polls: [usize; N]) -> [Stage; N] {
    polls.map(|poll| world.polls[poll].stage)
}

/// Number of the answer, of the one that it goes on from, and the new bytes of each connection.
fn told(world: &World, poll: usize) -> (u64, u64, Vec<u64>) {
    let Outcome::Answer((sequence, acknowledged, changes)) = &world.polls[poll].outcome else {
        panic!("no answer: {:?}", world.polls[poll]);
    };
    let bytes = |(_, bytes, _): &(ConnectionId, u64, bool)| *bytes;
    (*sequence, *acknowledged, changes.iter().map(bytes).collect())
}

#[test]
fn an_answer_that_is_still_being_sent_is_acknowledged_by_who_has_it_and_its_end_says_nothing_more() {
    for late in [true, false] {
        let mut world = world();
        let first = poll(&mut world, After::Itself);
        world.take(Step::Pass);
        let second = poll(&mut world, After::Number(1));
        assert_eq!(stages(&world, [first, second]), [Stage::Cut, Stage::Waits]);
        world.take(Step::Send { socket: 0, bytes: 7 });
        resolve(&mut world, late);
        world.take(Step::Pass);
        assert_eq!(told(&world, second), (2, 1, vec![7]));
        world.settle();
    }
}

#[test]
fn a_poll_in_line_stays_there_when_one_that_says_what_its_client_has_comes_in_between() {
    let mut world = world();
    let first = poll(&mut world, After::Acknowledged);
    world.take(Step::Pass);
    let in_line = poll(&mut world, After::Itself);
    let third = poll(&mut world, After::Acknowledged);
    assert_eq!(stages(&world, [first, in_line, third]), [Stage::Cut, Stage::InLine, Stage::Waits]);
    world.take(Step::Pass);
    assert_eq!(told(&world, third), (2, 0, vec![100]));
    // The end of the one that was cut is not the end of the one in flight.
    resolve(&mut world, false);
    assert_eq!(stages(&world, [in_line, third]), [Stage::InLine, Stage::OnItsWay]);
    resolve(&mut world, true);
    assert_eq!(stages(&world, [in_line, third]), [Stage::Waits, Stage::Over]);
    world.take(Step::Pass);
    assert_eq!(told(&world, in_line), (3, 0, vec![100]), "it drops what is pending");
    world.settle();
}

#[test]
fn of_a_client_that_is_removed_the_line_is_refused_and_its_successor_waits_for_nobody() {
    let mut world = world();
    let waits = poll(&mut world, After::Itself);
    let in_line = poll(&mut world, After::Itself);
    world.take(Step::Remove { client: CLIENT, who: Who::Root });
    assert_eq!(stages(&world, [waits, in_line]), [Stage::Waits, Stage::Over]);
    world.take(Step::Register { client: CLIENT, who: Who::Owner });
    let later = poll(&mut world, After::Itself);
    assert_eq!(world.polls[later].stage, Stage::Waits);
    world.take(Step::Pass);
    assert_eq!(world.polls[waits].outcome, Outcome::Refused(Refusal::UnknownClient));
    assert_eq!(told(&world, later), (1, 0, vec![100]));
    world.settle();
}

#[test]
fn a_client_whose_poll_waits_for_a_pass_is_not_forgotten_and_its_time_counts_from_the_end_of_the_answer() {
    let mut world = world();
    let waits = poll(&mut world, After::Acknowledged);
    (0..9).for_each(|_| world.take(Step::Wait(15)));
    world.take(Step::Pass);
    (0..9).for_each(|_| world.take(Step::Wait(15)));
    assert_eq!(told(&world, waits), (1, 0, vec![100]));
    resolve(&mut world, false);
    world.take(Step::Wait(15));
    let second = poll(&mut world, After::Pending);
    world.take(Step::Pass);
    assert_eq!(told(&world, second), (2, 1, vec![]));
    resolve(&mut world, false);
    (0..2).for_each(|_| world.take(Step::Wait(15)));
    world.take(Step::Wait(0));
    let late = poll(&mut world, After::Pending);
    assert_eq!(world.polls[late].outcome, Outcome::Refused(Refusal::UnknownClient));
    world.settle();
}

#[test]
fn an_answer_that_arrived_after_it_was_superseded_is_told_again() {
    let mut world = world();
    poll(&mut world, After::Itself);
    world.take(Step::Pass);
    let second = poll(&mut world, After::Number(0));
    // It was read to its end all the same.
    resolve(&mut world, true);
    let refused = poll(&mut world, After::Number(1));
    let expected = Refusal::OutOfSequence { acknowledged: 0, pending: None };
    assert_eq!(world.polls[refused].outcome, Outcome::Refused(expected));
    world.take(Step::Pass);
    assert_eq!(told(&world, second), (2, 0, vec![100]));
    world.settle();
}

#[test]
fn who_leaves_while_a_pass_is_made_for_him_lets_the_next_in_line_begin_with_another_pass() {
    let mut world = world();
    let first = poll(&mut world, After::Itself);
    let second = poll(&mut world, After::Itself);
    world.take(Step::Leave { client: CLIENT, place: first });
    assert_eq!(world.polls[second].stage, Stage::InLine, "nobody has looked yet");
    world.take(Step::Pass);
    assert_eq!(world.polls[second].stage, Stage::Waits);
    world.take(Step::Pass);
    assert_eq!(told(&world, second), (1, 0, vec![100]), "the first was never answered");
    world.settle();
}

#[test]
fn owner_and_root_stand_in_one_line_in_the_order_in_which_they_came() {
    let mut world = world();
    let whos = [Who::Root, Who::Owner, Who::Root, Who::Owner];
    for who in whos {
        world.take(Step::Poll { client: CLIENT, who, after: After::Itself, create: true });
    }
    for (poll, sequence) in (1..=4).enumerate() {
        world.take(Step::Pass);
        let bytes = if sequence == 1 { vec![100] } else { vec![] };
        assert_eq!(told(&world, poll), (sequence, sequence - 1, bytes));
        resolve(&mut world, true);
    }
    assert_eq!(world.polls.iter().filter(|poll| poll.peer == Peer::ROOT).count(), 2);
    world.settle();
}
