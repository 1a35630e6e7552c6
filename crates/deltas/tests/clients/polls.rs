//! Polls that say what their client has: what they acknowledge, what they drop, and to what they put an end.

use deltas::{Ask, Begun, Refusal};

use crate::world::{USER, World, ask_after, told};

fn refused(acknowledged: u64, pending: Option<u64>) -> Result<Begun, Refusal> {
    Err(Refusal::OutOfSequence { acknowledged, pending })
}

#[test]
fn an_answer_is_acknowledged_by_the_poll_that_has_it() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    let first = world.poll_after("a", 0);
    assert_eq!((first.sequence, first.acknowledged, told(&first)), (1, 0, vec![(1, 10, false)]));
    assert_eq!((world.state("a").acknowledged, world.state("a").pending), (0, Some(1)));
    world.close(1, 13);
    let second = world.poll_after("a", 1);
    assert_eq!((second.sequence, second.acknowledged, told(&second)), (2, 1, vec![(1, 3, true)]));
    assert_eq!(second.from, first.to);
    let third = world.poll_after("a", 2);
    assert_eq!((third.sequence, third.acknowledged, told(&third)), (3, 2, vec![]));
    assert_eq!(world.clients.closed_kept(), 0);
}

#[test]
fn it_is_acknowledged_when_that_poll_begins() {
    let mut world = World::new();
    world.register("a");
    world.close(1, 10);
    world.poll_after("a", 0);
    let begun = world.begin_after("a", 1);
    let state = world.state("a");
    assert_eq!((state.acknowledged, state.pending, world.clients.closed_kept()), (1, None, 0));
    world.end(&begun.ticket, false);
    assert_eq!(world.state("a").acknowledged, 1, "whatever becomes of the poll");
}

#[test]
fn whether_the_answer_of_such_a_poll_was_delivered_decides_nothing() {
    for delivered in [true, false] {
        let mut world = World::new();
        world.register("a");
        world.read(1, 10);
        let ticket = world.begin_after("a", 0).ticket;
        let answer = world.answer(ticket).expect("an answer");
        world.end(&answer.ticket, delivered);
        let state = world.state("a");
        assert_eq!((state.acknowledged, state.pending, state.in_flight), (0, Some(1), false));
        assert_eq!(told(&world.poll_after("a", 1)), []);
    }
}

#[test]
fn a_poll_with_the_acknowledged_answer_drops_the_pending_one_and_gets_a_superset() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    world.close(2, 20);
    let lost = world.poll_after("a", 0);
    world.close(1, 12);
    world.read(3, 30);
    let again = world.poll_after("a", 0);
    assert_eq!(told(&again), [(1, 12, true), (2, 20, true), (3, 30, false)]);
    assert_eq!((again.sequence, again.acknowledged, again.from), (2, 0, lost.from));
    assert_eq!(
        world.begin_as("a", USER, ask_after(1)),
        refused(0, Some(2)),
        "the dropped one is gone for good"
    );
    assert_eq!(told(&world.poll_after("a", 2)), []);
}

#[test]
fn any_other_answer_is_refused_and_changes_nothing() {
    let mut world = World::new();
    world.register("a");
    world.tell("a");
    world.tell("a");
    assert_eq!(world.begin_as("a", USER, ask_after(1)), refused(2, None));
    world.read(1, 10);
    world.poll_after("a", 2);
    let in_flight = world.begin_after("a", 3);
    world.answer(in_flight.ticket.clone()).expect("an answer");
    let before = world.state("a");
    for after in [0, 1, 2, 5, u64::MAX] {
        assert_eq!(world.begin_as("a", USER, ask_after(after)), refused(3, Some(4)));
        assert_eq!(world.state("a"), before);
    }
    world.end(&in_flight.ticket, true);
    assert_eq!(world.state("a").pending, Some(4), "the poll in flight was not superseded");
}

#[test]
fn a_poll_that_says_what_it_has_supersedes_the_one_that_waits_for_a_pass() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    for itself in [true, false] {
        let first = if itself { world.begin("a") } else { world.begin_after("a", 0).ticket };
        let second = world.begin_after("a", 0);
        assert_eq!(second.superseded.as_ref(), Some(&first));
        assert_eq!(world.answer(first.clone()).err(), Some(Refusal::Superseded));
        world.end(&first, true);
        assert!(world.state("a").in_flight, "the end of the first is not that of the second");
        let answer = world.answer(second.ticket).expect("an answer");
        assert_eq!(told(&answer), [(1, 10, false)]);
        world.end(&answer.ticket, true);
        assert!(!world.state("a").in_flight);
    }
}

#[test]
fn the_answer_of_a_superseded_poll_is_acknowledged_if_the_client_has_it() {
    for itself in [true, false] {
        let mut world = World::new();
        world.register("a");
        world.read(1, 10);
        let first = if itself { world.begin("a") } else { world.begin_after("a", 0).ticket };
        world.answer(first.clone()).expect("an answer");
        world.read(1, 15);
        let second = world.begin_after("a", 1);
        assert_eq!(second.superseded.as_ref(), Some(&first));
        // Too late, whatever it says.
        world.end(&first, false);
        let answer = world.answer(second.ticket).expect("an answer");
        assert_eq!((answer.acknowledged, told(&answer)), (1, vec![(1, 5, false)]));
    }
}

#[test]
fn the_answer_of_a_superseded_poll_is_dropped_if_the_client_does_not_have_it() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    let first = world.poll("a");
    let second = world.begin_after("a", 0);
    // Too late, whatever it says.
    world.acknowledge(&first);
    let answer = world.answer(second.ticket).expect("an answer");
    assert_eq!((answer.sequence, answer.acknowledged, told(&answer)), (2, 0, vec![(1, 10, false)]));
}

#[test]
fn a_poll_that_acknowledges_itself_drops_a_pending_answer() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    world.poll_after("a", 0);
    let itself = world.poll("a");
    assert_eq!((itself.sequence, itself.acknowledged, told(&itself)), (2, 0, vec![(1, 10, false)]));
    world.acknowledge(&itself);
    assert_eq!(world.begin_as("a", USER, ask_after(1)), refused(2, None));
    assert_eq!(told(&world.poll_after("a", 2)), [], "the two ways can be mixed");
}

#[test]
fn a_poll_that_acknowledges_itself_supersedes_none() {
    let mut world = World::new();
    world.register("a");
    let first = world.begin_after("a", 0);
    assert_eq!(world.begin_as("a", USER, Ask::default()), Err(Refusal::Busy));
    assert!(world.answer(first.ticket).is_ok());
}
