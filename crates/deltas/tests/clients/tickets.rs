//! Which tickets count: that of the poll in flight of the present registration, and no other.

use deltas::{Ask, Refusal};

use crate::world::{USER, World, ask_after, told};

#[test]
fn a_poll_that_acknowledges_itself_is_refused_while_another_is_in_flight() {
    let mut world = World::new();
    world.register("a");
    world.register("b");
    for (answered, delivered) in [(true, true), (true, false), (false, false)] {
        let ticket = world.begin("a");
        assert_eq!(world.begin_as("a", USER, Ask::default()), Err(Refusal::Busy));
        if answered {
            world.answer(ticket.clone()).expect("an answer");
            assert_eq!(world.begin_as("a", USER, Ask::default()), Err(Refusal::Busy));
        }
        assert_eq!(world.poll_as("a", USER).err(), Some(Refusal::Busy));
        let of_another = world.begin("b");
        world.end(&of_another, true);
        world.end(&ticket, delivered);
    }
    world.tell("a");
}

#[test]
fn a_poll_that_is_refused_is_no_sign_of_life() {
    let mut world = World::new();
    world.register("a");
    world.tell("a");
    world.wait(119);
    let out_of_sequence = Refusal::OutOfSequence { acknowledged: 1, pending: None };
    let ask = crate::world::ask_after(7);
    assert_eq!(world.begin_as("a", USER, ask), Err(out_of_sequence));
    world.wait(2);
    assert_eq!(world.begin_as("a", USER, ask), Err(Refusal::UnknownClient));
}

#[test]
fn the_ticket_of_a_poll_that_has_ended_is_void() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    let lost = world.poll("a");
    world.roll_back(&lost);
    world.acknowledge(&lost);
    assert_eq!(world.state("a").acknowledged, 0);
    assert_eq!(world.answer(lost.ticket.clone()).err(), Some(Refusal::Superseded));
    world.read(1, 12);
    let second = world.poll("a");
    world.acknowledge(&lost);
    world.roll_back(&lost);
    assert_eq!(world.poll_as("a", USER).err(), Some(Refusal::Busy));
    world.acknowledge(&second);
    assert_eq!(world.state("a").acknowledged, 2);
    assert_eq!(world.tell("a"), []);
}

#[test]
fn an_acknowledged_answer_cannot_be_rolled_back() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    let delta = world.poll("a");
    world.acknowledge(&delta);
    world.roll_back(&delta);
    world.acknowledge(&delta);
    assert_eq!(world.tell("a"), []);
}

#[test]
fn the_ticket_of_an_earlier_registration_is_void() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    let of_earlier = world.poll("a");
    world.remove("a");
    world.acknowledge(&of_earlier);
    assert_eq!(world.answer(of_earlier.ticket.clone()).err(), Some(Refusal::UnknownClient));
    world.register("a");
    assert_eq!(world.answer(of_earlier.ticket.clone()).err(), Some(Refusal::UnknownClient));
    let delta = world.poll("a");
    assert!(delta.sequence > of_earlier.sequence);
    let stale = ask_after(of_earlier.sequence);
    let refused = Refusal::OutOfSequence { acknowledged: 0, pending: Some(delta.sequence) };
    assert_eq!(world.begin_as("a", USER, stale).err(), Some(refused), "of another registration");
    world.acknowledge(&of_earlier);
    world.roll_back(&of_earlier);
    assert_eq!(world.poll_as("a", USER).err(), Some(Refusal::Busy));
    world.roll_back(&delta);
    let again = world.poll("a");
    assert_eq!(told(&again), [(1, 10, false)]);
}

#[test]
fn a_poll_that_ends_without_an_answer_changes_nothing() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    for delivered in [true, false] {
        let ticket = world.begin("a");
        world.end(&ticket, delivered);
        let state = world.state("a");
        assert_eq!((state.acknowledged, state.pending, state.in_flight), (0, None, false));
    }
    assert_eq!(world.tell("a"), [(1, 10, false)]);
}

#[test]
fn a_poll_that_is_answered_twice_has_the_second_answer() {
    let mut world = World::new();
    world.register("a");
    world.close(1, 10);
    let first = world.poll("a");
    world.close(2, 20);
    let second = world.answer(first.ticket).expect("an answer");
    assert_eq!((second.sequence, told(&second)), (2, vec![(1, 10, true), (2, 20, true)]));
    world.acknowledge(&second);
    assert_eq!((world.state("a").acknowledged, world.tell("a")), (2, vec![]));
}

#[test]
fn a_void_ticket_is_no_sign_of_life() {
    let mut world = World::new();
    world.register("a");
    let delta = world.poll("a");
    world.acknowledge(&delta);
    world.wait(119);
    world.acknowledge(&delta);
    world.roll_back(&delta);
    world.wait(2);
    world.clients.expire(world.now);
    assert_eq!(world.clients.list(), []);
}
