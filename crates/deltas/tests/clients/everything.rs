//! What is told to nobody in particular: all that lives, and what a client was told of it.

use deltas::{ClientLimits, Delta, Health, Peer, Refusal};

use crate::world::{USER, World, id, told};

fn everything(world: &mut World) -> Result<Delta, Refusal> {
    world.clients.everything(&world.table, Health::default(), world.now)
}

/// Cookies, bytes that were told, and whether it was told that they are established.
fn remembered(world: &World, client: &str) -> Vec<(u64, u64, bool)> {
    let remembered = world.clients.remembered(&id(client), USER, &world.table).expect("it is registered");
    let told = remembered.iter().map(|(id, told)| (id.cookie, told.total.sent_bytes, told.established));
    let mut told: Vec<_> = told.collect();
    told.sort_unstable();
    told
}

#[test]
fn all_that_lives_is_told_with_its_totals_and_no_client_notices() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    world.read(2, 20);
    world.tell("a");
    world.read(1, 13);
    world.close(2, 25);
    world.read(3, 30);
    let before = world.state("a");
    for _ in 0..2 {
        let delta = everything(&mut world).expect("there is memory");
        assert_eq!(told(&delta), [(1, 13, false), (3, 30, false)]);
        assert_eq!((delta.sequence, delta.acknowledged, delta.to), (0, 0, world.now));
        assert_eq!(delta.roll_ups.iter().count(), 0);
    }
    assert_eq!(world.state("a"), before);
    assert_eq!(world.tell("a"), [(1, 3, false), (2, 5, true), (3, 30, false)]);
}

#[test]
fn it_takes_memory_like_every_other_answer() {
    let mut world = World::with(ClientLimits { answer_bytes: 1, ..ClientLimits::default() });
    world.read(1, 10);
    let first = everything(&mut world).expect("one answer is always possible");
    assert!(world.clients.answer_bytes() > 0);
    assert_eq!(everything(&mut world).err(), Some(Refusal::AnswersTooLarge));
    drop(first);
    assert_eq!(world.clients.answer_bytes(), 0);
    assert!(everything(&mut world).is_ok());
}

#[test]
fn what_a_client_was_told_is_remembered_of_what_lives() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    world.read(2, 20);
    assert_eq!(remembered(&world, "a"), []);
    let answer = world.poll("a");
    assert_eq!(remembered(&world, "a"), [], "it is on its way");
    world.acknowledge(&answer);
    assert_eq!(remembered(&world, "a"), [(1, 10, false), (2, 20, false)]);
    world.read(1, 13);
    world.close(2, 25);
    // It gets the place of the one that ended.
    world.read(3, 30);
    assert_eq!(remembered(&world, "a"), [(1, 10, false)], "as told, and without what has ended or is new");
    world.register("b");
    assert_eq!(remembered(&world, "b"), []);
}

#[test]
fn what_a_client_was_told_is_for_its_user() {
    let mut world = World::new();
    world.register("a");
    let remembered = |client: &str, peer| world.clients.remembered(&id(client), peer, &world.table).map(drop);
    assert_eq!(remembered("a", USER), Ok(()));
    assert_eq!(remembered("a", Peer::ROOT), Ok(()));
    assert_eq!(remembered("a", Peer::User(1)), Err(Refusal::NotOwner));
    assert_eq!(remembered("b", USER), Err(Refusal::UnknownClient));
}
