//! UDP in the live table: what it has in common with TCP, and what it has not. How the kernel side finds out that
//! a UDP connection began or ended is not its business.

mod fixtures;
#[path = "fixtures/tables.rs"]
mod tables;

use connections::{
    Common, Connection, ConnectionId, Counters, Direction, Ending, Event, Facts, Failure, FailureKind,
    KernelTime, Listener, Loss, Observation, Owner, OwnerSource, Protocol, RawCounters, RollUp, RollUpKey,
    RolledUp, State, TableCounts, UdpFacts,
};
use fixtures::{ending, observation};
use tables::{end_pass, only_closed, only_live, owner, table};

const SECOND: u64 = 1_000_000_000;
const ECONNREFUSED: u16 = 111;
const EHOSTUNREACH: u16 = 113;
const EMSGSIZE: u16 = 90;
const REFUSED: Failure = Failure { kind: FailureKind::Refused, errno: Some(ECONNREFUSED) };

/// This many datagrams of 10 bytes were sent.
fn sent(cookie: u64, datagrams: u32) -> Observation {
    let mut observation = observation(cookie);
    observation.tuple.protocol = Protocol::Udp;
    Observation {
        state: State::Open,
        counters: RawCounters {
            sent_bytes: u64::from(datagrams) * 10,
            sent_packets: datagrams,
            ..RawCounters::default()
        },
        facts: Facts::Udp(UdpFacts::default()),
        ..observation
    }
}

/// The other end sent first, to port 80.
fn incoming(cookie: u64) -> Observation {
    let mut observation = Observation { direction: Direction::Incoming, ..sent(cookie, 1) };
    observation.tuple.local.set_port(80);
    observation
}

fn failed(errno: u16, at: u64) -> Observation {
    Observation { failed: Some((errno, KernelTime(at))), ..sent(1, 5) }
}

fn closed(observation: Observation, errno: u16) -> Event {
    let ending = Ending { state_before: State::Open, errno, ..ending(KernelTime(77)) };
    Event::Closed(Observation { state: State::Closed, ..observation }, ending)
}

fn total(datagrams: u64) -> Counters {
    Counters { sent_bytes: datagrams * 10, sent_packets: datagrams, ..Counters::default() }
}

fn sender(pid: u32) -> Owner {
    owner(pid, OwnerSource::Send)
}

/// Serves port 80 on all addresses.
fn listener() -> Event {
    let id = ConnectionId { cookie: 900, claimed_at: KernelTime(1) };
    let owner = owner(5, OwnerSource::Connect);
    Event::Listening(Listener { id, netns: 1, local: ([0, 0, 0, 0], 80).into(), owner: Some(owner) })
}

fn rolled_up(common: Option<Common>, datagrams: u64) -> Event {
    Event::RollUp(Box::new(RollUp {
        key: RollUpKey { protocol: Protocol::Udp, common },
        owner: None,
        connections: 0,
        total: total(datagrams),
        established: None,
        counts_rtos: false,
        failures: Vec::new(),
        last_closed_at: KernelTime(77),
    }))
}

fn failure(connection: &Connection) -> (Option<Failure>, Option<KernelTime>) {
    (connection.failure, connection.failed_at)
}

#[test]
fn readings_and_a_close_end_in_one_closed_connection_with_the_final_counters() {
    let mut table = table([Event::Read(sent(1, 3)), Event::Read(sent(1, 5))]);
    let live = only_live(&table);
    assert_eq!((live.total, live.state, live.opened_at), (total(5), State::Open, Some(live.id.claimed_at)));
    table.apply(closed(sent(1, 8), 0));
    let connection = only_closed(&mut table);
    assert_eq!((connection.total, connection.before), (total(8), total(0)));
    assert_eq!((connection.state, connection.closed_at), (State::Closed, Some(KernelTime(77))));
    assert_eq!((connection.established_at, failure(&connection)), (None, (None, None)));
    assert_eq!(table.counts(), TableCounts { closed: 1, ..TableCounts::default() });
}

