//! The live table, one rule at a time.

mod fixtures;
#[path = "fixtures/tables.rs"]
mod tables;

use connections::{
    ConnectionId, Counters, Direction, Ending, Event, Facts, FailureKind, KernelTime, Listener, Loss,
    Observation, Owner, OwnerSource, RawCounters, State, Table, TableCounts, TcpFacts,
};
use fixtures::{ending, observation};
use tables::{end_pass, only_closed, only_live, owner, table};

const SECOND: u64 = 1_000_000_000;

fn sent(cookie: u64, sent_bytes: u64) -> Observation {
    Observation { counters: RawCounters { sent_bytes, ..RawCounters::default() }, ..observation(cookie) }
}

fn older(cookie: u64, sent_bytes: u64) -> Observation {
    Observation { pre_existing: true, direction: Direction::Unknown, ..sent(cookie, sent_bytes) }
}

fn closed(observation: Observation) -> Event {
    Event::Closed(Observation { state: State::Closed, ..observation }, ending(KernelTime(77)))
}

fn bytes(sent_bytes: u64) -> Counters {
    Counters { sent_bytes, ..Counters::default() }
}

fn listener(netns: u32, local: &str, owner: Option<Owner>) -> Listener {
    let id = ConnectionId { cookie: 900 + u64::from(netns), claimed_at: KernelTime(1) };
    Listener { id, netns, local: local.parse().expect("an address"), owner }
}

fn incoming(cookie: u64) -> Observation {
    let mut observation = observation(cookie);
    observation.direction = Direction::Incoming;
    observation.tuple.local.set_port(80);
    observation
}

#[test]
fn readings_and_a_close_end_in_one_closed_connection_with_the_final_counters() {
    let mut table = table([Event::Read(sent(1, 10)), Event::Read(sent(1, 15))]);
    assert_eq!(only_live(&table).total, bytes(15));
    assert!(table.take_closed().is_empty());
    table.apply(closed(sent(1, 20)));
    let connection = only_closed(&mut table);
    assert_eq!((connection.total, connection.before), (bytes(20), bytes(0)));
    assert_eq!((connection.state, connection.closed_at), (State::Closed, Some(KernelTime(77))));
    assert_eq!(connection.opened_at, Some(connection.id.claimed_at));
    assert_eq!((table.live_count(), table.take_closed().len()), (0, 0));
    assert_eq!(table.counts(), TableCounts { closed: 1, ..TableCounts::default() });
}

#[test]
fn a_connection_opened_and_closed_between_two_passes_is_told_whole() {
    let mut table = table([closed(sent(1, 20))]);
    assert_eq!(only_closed(&mut table).total, bytes(20));
    assert_eq!(table.counts(), TableCounts { closed: 1, ..TableCounts::default() });
}

#[test]
fn a_socket_that_connects_again_is_another_connection() {
    let again = |sent_bytes| Observation {
        id: ConnectionId { cookie: 1, claimed_at: KernelTime(5) },
        ..sent(1, sent_bytes)
    };
    let mut table =
        table([Event::Read(sent(1, 10)), closed(sent(1, 10)), Event::Read(again(3)), closed(again(4))]);
    let totals: Vec<_> = table.take_closed().iter().map(connections::Closed::total).collect();
    assert_eq!(totals, [bytes(10), bytes(4)]);
}

#[test]
fn the_total_of_an_adopted_connection_starts_at_zero_and_the_rest_is_before() {
    let mut table = table([Event::Adopted(older(1, 1000))]);
    let adopted = only_live(&table);
    assert_eq!((adopted.total, adopted.before, adopted.opened_at), (bytes(0), bytes(1000), None));
    table.apply(Event::Read(older(1, 1007)));
    assert_eq!(only_live(&table).total, bytes(7));
    table.apply(closed(older(1, 1010)));
    let connection = only_closed(&mut table);
    assert_eq!((connection.total, connection.before), (bytes(10), bytes(1000)));
    assert_eq!(table.counts(), TableCounts { closed: 1, ..TableCounts::default() });
}

