//! What an answer tells.

use connections::{
    Command, Ending, Event, FailureKind, KernelTime, Loss, Losses, Observation, Owner, OwnerSource, State,
};
use deltas::{Coverage, Health, Registration};

use crate::fixtures::{datagrams, observation};
use crate::world::{SECOND, USER, World, told};

#[test]
fn the_first_answer_tells_totals_and_the_next_ones_what_was_added() {
    let mut world = World::new();
    world.read(1, 10);
    world.read(2, 20);
    world.register("a");
    assert_eq!(world.tell("a"), [(1, 10, false), (2, 20, false)]);
    assert_eq!(world.tell("a"), []);
    world.read(1, 13);
    assert_eq!(world.tell("a"), [(1, 3, false)]);
}

#[test]
fn a_change_of_state_is_told_although_no_counter_moved() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    world.tell("a");
    world.table.apply(Event::Read(Observation { state: State::CloseWait, ..observation(1, 10) }));
    assert_eq!(world.tell("a"), [(1, 0, false)]);
    assert_eq!(world.tell("a"), []);
}

#[test]
fn a_failure_of_a_live_udp_connection_is_told_once_although_no_counter_moved() {
    let failing = |at| Observation { failed: Some((111, KernelTime(at))), ..datagrams(1, 10) };
    let mut world = World::new();
    world.register("a");
    world.table.apply(Event::Read(datagrams(1, 10)));
    assert_eq!(world.tell("a"), [(1, 10, false)]);
    world.table.apply(Event::Read(failing(5)));
    let delta = world.poll("a");
    assert_eq!(told(&delta), [(1, 0, false)]);
    let failure = delta.changes.iter().next().and_then(|change| change.connection.failure);
    assert_eq!(failure.map(|failure| failure.kind), Some(FailureKind::Refused));
    world.roll_back(&delta);
    assert_eq!(world.tell("a"), [(1, 0, false)], "the answer was lost");
    world.table.apply(Event::Read(failing(6)));
    assert_eq!(world.tell("a"), []);
    let ending = Ending { closed_at: world.now, state_before: State::Open, errno: 111 };
    world.table.apply(Event::Closed(failing(6), ending));
    world.table.take_closed().into_iter().for_each(|connection| world.clients.keep_closed(connection));
    assert_eq!(world.tell("a"), [(1, 0, true)], "that it ended is news");
}

#[test]
fn an_owner_that_is_learnt_is_told_although_no_counter_moved() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    world.tell("a");
    let owner = Owner {
        pid: 5,
        tid: 5,
        uid: 0,
        command: Command::default(),
        cgroup_id: None,
        container: None,
        started_at_boot_ns: 0,
        kernel: false,
        source: OwnerSource::Descriptor,
    };
    world.table.apply(Event::Read(Observation { owner: Some(owner), ..observation(1, 10) }));
    let delta = world.poll("a");
    assert_eq!(delta.changes.iter().next().map(|change| change.connection.owner), Some(Some(owner)));
}

#[test]
fn a_closed_connection_is_told_as_closed_exactly_once_to_each_client() {
    let mut world = World::new();
    world.register("a");
    world.register("b");
    world.read(1, 10);
    assert_eq!(world.tell("a"), [(1, 10, false)]);
    world.close(1, 15);
    assert_eq!(world.tell("a"), [(1, 5, true)]);
    assert_eq!(world.tell("a"), []);
    assert_eq!(world.tell("b"), [(1, 15, true)]);
    assert_eq!(world.tell("b"), []);
    assert_eq!((world.state("a").baselines, world.state("b").baselines), (0, 0));
}

#[test]
fn a_client_is_not_told_of_connections_that_closed_before_it_was_registered() {
    let mut world = World::new();
    world.register("a");
    world.close(1, 10);
    world.read(2, 20);
    world.register("b");
    world.close(3, 30);
    assert_eq!(world.tell("b"), [(2, 20, false), (3, 30, true)]);
}

