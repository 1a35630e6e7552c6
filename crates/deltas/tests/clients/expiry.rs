//! When a client is forgotten.

use deltas::{Ask, ClientLimits, Refusal, Registration, Settings, TTL_NS_MAX, TTL_NS_MIN};

use crate::world::{SECOND, USER, World};

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
    let ticket = world.begin("a");
    world.wait(100);
    world.end(&ticket, true);
    world.wait(100);
    assert!(lives(&mut world, "a"));
    world.wait(21);
    assert!(!lives(&mut world, "a"));
}

#[test]
fn asking_for_the_state_of_a_client_is_no_sign_of_life() {
    let mut world = World::new();
    world.register("a");
    world.wait(120);
    assert_eq!(world.state("a").heard_at.0 + 120 * SECOND, world.now.0);
    assert_eq!(world.clients.list_for(USER).len(), 1);
    world.wait(1);
    assert!(!lives(&mut world, "a"));
}

#[test]
fn a_client_never_expires_while_a_poll_of_it_is_in_flight() {
    let mut world = World::new();
    for (answered, delivered) in [(true, true), (true, false), (false, false)] {
        world.register("a");
        let ticket = world.begin("a");
        world.wait(10_000);
        assert!(lives(&mut world, "a"), "its poll waits for a pass");
        if answered {
            world.answer(ticket.clone()).expect("an answer");
            world.wait(10_000);
            assert!(lives(&mut world, "a"), "its answer is on its way");
        }
        world.end(&ticket, delivered);
        // Its time counts from the end of the answer.
        world.wait(120);
        assert!(lives(&mut world, "a"));
        world.wait(1);
        assert!(!lives(&mut world, "a"));
    }
}

#[test]
fn a_client_with_a_pending_answer_and_no_poll_in_flight_expires() {
    let mut world = World::new();
    world.register("a");
    world.poll_after("a", 0);
    assert_eq!(world.state("a").pending, Some(1));
    world.wait(120);
    assert!(lives(&mut world, "a"));
    world.wait(1);
    assert!(!lives(&mut world, "a"));
}

#[test]
fn a_client_lives_as_long_as_it_asked_for_within_the_bounds() {
    let asked = [(10, 10), (60, 60), (3600, 3600), (1, TTL_NS_MIN / SECOND), (9000, TTL_NS_MAX / SECOND)];
    for (asked, lived) in asked {
        let mut world = World::new();
        world.set("a", Settings { ttl_ns: Some(asked * SECOND), ..Settings::default() });
        world.register("of-others");
        world.wait(lived);
        assert!(lives(&mut world, "a"));
        world.now.0 += 1;
        assert!(!lives(&mut world, "a"));
        assert_eq!(lives(&mut world, "of-others"), lived < 120);
    }
}

#[test]
fn another_time_to_live_holds_at_once_and_until_another_is_asked_for() {
    let mut world = World::new();
    world.register("a");
    world.set("a", Settings { ttl_ns: Some(10 * SECOND), ..Settings::default() });
    world.register("a");
    assert_eq!(world.state("a").ttl_ns, 10 * SECOND);
    world.wait(11);
    assert!(!lives(&mut world, "a"));
    world.register("a");
    assert_eq!(world.state("a").ttl_ns, 120 * SECOND, "a new client has the default");
}

#[test]
fn an_expired_client_starts_anew() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    world.tell("a");
    world.wait(121);
    assert_eq!(world.begin_as("a", USER, Ask::default()), Err(Refusal::UnknownClient));
    assert_eq!(world.register_as("a", USER), Ok(Registration::New));
    let delta = world.poll("a");
    assert_eq!(
        (delta.sequence, delta.acknowledged, delta.changes.count()),
        (2, 0, 1),
        "no number comes twice"
    );
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