#[test]
fn an_older_connection_that_was_not_adopted_never_tells_old_bytes_as_new() {
    let mut table = table([Event::Read(older(1, 1000)), Event::Read(older(1, 1001)), closed(older(2, 500))]);
    assert_eq!((only_live(&table).total, only_live(&table).before), (bytes(1), bytes(1000)));
    let connection = only_closed(&mut table);
    assert_eq!((connection.total, connection.before), (bytes(0), bytes(500)));
    assert_eq!(table.counts().untracked, 2);
}

#[test]
fn adopting_a_connection_twice_keeps_its_total_and_is_no_anomaly() {
    let mut table = table([Event::Adopted(older(1, 1000)), Event::Read(older(1, 1007))]);
    table.apply(Event::Adopted(older(1, 1008)));
    assert_eq!(only_live(&table).total, bytes(7));
    table.apply(closed(older(1, 1010)));
    table.apply(Event::Adopted(older(1, 1010)));
    assert_eq!((table.live_count(), table.counts().anomalies), (0, 0));
}

#[test]
fn nothing_that_comes_late_revives_a_closed_connection() {
    let mut table = table([Event::Read(sent(1, 10)), closed(sent(1, 20))]);
    assert_eq!(only_closed(&mut table).total, bytes(20));
    for second in 0..3 {
        table.apply(Event::Read(sent(1, 10)));
        table.apply(closed(sent(1, 20)));
        assert_eq!((table.live_count(), table.take_closed().len()), (0, 0), "second {second}");
        end_pass(&mut table, second);
    }
    assert_eq!(table.counts(), TableCounts { closed: 1, anomalies: 3, ..TableCounts::default() });
}

#[test]
fn a_counter_that_goes_backwards_keeps_its_value_and_is_counted() {
    let mut table = table([Event::Read(sent(1, 10)), Event::Read(sent(1, 7))]);
    assert_eq!((only_live(&table).total, table.counts().anomalies), (bytes(10), 1));
    table.apply(closed(sent(1, 12)));
    assert_eq!(only_closed(&mut table).total, bytes(12));
}

#[test]
fn one_missed_pass_changes_nothing() {
    let mut table = table([Event::Read(sent(1, 10))]);
    let before = only_live(&table);
    end_pass(&mut table, 0);
    end_pass(&mut table, 60);
    assert_eq!(only_live(&table), before);
    table.apply(Event::Read(sent(1, 12)));
    assert_eq!(only_live(&table).total, bytes(12));
    assert_eq!(table.counts(), TableCounts::default());
}

#[test]
fn three_missed_passes_in_a_row_are_a_close_that_was_not_seen() {
    let mut table = table([Event::Read(sent(1, 10))]);
    for second in [0, 60, 120] {
        end_pass(&mut table, second);
    }
    // Read again: what was missed before no longer counts.
    table.apply(Event::Read(sent(1, 11)));
    for second in [180, 240, 300] {
        end_pass(&mut table, second);
    }
    assert_eq!((table.live_count(), table.take_closed().len()), (1, 0));
    end_pass(&mut table, 360);
    let connection = only_closed(&mut table);
    assert_eq!((connection.total, connection.state), (bytes(11), State::Closed));
    assert_eq!((connection.closed_at, connection.failure), (Some(KernelTime(360 * SECOND)), None));
    assert_eq!(table.live_count(), 0);
    assert_eq!(
        (table.counts().closed, table.counts().close_not_seen),
        (1, Loss { connections: 1, bytes: 0 })
    );
}

#[test]
fn passes_in_quick_succession_do_not_bury_a_connection_whose_final_record_is_held_back() {
    let mut table = table([Event::Read(sent(1, 10))]);
    end_pass(&mut table, 0);
    for second in [60, 60, 61, 61, 62, 62, 63, 63, 64] {
        end_pass(&mut table, second);
    }
    assert_eq!(only_live(&table).total, bytes(10));
    table.apply(closed(sent(1, 500)));
    assert_eq!(only_closed(&mut table).total, bytes(500));
    assert_eq!(table.counts(), TableCounts { closed: 1, ..TableCounts::default() });
}

