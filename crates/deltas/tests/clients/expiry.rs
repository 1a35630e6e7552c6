//! When a client is forgotten.

use deltas::{ClientLimits, Refusal, Registration};

use crate::world::{SECOND, USER, World, id};

/// True when the client is still there; asking is no sign of life.
fn lives(world: &mut World, client: &str) -> bool {
    world.clients.expire(world.now);
    world.clients.list().iter().any(|state| state.id.as_str() == client)
}

#[test]
fn a_client_expires_when_nothing_was_heard_for_longer_than_its_time_to_live() {
    let mut world = World::new();
    world.register("a");
    world.wait(120);
    assert!(lives(&mut world, "a"));
    world.now.0 += 1;
    assert!(!lives(&mut world, "a"));
    assert_eq!(world.clients.expired_count(), 1);
}

#[test]
fn the_time_to_live_is_that_of_the_configuration() {
    let mut world = World::with(ClientLimits { ttl_ns: 10 * SECOND, ..ClientLimits::default() });
    world.register("a");
    world.wait(11);
    assert!(!lives(&mut world, "a"));
}

#[test]
fn registering_and_polling_put_off_the_expiry() {
    let mut world = World::new();
    world.register("a");
    world.wait(100);
    world.register("a");
    world.wait(100);
    assert_eq!(world.clients.admit(&id("a"), USER, world.now), Ok(()));
    world.wait(100);
    world.tell("a");
    world.wait(100);
    assert!(lives(&mut world, "a"));
    world.wait(21);
    assert!(!lives(&mut world, "a"));
}

#[test]
fn a_client_never_expires_while_its_answer_is_on_its_way() {
    let mut world = World::new();
    for delivered in [true, false] {
        world.register("a");
        let delta = world.poll("a");
        world.wait(10_000);
        assert!(lives(&mut world, "a"));
        if delivered {
            world.acknowledge(&delta)
        } else {
            world.roll_back(&delta)
        }
        // Its time counts from the end of the answer.
        world.wait(120);
        assert!(lives(&mut world, "a"));
        world.wait(1);
        assert!(!lives(&mut world, "a"));
    }
}

#[test]
fn an_expired_client_starts_anew() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    world.tell("a");
    world.wait(121);
    assert_eq!(world.clients.admit(&id("a"), USER, world.now), Err(Refusal::UnknownClient));
    assert_eq!(world.register_as("a", USER), Ok(Registration::New));
    let delta = world.poll("a");
    assert_eq!((delta.sequence, delta.acknowledged, delta.changes.count()), (1, 0, 1));
}

#[test]
fn what_was_kept_for_an_expired_client_is_freed() {
    let mut world = World::new();
    world.register("slow");
    world.wait(100);
    world.register("a");
    world.close(1, 10);
    world.close(2, 20);
    world.tell("a");
    world.close(3, 30);
    assert_eq!(world.clients.closed_kept(), 3);
    world.wait(21);
    assert!(!lives(&mut world, "slow"));
    assert_eq!(world.clients.closed_kept(), 1);
    assert_eq!(world.tell("a"), [(3, 30, true)]);
}