#[test]
fn a_lost_answer_is_told_again_merged_with_what_came_since() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    world.close(2, 20);
    let lost = world.poll("a");
    assert_eq!(told(&lost), [(1, 10, false), (2, 20, true)]);
    world.roll_back(&lost);
    world.close(1, 12);
    world.read(3, 30);
    let again = world.poll("a");
    assert_eq!(told(&again), [(1, 12, true), (2, 20, true), (3, 30, false)]);
    assert_eq!((again.sequence, again.acknowledged, again.from), (2, 0, lost.from));
    world.acknowledge(&again);
    assert_eq!(world.tell("a"), []);
}

#[test]
fn what_closes_while_an_answer_is_on_its_way_is_told_by_the_next_one() {
    let mut world = World::new();
    world.register("a");
    world.read(1, 10);
    let delta = world.poll("a");
    world.close(1, 12);
    world.acknowledge(&delta);
    assert_eq!(world.tell("a"), [(1, 2, true)]);
    assert_eq!(world.state("a").baselines, 0);
}

#[test]
fn clients_that_poll_at_different_times_add_up_to_the_same_totals() {
    let mut world = World::new();
    world.register("often");
    world.register("once");
    let mut sum = 0;
    for total in [3, 7, 20] {
        world.read(1, total);
        sum += world.tell("often").iter().map(|(_, sent_bytes, _)| sent_bytes).sum::<u64>();
    }
    assert_eq!((sum, world.tell("once")), (20, vec![(1, 20, false)]));
}

#[test]
fn answers_join_without_a_gap() {
    let mut world = World::new();
    let began_at = world.now;
    world.register("a");
    world.wait(5);
    let first = world.poll("a");
    assert_eq!((first.sequence, first.acknowledged), (1, 0));
    assert_eq!((first.from, first.to, first.coverage.interval_ns), (began_at, world.now, 5 * SECOND));
    world.wait(1);
    world.acknowledge(&first);
    world.wait(2);
    let second = world.poll("a");
    assert_eq!((second.sequence, second.acknowledged), (2, 1));
    assert_eq!((second.from, second.to, second.coverage.interval_ns), (first.to, world.now, 3 * SECOND));
}

#[test]
fn coverage_is_what_was_missed_since_the_acknowledged_answer() {
    let mut world = World::new();
    let health = |untracked, ring_bytes| Health {
        losses: Losses { ring_full: Loss { connections: 1, bytes: ring_bytes }, ..Losses::default() },
        untracked,
        excluded: 7 * untracked,
        anomalies: 3 * untracked,
        ..Health::default()
    };
    let mut coverage = |untracked, ring_bytes, delivered| {
        assert!(world.register_as("a", USER).is_ok());
        let ticket = world.begin("a");
        let delta = world
            .clients
            .answer(&ticket, &world.table, health(untracked, ring_bytes), world.now)
            .expect("an answer");
        world.end(&ticket, delivered);
        let Coverage { losses, untracked, excluded, anomalies, .. } = delta.coverage;
        assert_eq!(excluded, 7 * untracked);
        (losses.ring_full.bytes, untracked, anomalies, delta.coverage.complete())
    };
    assert_eq!(coverage(2, 100, true), (100, 2, 6, false));
    assert_eq!(coverage(2, 100, true), (0, 0, 0, true));
    assert_eq!(coverage(3, 150, false), (50, 1, 3, false));
    assert_eq!(coverage(5, 170, true), (70, 3, 9, false));
    assert_eq!(coverage(5, 170, true), (0, 0, 0, true));
}

#[test]
fn an_answer_is_independent_of_what_happens_afterwards() {
    let mut world = World::new();
    assert_eq!(world.register_as("a", USER), Ok(Registration::New));
    world.read(1, 10);
    let delta = world.poll("a");
    world.read(1, 50);
    world.remove("a");
    assert_eq!(told(&delta), [(1, 10, false)]);
    assert_eq!(delta.to, KernelTime(1000 * SECOND));
}