#[test]
fn a_listener_is_a_guess_until_a_better_owner_is_known_and_never_after() {
    let source = |table: &Table| only_live(table).owner.map(|owner| (owner.pid, owner.source));
    let read_with = |pid, source| Event::Read(Observation { owner: Some(owner(pid, source)), ..incoming(1) });
    let guess = listener(1, "0.0.0.0:80", Some(owner(5, OwnerSource::Connect)));
    let mut table = table([Event::Listening(guess), Event::Read(incoming(1))]);
    assert_eq!(source(&table), Some((5, OwnerSource::Listener)));
    table.apply(read_with(6, OwnerSource::Descriptor));
    assert_eq!(source(&table), Some((6, OwnerSource::Descriptor)));
    table.apply(Event::Read(incoming(1)));
    assert_eq!(source(&table), Some((6, OwnerSource::Descriptor)));
    table.apply(read_with(7, OwnerSource::Close));
    table.apply(read_with(6, OwnerSource::Descriptor));
    assert_eq!(source(&table), Some((7, OwnerSource::Close)), "of several holders the last");
    table.apply(read_with(8, OwnerSource::Connect));
    assert_eq!(source(&table), Some((8, OwnerSource::Connect)));
}

#[test]
fn the_task_that_closes_replaces_the_guess() {
    let guess = listener(1, "0.0.0.0:80", Some(owner(5, OwnerSource::Connect)));
    let mut table = table([Event::Listening(guess), Event::Read(incoming(1))]);
    table.apply(closed(Observation { owner: Some(owner(9, OwnerSource::Close)), ..incoming(1) }));
    assert_eq!(only_closed(&mut table).owner, Some(owner(9, OwnerSource::Close)));
}

#[test]
fn a_listener_explains_only_what_came_in_through_it() {
    let elsewhere = listener(2, "0.0.0.0:80", Some(owner(5, OwnerSource::Connect)));
    let other_port = listener(1, "0.0.0.0:81", Some(owner(5, OwnerSource::Connect)));
    let mut outgoing = incoming(1);
    outgoing.direction = Direction::Outgoing;
    let here = listener(1, "0.0.0.0:80", Some(owner(5, OwnerSource::Connect)));
    for (listener, observation) in [(elsewhere, incoming(1)), (other_port, incoming(1)), (here, outgoing)] {
        let table = table([Event::Listening(listener), Event::Read(observation)]);
        assert_eq!(only_live(&table).owner, None);
    }
}

#[test]
fn the_direction_of_an_older_connection_follows_from_the_listeners_of_its_namespace() {
    let mut here = older(1, 0);
    here.tuple.local.set_port(80);
    let mut elsewhere = older(2, 0);
    (elsewhere.tuple.netns, elsewhere.tuple.local) = (2, here.tuple.local);
    let mut table = table([Event::Adopted(here), Event::Adopted(elsewhere)]);
    assert!(table.connections().all(|connection| connection.direction == Direction::Unknown));
    table.apply(Event::Listening(listener(1, "0.0.0.0:80", None)));
    end_pass(&mut table, 0);
    let direction = |table: &Table, id| table.connections().find(|c| c.id == id).map(|c| c.direction);
    assert_eq!(direction(&table, here.id), Some(Direction::Incoming));
    assert_eq!(direction(&table, elsewhere.id), Some(Direction::Outgoing));
    // The listener goes; what was learnt stays.
    end_pass(&mut table, 1);
    table.apply(Event::Read(here));
    end_pass(&mut table, 2);
    assert_eq!(direction(&table, here.id), Some(Direction::Incoming));
}

#[test]
fn a_listener_that_closed_before_its_first_reading_still_tells_the_direction() {
    let mut observation = older(1, 0);
    observation.tuple.local.set_port(80);
    let mut table = table([Event::Adopted(observation)]);
    table.apply(Event::Read(observation));
    table.apply(Event::ListenerClosed(listener(1, "0.0.0.0:80", None)));
    end_pass(&mut table, 0);
    assert_eq!(only_live(&table).direction, Direction::Incoming);
    assert_eq!(table.listeners().iter().count(), 0);
}

#[test]
fn the_direction_that_the_kernel_side_saw_is_not_replaced() {
    let mut outgoing = older(1, 0);
    outgoing.direction = Direction::Outgoing;
    outgoing.tuple.local.set_port(80);
    let mut table = table([Event::Adopted(outgoing), Event::Listening(listener(1, "0.0.0.0:80", None))]);
    end_pass(&mut table, 0);
    assert_eq!(only_live(&table).direction, Direction::Outgoing);
}

