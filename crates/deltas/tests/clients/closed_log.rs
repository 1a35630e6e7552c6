//! What is kept of closed connections, for how long, and what is counted when it was not long enough.

use connections::Loss;
use deltas::Delta;

use crate::world::{World, told};

/// What the client's next answer, which it acknowledges, says of losses in the log.
fn lost(world: &mut World, client: &str) -> Loss {
    let delta = world.poll(client);
    world.acknowledge(&delta);
    assert_eq!(delta.coverage.complete(), delta.coverage.losses.closed_log_full == Loss::default());
    delta.coverage.losses.closed_log_full
}

#[test]
fn without_clients_nothing_is_kept() {
    let mut world = World::new();
    world.close(1, 10);
    assert_eq!(world.clients.closed_kept(), 0);
    world.register("a");
    world.close(2, 20);
    assert_eq!(world.clients.closed_kept(), 1);
    world.remove("a");
    world.close(3, 30);
    assert_eq!(world.clients.closed_kept(), 0);
}

#[test]
fn a_closed_connection_is_kept_until_the_slowest_client_has_acknowledged_it() {
    let mut world = World::new();
    world.register("a");
    world.register("b");
    world.close(1, 10);
    world.close(2, 20);
    world.tell("a");
    assert_eq!((world.clients.closed_kept(), world.state("a").closed_waiting), (2, 0));
    let delta = world.poll("b");
    world.close(3, 30);
    assert_eq!(world.clients.closed_kept(), 3);
    world.acknowledge(&delta);
    assert_eq!(world.clients.closed_kept(), 1);
    world.tell("b");
    world.tell("a");
    assert_eq!(world.clients.closed_kept(), 0);
}

#[test]
fn removing_the_slowest_client_frees_what_was_kept_for_it() {
    let mut world = World::new();
    world.register("a");
    world.register("slow");
    world.close(1, 10);
    world.tell("a");
    world.close(2, 20);
    world.remove("slow");
    assert_eq!(world.clients.closed_kept(), 1);
    assert_eq!(world.tell("a"), [(2, 20, true)]);
}

#[test]
fn at_the_limit_the_oldest_is_lost_to_those_who_were_not_told_and_to_nobody_else() {
    let mut world = World::with_closed_records(2);
    world.register("told");
    world.register("live");
    world.register("slow");
    world.read(1, 7);
    world.tell("live");
    world.close(1, 10);
    world.tell("told");
    world.close(2, 20);
    world.close(3, 30);
    assert_eq!(world.clients.closed_kept(), 2);
    assert_eq!(lost(&mut world, "told"), Loss::default());
    // It was told 7 of the 10 bytes while the connection was live.
    assert_eq!(lost(&mut world, "live"), Loss { connections: 1, bytes: 3 });
    assert_eq!(lost(&mut world, "slow"), Loss { connections: 1, bytes: 10 });
    for client in ["told", "live", "slow"] {
        assert_eq!(lost(&mut world, client), Loss::default());
        assert_eq!((world.state(client).baselines, world.state(client).closed_waiting), (0, 0));
    }
    // Once for all clients, with the bytes of the one that was told least.
    assert_eq!(world.clients.given_up(), Loss { connections: 1, bytes: 10 });
}

#[test]
fn a_loss_is_told_again_when_the_answer_that_told_it_was_lost() {
    let mut world = World::with_closed_records(1);
    world.register("a");
    world.close(1, 10);
    world.close(2, 20);
    let delta = world.poll("a");
    assert_eq!(delta.coverage.losses.closed_log_full, Loss { connections: 1, bytes: 10 });
    world.roll_back(&delta);
    assert_eq!(lost(&mut world, "a"), Loss { connections: 1, bytes: 10 });
    assert_eq!(lost(&mut world, "a"), Loss::default());
}

#[test]
fn what_a_pending_answer_told_as_closed_is_lost_only_if_that_answer_is() {
    for (delivered, loss) in [(true, Loss::default()), (false, Loss { connections: 1, bytes: 3 })] {
        let mut world = World::with_closed_records(1);
        world.register("a");
        world.read(1, 7);
        world.tell("a");
        world.close(1, 10);
        let delta = world.poll("a");
        assert_eq!(told(&delta), [(1, 3, true)]);
        world.close(2, 20);
        if delivered {
            world.acknowledge(&delta)
        } else {
            world.roll_back(&delta)
        }
        let next = world.poll("a");
        assert_eq!(told(&next), [(2, 20, true)]);
        assert_eq!(next.coverage.losses.closed_log_full, loss);
        world.acknowledge(&next);
        assert_eq!((world.tell("a"), world.state("a").baselines), (vec![], 0));
    }
}

