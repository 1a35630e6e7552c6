//! What the table says became known of the ends of connections.

mod fixtures;

use connections::{
    Command, Direction, End, Event, KernelTime, Listener, Observation, Owner, OwnerSource, RawCounters,
    State, Table,
};
use fixtures::{ending, observation};

const OWNER: Owner = Owner {
    pid: 7,
    tid: 7,
    uid: 0,
    command: Command([0; 16]),
    cgroup_id: None,
    container: None,
    started_at_boot_ns: 0,
    kernel: false,
    source: OwnerSource::Connect,
};

fn noting() -> Table {
    let mut table = Table::new(100);
    table.note_ends();
    table
}

fn after(table: &mut Table, observation: Observation) -> Vec<End> {
    table.apply(Event::Read(observation));
    table.take_ends()
}

#[test]
fn an_end_is_noted_when_it_is_new_and_when_something_of_it_changes() {
    let mut table = noting();
    let [End { connection, ended: false }] = after(&mut table, observation(1))[..] else {
        panic!("a new end")
    };
    assert_eq!(connection.tuple, observation(1).tuple);
    let counters = RawCounters { sent_bytes: 9, ..RawCounters::default() };
    let moved = Observation { counters, state: State::CloseWait, ..observation(1) };
    assert_eq!(after(&mut table, moved), [], "counters and states find no end");
    let owned = Observation { owner: Some(OWNER), ..observation(1) };
    let mut bound = owned;
    bound.tuple.local.set_port(40_001);
    for changed in [owned, bound, Observation { isns: Some((1, 2)), ..bound }] {
        assert_eq!(after(&mut table, changed).len(), 1, "{changed:?}");
        assert_eq!(after(&mut table, changed), [], "it is as it was");
    }
}

#[test]
fn a_direction_that_is_found_out_is_noted() {
    let mut table = noting();
    let older = Observation { pre_existing: true, direction: Direction::Unknown, ..observation(1) };
    assert_eq!(after(&mut table, older).len(), 1);
    let id = observation(9).id;
    table.apply(Event::Listening(Listener { id, netns: 1, local: older.tuple.local, owner: None }));
    table.apply(Event::PassEnded { at: KernelTime(1) });
    let [End { connection, .. }] = table.take_ends()[..] else { panic!("one end") };
    assert_eq!(connection.direction, Direction::Incoming);
}

#[test]
fn an_end_that_has_ended_is_noted_once_whether_it_was_seen_alive_or_not() {
    for seen in [true, false] {
        let mut table = noting();
        if seen {
            after(&mut table, observation(1));
        }
        let closed = Observation { state: State::Closed, ..observation(1) };
        table.apply(Event::Closed(closed, ending(KernelTime(77))));
        let [End { connection, ended: true }] = table.take_ends()[..] else {
            panic!("one end that has ended")
        };
        assert_eq!(connection.closed_at, Some(KernelTime(77)));
        assert_eq!(table.take_ends(), []);
    }
}

#[test]
fn nothing_is_noted_for_nobody() {
    let mut table = Table::new(100);
    assert_eq!(after(&mut table, observation(1)), []);
}
