//! Roll-ups of the kernel side: what was told of their connections before is never told again.

mod fixtures;

use connections::{
    Common, ConnectionId, Counters, Direction, Event, Failure, FailureKind, KernelTime, Loss, Observation,
    Protocol, RawCounters, RollUp, RollUpKey, RolledUp, State, Table,
};
use fixtures::{ending, observation};

const KEY: RollUpKey = RollUpKey {
    protocol: Protocol::Tcp,
    common: Some(Common {
        netns: 1,
        direction: Direction::Outgoing,
        service_port: Some(443),
        owner: Some((12, 34)),
        ends: None,
    }),
};

const REST: RollUpKey = RollUpKey { protocol: Protocol::Tcp, common: None };

fn sent(cookie: u64, sent_bytes: u64) -> Observation {
    Observation { counters: RawCounters { sent_bytes, ..RawCounters::default() }, ..observation(cookie) }
}

fn named(key: RollUpKey, cookie: u64, pre_existing: bool) -> Event {
    let ConnectionId { claimed_at, .. } = observation(cookie).id;
    let id = ConnectionId { cookie, claimed_at };
    Event::RolledUp(RolledUp { id, key, closed_at: KernelTime(70), pre_existing })
}

fn rolled_up(key: RollUpKey, connections: u64, sent_bytes: u64) -> Event {
    failed(key, connections, sent_bytes, 0)
}

fn failed(key: RollUpKey, connections: u64, sent_bytes: u64, refused: u64) -> Event {
    let refused_all = (Failure { kind: FailureKind::Refused, errno: Some(111) }, refused);
    Event::RollUp(Box::new(RollUp {
        key,
        owner: None,
        connections,
        total: Counters { sent_bytes, ..Counters::default() },
        established: None,
        counts_rtos: true,
        failures: if refused == 0 { Vec::new() } else { vec![refused_all] },
        last_closed_at: KernelTime(77),
    }))
}

fn table(events: impl IntoIterator<Item = Event>) -> Table {
    let mut table = Table::new(2);
    for event in events {
        table.apply(event);
    }
    table
}

/// Connections and bytes of the roll-ups that are news.
fn news(table: &mut Table) -> Vec<(u64, u64)> {
    table.take_rolled_up().iter().map(|rollup| (rollup.connections, rollup.total.sent_bytes)).collect()
}

#[test]
fn a_roll_up_of_connections_that_nobody_was_told_of_is_told_as_it_is() {
    let mut table = table([rolled_up(KEY, 5, 500)]);
    assert_eq!(news(&mut table), [(5, 500)]);
    assert_eq!((news(&mut table).len(), table.counts().rolled_up), (0, 5));
}

#[test]
fn what_was_told_live_closes_with_that_and_is_taken_off_the_roll_up() {
    let mut table = table([
        Event::Read(sent(1, 10)),
        Event::Read(sent(1, 30)),
        named(KEY, 1, false),
        rolled_up(KEY, 5, 500),
    ]);
    let closed = table.take_closed().pop().expect("a closed connection").connection();
    assert_eq!((closed.id.cookie, closed.total.sent_bytes), (1, 30));
    assert_eq!((closed.state, closed.closed_at), (State::Closed, Some(KernelTime(70))));
    assert_eq!(news(&mut table), [(4, 470)]);
    assert_eq!((table.live_count(), table.counts().anomalies), (0, 0));
}

#[test]
fn the_part_of_an_older_connection_before_tracing_is_not_told() {
    let older = Observation { pre_existing: true, ..sent(1, 1000) };
    let grown = Observation { pre_existing: true, ..sent(1, 1007) };
    let mut table =
        table([Event::Adopted(older), Event::Read(grown), named(KEY, 1, true), rolled_up(KEY, 1, 1010)]);
    let closed = table.take_closed().pop().expect("a closed connection").connection();
    assert_eq!((closed.total.sent_bytes, closed.before.sent_bytes), (7, 1000));
    assert_eq!(news(&mut table), [(0, 3)], "only the end of its counting is left");
}

#[test]
fn each_roll_up_loses_only_what_was_told_of_its_own_connections() {
    let mut table = table([
        Event::Read(sent(1, 10)),
        Event::Read(sent(2, 20)),
        named(KEY, 1, false),
        named(REST, 2, false),
        rolled_up(KEY, 3, 100),
        rolled_up(REST, 3, 100),
    ]);
    assert_eq!(news(&mut table), [(2, 90), (2, 80)]);
}

#[test]
fn a_roll_up_that_brings_nothing_new_is_not_told() {
    let mut table = table([Event::Read(sent(1, 10)), named(KEY, 1, false), rolled_up(KEY, 1, 10)]);
    assert_eq!(news(&mut table), []);
    table.apply(Event::Read(sent(2, 10)));
    table.apply(named(KEY, 2, false));
    table.apply(failed(KEY, 1, 10, 1));
    assert_eq!(news(&mut table), [(0, 0)], "how it ended is news");
}

#[test]
fn a_connection_that_had_no_room_here_was_not_told_and_stays_in_the_roll_up() {
    let mut table = table([
        Event::Read(sent(1, 10)),
        Event::Read(sent(2, 20)),
        Event::Read(sent(3, 30)),
        named(KEY, 3, false),
        rolled_up(KEY, 1, 40),
    ]);
    assert_eq!(news(&mut table), [(1, 40)]);
}

#[test]
fn with_an_older_connection_of_which_nothing_is_known_the_roll_up_is_a_loss() {
    let mut table = table([Event::Read(sent(1, 10)), named(KEY, 1, false), named(KEY, 9, true)]);
    table.apply(rolled_up(KEY, 5, 5000));
    assert_eq!(news(&mut table), []);
    assert_eq!(table.counts().ring_full, Loss { connections: 4, bytes: 4990 });
}

#[test]
fn a_name_without_its_roll_up_is_an_anomaly_and_is_forgotten_with_the_pass() {
    let mut table = table([
        Event::Read(sent(1, 10)),
        named(KEY, 1, false),
        Event::PassEnded { at: KernelTime(80) },
        rolled_up(KEY, 5, 500),
    ]);
    assert_eq!((news(&mut table), table.counts().anomalies), (vec![(5, 500)], 1));
}

#[test]
fn a_connection_that_closed_before_is_not_closed_again_by_its_name() {
    let mut table = table([
        Event::Read(sent(1, 10)),
        Event::Closed(sent(1, 10), ending(KernelTime(60))),
        named(KEY, 1, false),
    ]);
    assert_eq!((table.take_closed().len(), table.counts().anomalies), (1, 1));
}