#[test]
fn of_what_a_pending_answer_told_live_the_rest_is_lost() {
    for (delivered, bytes) in [(true, 2), (false, 6)] {
        let mut world = World::with_closed_records(1);
        world.register("a");
        world.read(1, 4);
        world.tell("a");
        world.read(1, 8);
        let delta = world.poll("a");
        world.close(1, 10);
        world.close(2, 20);
        if delivered {
            world.acknowledge(&delta)
        } else {
            world.roll_back(&delta)
        }
        assert_eq!(world.state("a").closed_waiting, 1);
        assert_eq!(lost(&mut world, "a"), Loss { connections: 1, bytes });
        assert_eq!((world.tell("a"), world.state("a").baselines), (vec![], 0));
    }
}

#[test]
fn a_flood_of_closes_during_a_pending_answer_is_counted_exactly() {
    const FLOOD: u64 = 70_000;
    for (delivered, connections) in [(true, 0), (false, FLOOD)] {
        let mut world = World::with_closed_records(70_000);
        world.register("a");
        for cookie in 0..FLOOD {
            world.close(cookie, 10);
        }
        let delta = world.poll("a");
        for cookie in FLOOD..2 * FLOOD {
            world.close(cookie, 10);
        }
        if delivered {
            world.acknowledge(&delta)
        } else {
            world.roll_back(&delta)
        }
        assert_eq!(lost(&mut world, "a"), Loss { connections, bytes: 10 * connections });
        assert_eq!((world.tell("a"), world.clients.closed_kept()), (vec![], 0));
    }
}

/// Connections and bytes of each roll-up of an answer.
fn rolled_up(delta: &Delta) -> Vec<(u64, u64)> {
    delta.roll_ups.iter().map(|(_, rollup)| (rollup.connections, rollup.total.sent_bytes)).collect()
}

#[test]
fn a_roll_up_is_told_once_to_each_client_and_again_when_the_answer_was_lost() {
    let mut world = World::new();
    world.register("a");
    world.register("b");
    world.roll_up(5, 500);
    let lost = world.poll("a");
    assert_eq!(rolled_up(&lost), [(5, 500)]);
    world.roll_back(&lost);
    world.roll_up(2, 20);
    let again = world.poll("a");
    assert_eq!(rolled_up(&again), [(5, 500), (2, 20)]);
    assert_eq!(again.roll_ups.iter().next(), lost.roll_ups.iter().next(), "under the same number");
    world.acknowledge(&again);
    assert_eq!(rolled_up(&world.poll("a")), []);
    assert_eq!(rolled_up(&world.poll("b")), [(5, 500), (2, 20)]);
}

#[test]
fn of_the_roll_ups_of_the_kernel_side_the_oldest_is_lost_to_those_who_were_not_told() {
    let mut world = World::with_bounds(1, 1);
    world.register("slow");
    world.register("quick");
    world.roll_up(1, 10);
    assert_eq!(lost(&mut world, "quick"), Loss::default());
    let pending = world.poll("quick");
    world.roll_up(5, 500);
    world.acknowledge(&pending);
    let delta = world.poll("quick");
    assert_eq!((rolled_up(&delta), delta.coverage.losses.closed_log_full), (vec![(5, 500)], Loss::default()));
    let delta = world.poll("slow");
    let loss = Loss { connections: 1, bytes: 10 };
    assert_eq!((rolled_up(&delta), delta.coverage.losses.closed_log_full), (vec![(5, 500)], loss));
    assert_eq!(world.clients.given_up(), loss);
}

#[test]
fn what_a_slow_client_needs_takes_no_room_from_the_roll_ups_of_the_kernel_side() {
    let mut world = World::with_bounds(1, 1);
    world.register("slow");
    world.register("quick");
    for cookie in 1..=4 {
        world.close(cookie, 10);
        world.tell("quick");
    }
    world.roll_up(5, 50);
    world.close(5, 10);
    let delta = world.poll("quick");
    assert_eq!(rolled_up(&delta), [(5, 50)]);
    assert!(delta.coverage.complete());
}