#[test]
fn a_connection_that_rested_too_long_is_closed_and_what_comes_after_is_another() {
    let again = |datagrams| {
        let id = ConnectionId { cookie: 1, claimed_at: KernelTime(9 * SECOND) };
        Observation { id, ..sent(1, datagrams) }
    };
    let mut table = table([Event::Read(sent(1, 3)), closed(sent(1, 3), 0), Event::Read(again(1))]);
    let first = only_closed(&mut table);
    assert_eq!((first.total, first.failure), (total(3), None));
    // A reading that was on its way does not revive it.
    table.apply(Event::Read(sent(1, 3)));
    let second = only_live(&table);
    assert_eq!((second.id, second.tuple, second.total), (again(1).id, first.tuple, total(1)));
    table.apply(closed(again(2), 0));
    assert_eq!(only_closed(&mut table).total, total(2));
    assert_eq!(table.counts(), TableCounts { closed: 2, ..TableCounts::default() });
}

#[test]
fn a_close_that_was_not_seen_is_found_out_as_for_tcp() {
    let mut table = table([Event::Read(failed(ECONNREFUSED, 40))]);
    for second in [0, 60, 120, 180] {
        end_pass(&mut table, second);
    }
    let connection = only_closed(&mut table);
    assert_eq!((connection.total, connection.state), (total(5), State::Closed));
    assert_eq!(failure(&connection), (Some(REFUSED), Some(KernelTime(40))), "what was told stays");
    assert_eq!(table.counts().close_not_seen, Loss { connections: 1, bytes: 0 });
}

#[test]
fn a_failure_while_it_lives_is_news_once() {
    let mut table = table([Event::Read(sent(1, 5))]);
    assert_eq!(failure(&only_live(&table)), (None, None));
    let told = table.told();
    table.apply(Event::Read(failed(ECONNREFUSED, 40)));
    assert_eq!(failure(&only_live(&table)), (Some(REFUSED), Some(KernelTime(40))));
    assert_eq!((only_live(&table).state, only_live(&table).closed_at), (State::Open, None));
    assert_eq!(table.news_since(&told).iter().count(), 1, "although no counter moved");
    let told = table.told();
    table.apply(Event::Read(failed(ECONNREFUSED, 40)));
    table.apply(Event::Read(failed(ECONNREFUSED, 50)));
    assert_eq!(table.news_since(&told).iter().count(), 0, "the same again");
    assert_eq!(only_live(&table).failed_at, Some(KernelTime(50)), "the last");
    table.apply(Event::Read(failed(EHOSTUNREACH, 60)));
    assert_eq!(table.news_since(&told).iter().count(), 1, "another one");
    assert_eq!(only_live(&table).failure.map(|failure| failure.kind), Some(FailureKind::Unreachable));
}

#[test]
fn a_failure_that_the_first_reading_brings_is_there_at_once() {
    let table = table([Event::Read(failed(ECONNREFUSED, 40))]);
    assert_eq!(failure(&only_live(&table)), (Some(REFUSED), Some(KernelTime(40))));
}

#[test]
fn a_closed_connection_failed_when_the_host_said_so_and_not_when_it_was_closed() {
    let mut table = table([Event::Read(sent(1, 5)), closed(failed(ECONNREFUSED, 40), ECONNREFUSED)]);
    assert_eq!(failure(&only_closed(&mut table)), (Some(REFUSED), Some(KernelTime(40))));
    let other_errors = |errno| {
        let mut table = self::table([closed(failed(errno, 40), errno)]);
        only_closed(&mut table).failure.map(|failure| (failure.kind, failure.errno))
    };
    assert_eq!(other_errors(EMSGSIZE), Some((FailureKind::Unreachable, Some(EMSGSIZE))));
    assert_eq!(other_errors(0), None, "no error is no failure");
}

#[test]
fn a_tcp_connection_failed_when_it_was_closed() {
    let refused = Ending { closed_at: KernelTime(77), state_before: State::SynSent, errno: ECONNREFUSED };
    let mut table = table([Event::Closed(observation(1), refused)]);
    assert_eq!(failure(&only_closed(&mut table)), (Some(REFUSED), Some(KernelTime(77))));
}

