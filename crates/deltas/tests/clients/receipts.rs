//! Which receipts count: that of the pending answer of the present registration, and no other.

use deltas::Refusal;

use crate::world::{USER, World, id, told};

#[test]
fn a_poll_is_refused_while_an_answer_is_on_its_way() {
    let mut world = World::new();
    world.register("a");
    world.register("b");
    for delivered in [true, false] {
        let delta = world.poll("a");
        assert_eq!(world.clients.admit(&id("a"), USER, world.now), Err(Refusal::AnswerPending));
        assert_eq!(world.poll_as("a", USER).err(), Some(Refusal::AnswerPending));
        assert_eq!(world.clients.admit(&id("b"), USER, world.now), Ok(()));
        if delivered {
            world.acknowledge(&delta)
        } else {
            world.roll_back(&delta)
        }
        assert_eq!(world.clients.admit(&id("a"), USER, world.now), Ok(()));
    }
}

#[test]
fn the_receipt_of_a_superseded_answer_is_void() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    let lost = world.poll("a");
    world.roll_back(&lost);
    world.acknowledge(&lost);
    assert_eq!(world.state("a").acknowledged, 0);
    world.read(1, 12);
    let second = world.poll("a");
    world.acknowledge(&lost);
    world.roll_back(&lost);
    assert_eq!(world.poll_as("a", USER).err(), Some(Refusal::AnswerPending));
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
fn the_receipt_of_an_earlier_registration_is_void() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    let of_earlier = world.poll("a");
    world.remove("a");
    world.acknowledge(&of_earlier);
    world.register("a");
    let delta = world.poll("a");
    assert_eq!(delta.sequence, of_earlier.sequence);
    world.acknowledge(&of_earlier);
    world.roll_back(&of_earlier);
    assert_eq!(world.poll_as("a", USER).err(), Some(Refusal::AnswerPending));
    world.roll_back(&delta);
    let again = world.poll("a");
    assert_eq!(told(&again), [(1, 10, false)]);
}

#[test]
fn a_void_receipt_is_no_sign_of_life() {
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