#[test]
fn a_direction_that_shows_later_is_told() {
    let unknown = Observation { direction: Direction::Unknown, ..observation(1) };
    let mut table = table([Event::Read(unknown)]);
    table.apply(Event::Read(Observation { direction: Direction::Outgoing, ..observation(1) }));
    assert_eq!(only_live(&table).direction, Direction::Outgoing);
    // What is known stays.
    table.apply(Event::Read(unknown));
    assert_eq!(only_live(&table).direction, Direction::Outgoing);
}

#[test]
fn the_direction_of_a_new_connection_is_never_guessed() {
    let mut table = table([Event::Read(Observation { direction: Direction::Unknown, ..observation(1) })]);
    end_pass(&mut table, 0);
    assert_eq!(only_live(&table).direction, Direction::Unknown);
}

#[test]
fn an_unchanged_connection_is_there_although_no_reading_of_it_comes() {
    let mut table = table([Event::Read(sent(1, 10))]);
    for second in 0..30 {
        table.apply(Event::Unchanged(vec![observation(1).id]));
        end_pass(&mut table, second);
    }
    assert_eq!((only_live(&table).total, table.counts()), (bytes(10), TableCounts::default()));
}

#[test]
fn an_unchanged_connection_that_had_no_room_is_counted_and_a_late_word_of_a_closed_one_is_not() {
    let mut table = table([Event::Read(sent(1, 10)), closed(sent(1, 10))]);
    table.apply(Event::Unchanged(vec![observation(1).id, observation(2).id]));
    end_pass(&mut table, 1);
    assert_eq!((table.counts().without_room, table.live_count()), (1, 0));
}

#[test]
fn beyond_the_limit_connections_are_counted_and_their_closes_still_told_exactly() {
    let mut table = Table::new(1);
    table.apply(Event::Read(sent(1, 10)));
    table.apply(Event::Read(sent(2, 20)));
    table.apply(Event::Read(older(3, 30)));
    assert_eq!((only_live(&table).id.cookie, table.counts().without_room), (1, 0));
    end_pass(&mut table, 1);
    assert_eq!(table.counts().without_room, 2, "in the last pass");
    table.apply(closed(sent(2, 25)));
    let untracked = only_closed(&mut table);
    assert_eq!((untracked.id.cookie, untracked.total), (2, bytes(25)));
    assert_eq!(only_live(&table).total, bytes(10));
}

#[test]
fn a_connection_that_had_no_room_is_whole_once_there_is_room() {
    let mut table = Table::new(1);
    table.apply(Event::Read(sent(1, 10)));
    table.apply(Event::Read(sent(2, 20)));
    table.apply(closed(sent(1, 10)));
    table.apply(Event::Read(sent(2, 30)));
    assert_eq!((only_live(&table).id.cookie, only_live(&table).total), (2, bytes(30)));
}

#[test]
fn a_reading_brings_the_newest_facts_and_keeps_the_first_establishment() {
    let connecting = Observation { state: State::SynSent, ..observation(1) };
    let mut bound = observation(1);
    bound.tuple.local.set_port(50_000);
    bound.established_at = Some(KernelTime(9));
    bound.facts = Facts::Tcp(TcpFacts { srtt_us: Some(180), ..TcpFacts::default() });
    let mut table = table([Event::Read(connecting), Event::Read(bound)]);
    let connection = only_live(&table);
    assert_eq!(
        (connection.state, connection.tuple, connection.facts),
        (State::Established, bound.tuple, bound.facts)
    );
    table.apply(Event::Read(Observation { established_at: None, ..bound }));
    assert_eq!(only_live(&table).established_at, Some(KernelTime(9)));
}

#[test]
fn a_close_with_an_error_is_a_failure() {
    let refused = Ending { closed_at: KernelTime(3), state_before: State::SynSent, errno: 111 };
    let mut table = table([Event::Closed(observation(1), refused)]);
    let connection = only_closed(&mut table);
    assert_eq!(connection.failure.map(|failure| failure.kind), Some(FailureKind::Refused));
    assert_eq!((connection.state, connection.established_at), (State::Closed, None));
}