#[test]
fn a_listener_explains_neither_the_owner_nor_the_direction() {
    let older = Observation { pre_existing: true, direction: Direction::Unknown, ..incoming(2) };
    let mut table = table([listener(), Event::Read(incoming(1)), Event::Read(older)]);
    end_pass(&mut table, 1);
    table.apply(Event::Read(incoming(1)));
    let known = |cookie| {
        let found = table.connections().find(|connection| connection.id.cookie == cookie);
        found.map(|connection| (connection.direction, connection.owner))
    };
    assert_eq!(known(1), Some((Direction::Incoming, None)));
    assert_eq!(known(2), Some((Direction::Unknown, None)));
    table.apply(closed(older, 0));
    assert_eq!(only_closed(&mut table).direction, Direction::Unknown);
}

#[test]
fn the_last_sender_owns_it_whoever_connected_or_closed() {
    let by = |owner| Observation { owner: Some(owner), ..sent(1, 5) };
    let connected = Owner { source: OwnerSource::Connect, ..sender(6) };
    let mut table = table([Event::Read(by(connected)), Event::Read(by(sender(7)))]);
    assert_eq!(only_live(&table).owner, Some(sender(7)));
    table.apply(Event::Read(by(sender(8))));
    table.apply(Event::Read(by(connected)));
    assert_eq!(only_live(&table).owner, Some(sender(8)));
    table.apply(closed(by(Owner { source: OwnerSource::Close, ..sender(9) }), 0));
    assert_eq!(only_closed(&mut table).owner, Some(sender(8)));
}

#[test]
fn of_a_socket_older_than_the_tracer_everything_counted_is_new() {
    let older = |cookie, datagrams| Observation { pre_existing: true, ..sent(cookie, datagrams) };
    let mut table = table([Event::Read(older(1, 5)), closed(older(2, 8), 0)]);
    let live = only_live(&table);
    assert_eq!((live.total, live.before, live.opened_at), (total(5), total(0), None));
    let connection = only_closed(&mut table);
    assert_eq!((connection.total, connection.before, connection.pre_existing), (total(8), total(0), true));
    assert_eq!(table.counts(), TableCounts { closed: 1, ..TableCounts::default() });
}

#[test]
fn drops_and_assurance_stay_when_the_socket_is_gone_before_its_final_record() {
    let with = |drops, assured| Observation {
        facts: Facts::Udp(UdpFacts { counted: true, drops, assured }),
        ..sent(1, 5)
    };
    let mut table = table([Event::Read(with(1, false)), Event::Read(with(3, true))]);
    assert_eq!(only_live(&table).facts.udp(), Some(UdpFacts { counted: true, drops: 3, assured: true }));
    table.apply(closed(with(0, false), 0));
    let connection = only_closed(&mut table);
    assert_eq!(connection.facts.udp(), Some(UdpFacts { counted: true, drops: 3, assured: true }));
    assert_eq!((connection.facts.tcp(), table.counts().anomalies), (None, 0));
}

#[test]
fn datagrams_of_peers_without_room_are_told_though_the_number_of_peers_is_not_known() {
    let common = Common {
        netns: 1,
        direction: Direction::Incoming,
        service_port: Some(53),
        owner: Some((12, 34)),
        ends: None,
    };
    let mut table = table([rolled_up(Some(common), 4), rolled_up(None, 6), rolled_up(None, 0)]);
    let news = table.take_rolled_up();
    let told: Vec<_> =
        news.iter().map(|rollup| (rollup.connections, rollup.total, rollup.key.common)).collect();
    assert_eq!(told, [(0, total(4), Some(common)), (0, total(6), None)], "an empty one says nothing");
    assert!(news.iter().all(|rollup| rollup.key.protocol == Protocol::Udp));
    assert_eq!((table.take_rolled_up().len(), table.counts().rolled_up), (0, 0));
}

#[test]
fn what_was_told_of_tcp_is_not_taken_off_a_roll_up_of_udp() {
    let tcp = Observation { counters: sent(1, 3).counters, ..observation(1) };
    let key = RollUpKey { protocol: Protocol::Tcp, common: None };
    let name = RolledUp { id: tcp.id, key, closed_at: KernelTime(70), pre_existing: false };
    let mut table = table([Event::Read(tcp), Event::RolledUp(name), rolled_up(None, 9)]);
    let told: Vec<_> = table.take_rolled_up().iter().map(|rollup| rollup.total).collect();
    assert_eq!(told, [total(9)]);
}
