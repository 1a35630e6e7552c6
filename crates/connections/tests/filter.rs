//! Rules of the filter, and what the table tells of connections that they exclude.

mod fixtures;
#[allow(dead_code, reason = "shared with the tests of the table, which use all of it")]
#[path = "fixtures/tables.rs"]
mod tables;

use std::hint::black_box;
use std::time::{Duration, Instant};

use connections::{
    Common, Counters, Criteria, Direction, Event, Filter, KernelTime, Observation, OwnerSource, Protocol,
    RawCounters, RollUp, RollUpKey, RolledUp, Table, TableCounts,
};
use fixtures::{ending, observation};
use tables::{end_pass, owner};

fn port(port: u16) -> Criteria {
    Criteria { port: Some(port..=port), ..Criteria::default() }
}

fn pid(pid: u32) -> Criteria {
    Criteria { pid: Some(pid), ..Criteria::default() }
}

fn exclude(rule: Criteria) -> Filter {
    Filter { exclude: vec![rule], ..Filter::default() }
}

fn include(rule: Criteria) -> Filter {
    Filter { include: vec![rule], ..Filter::default() }
}

fn sent(cookie: u64, sent_bytes: u64) -> Observation {
    let counters = RawCounters { sent_bytes, ..RawCounters::default() };
    Observation { counters, ..observation(cookie) }
}

fn owned(cookie: u64, sent_bytes: u64, pid: u32) -> Observation {
    Observation { owner: Some(owner(pid, OwnerSource::Connect)), ..sent(cookie, sent_bytes) }
}

fn closed(observation: Observation) -> Event {
    Event::Closed(observation, ending(KernelTime(9)))
}

/// A table after a pass in which these things happened.
fn with(filter: Filter, events: impl IntoIterator<Item = Event>) -> Table {
    let mut table = Table::with_filter(100, filter);
    events.into_iter().for_each(|event| table.apply(event));
    end_pass(&mut table, 1);
    table
}

/// Live connections that are listed and those that are news to a new client.
fn told(table: &Table) -> (usize, usize) {
    (table.connections().count(), table.news_since(&connections::Told::default()).iter().count())
}

#[test]
fn an_excluded_connection_is_followed_and_not_told() {
    let mut table = with(exclude(port(443)), [Event::Read(sent(1, 10)), Event::Read(sent(1, 20))]);
    assert_eq!((told(&table), table.told().count(), table.live_count()), ((0, 0), 0, 1));
    table.apply(closed(sent(1, 30)));
    assert!(table.take_closed().is_empty());
    assert_eq!(table.counts(), TableCounts { closed: 1, excluded: 1, ..TableCounts::default() });
    table.apply(closed(sent(2, 30)));
    assert!(table.take_closed().is_empty(), "one that was never read is excluded too");
    assert_eq!(table.counts(), TableCounts { closed: 2, excluded: 2, ..TableCounts::default() });
}

#[test]
fn a_live_connection_is_shown_if_it_is_told() {
    let shown = |table: &Table| table.shows(&sent(1, 1).id);
    assert!(!shown(&with(exclude(port(443)), [Event::Read(sent(1, 1))])));
    let mut table = with(include(pid(7)), [Event::Read(owned(1, 1, 7))]);
    assert!(shown(&table) && !table.shows(&sent(2, 1).id));
    table.apply(closed(owned(1, 1, 7)));
    assert!(!shown(&table), "it lives no longer");
}

#[test]
fn exclude_rules_have_the_last_word_over_include_rules() {
    let filter = |excluded| Filter { include: vec![port(443), port(7)], exclude: vec![port(excluded)] };
    assert_eq!(told(&with(filter(80), [Event::Read(sent(1, 1))])), (1, 1));
    assert_eq!(told(&with(filter(40_000), [Event::Read(sent(1, 1))])), (0, 0));
    assert_eq!(told(&with(include(port(80)), [Event::Read(sent(1, 1))])), (0, 0), "no include rule holds");
}

#[test]
fn what_is_not_known_of_the_owner_matches_no_rule() {
    assert_eq!(told(&with(exclude(pid(7)), [Event::Read(sent(1, 1))])), (1, 1));
    assert_eq!(told(&with(include(pid(7)), [Event::Read(sent(1, 1))])), (0, 0));
}

#[test]
fn a_connection_becomes_visible_with_all_that_it_carried_when_its_owner_gets_known() {
    let mut table = with(include(pid(7)), [Event::Read(sent(1, 10))]);
    // The client has a snapshot in which the connection is hidden.
    let before = table.told();
    assert_eq!((before.count(), told(&table)), (0, (0, 0)));
    assert_eq!(table.remembered(&before).iter().count(), 0);
    table.apply(Event::Read(owned(1, 30, 7)));
    end_pass(&mut table, 2);
    let news: Vec<_> = table.news_since(&before).iter().map(|news| news.growth().sent_bytes).collect();
    assert_eq!((news, table.told().count()), (vec![30], 1));
    table.apply(closed(owned(1, 50, 7)));
    let closed = table.take_closed().pop().expect("it is told");
    assert_eq!(closed.told_in(&before), None);
    assert_eq!((closed.total().sent_bytes, table.counts().excluded), (50, 0));
}

#[test]
fn what_a_pass_made_visible_stays_so_and_what_is_learnt_before_its_end_still_counts() {
    let mut table = with(exclude(pid(7)), [Event::Read(sent(1, 10))]);
    let before = table.told();
    table.apply(Event::Read(sent(2, 10)));
    assert_eq!((before.count(), told(&table)), (1, (1, 1)), "the second is not decided");
    for cookie in [1, 2] {
        table.apply(Event::Read(owned(cookie, 30, 7)));
    }
    end_pass(&mut table, 2);
    assert_eq!((told(&table), table.told().count(), table.live_count()), ((1, 1), 1, 2));
    for cookie in [1, 2] {
        table.apply(closed(owned(cookie, 50, 7)));
    }
    let [closed] = &table.take_closed()[..] else { panic!("one is told") };
    assert_eq!(
        (closed.id().cookie, closed.told_in(&before).map(|told| told.total.sent_bytes)),
        (1, Some(10))
    );
    assert_eq!(table.counts().excluded, 1);
}

#[test]
fn the_place_of_an_excluded_connection_is_given_to_a_visible_one() {
    let mut table = with(exclude(port(443)), [Event::Read(sent(1, 10))]);
    let before = table.told();
    table.apply(closed(sent(1, 20)));
    let mut other = sent(2, 5);
    other.tuple.remote.set_port(80);
    table.apply(Event::Read(other));
    end_pass(&mut table, 2);
    let news: Vec<_> = table.news_since(&before).iter().map(|news| news.growth().sent_bytes).collect();
    assert_eq!((news, table.told().count()), (vec![5], 1));
}

fn roll_up(port: u16, pid: u32) -> RollUp {
    let common = Common {
        netns: 1,
        direction: Direction::Outgoing,
        service_port: Some(port),
        owner: Some((pid, 0)),
        ends: None,
    };
    RollUp {
        key: RollUpKey { protocol: Protocol::Tcp, common: Some(common) },
        owner: Some(owner(pid, OwnerSource::Connect)),
        connections: 3,
        established: None,
        total: Counters { sent_bytes: 70, ..Counters::default() },
        counts_rtos: true,
        failures: Vec::new(),
        last_closed_at: KernelTime(1),
    }
}

#[test]
fn a_roll_up_is_matched_with_what_its_connections_have_in_common() {
    let range = || "10.0.0.0/8".parse().ok();
    let of = |protocol| Criteria { protocol: Some(protocol), ..Criteria::default() };
    let outgoing = Criteria { direction: Some(Direction::Outgoing), ..Criteria::default() };
    let local_port = Criteria { local_port: Some(443..=443), ..Criteria::default() };
    let remote_port = Criteria { remote_port: Some(400..=500), ..Criteria::default() };
    let remote = Criteria { remote: range(), ..Criteria::default() };
    let rules = [
        (port(443), true),
        (remote_port, true),
        (local_port, false),
        (port(80), false),
        (pid(7), true),
        (pid(8), false),
        (outgoing, true),
        (of(Protocol::Tcp), true),
        (of(Protocol::Udp), false),
        (Criteria { address: range(), ..Criteria::default() }, false),
        (remote, false),
    ];
    for (rule, matches) in rules {
        for (filter, is_told) in [(exclude(rule.clone()), !matches), (include(rule.clone()), matches)] {
            let mut table = with(filter, [Event::RollUp(Box::new(roll_up(443, 7)))]);
            let (number, counts) = (table.take_rolled_up().len(), table.counts());
            let (rolled_up, excluded) = if is_told { (3, 0) } else { (0, 3) };
            assert_eq!(
                (number, counts.rolled_up, counts.excluded),
                (usize::from(is_told), rolled_up, excluded),
                "{rule:?}"
            );
        }
    }
}

#[test]
fn what_was_counted_of_an_excluded_connection_is_not_told_in_a_roll_up() {
    let range = Criteria { remote: "10.0.0.2/32".parse().ok(), ..Criteria::default() };
    let rollup = roll_up(443, 7);
    let id = observation(1).id;
    let name = RolledUp { id, key: rollup.key, closed_at: KernelTime(5), pre_existing: false };
    let events = [Event::Read(owned(1, 30, 7)), Event::RolledUp(name), Event::RollUp(Box::new(rollup))];
    let mut table = with(exclude(range), events);
    assert!(table.take_closed().is_empty());
    let told: Vec<_> =
        table.take_rolled_up().iter().map(|told| (told.connections, told.total.sent_bytes)).collect();
    assert_eq!((told, table.counts().excluded), (vec![(2, 40)], 1));
}

#[test]
fn rules_look_at_the_end_that_they_name_and_at_one_family() {
    let connection =
        with(Filter::default(), [Event::Read(owned(1, 1, 7))]).connections().next().expect("it lives");
    let net = |text: &str| Some(text.parse().expect("a range"));
    let local = |text| Criteria { local: net(text), ..Criteria::default() };
    let remote = |text| Criteria { remote: net(text), ..Criteria::default() };
    for (rule, holds) in [
        (local("10.0.0.1/32"), true),
        (local("10.0.0.2/32"), false),
        (remote("10.0.0.0/30"), true),
        (remote("10.0.0.1/32"), false),
        (remote("::/0"), false),
        (Criteria { address: net("10.0.0.1/32"), ..Criteria::default() }, true),
        (Criteria { command: Some(String::new()), ..Criteria::default() }, true),
        (Criteria { command: Some("x".into()), ..Criteria::default() }, false),
        (Criteria { uid: Some(1), ..Criteria::default() }, false),
        (
            Criteria { container: connections::ContainerId::parse(&"a".repeat(64)), ..Criteria::default() },
            false,
        ),
    ] {
        assert_eq!(rule.hold_for(&connection), holds, "{rule:?}");
    }
}

/// The bound is that of a build without optimization.
#[test]
fn twenty_rules_cost_little_and_none_cost_nothing() {
    let connection =
        with(Filter::default(), [Event::Read(owned(1, 1, 7))]).connections().next().expect("it lives");
    let named = |number: u16| Criteria { command: Some(format!("task-{number}")), ..port(443) };
    let twenty = Filter { exclude: (0..20).map(named).collect(), ..Filter::default() };
    let per_connection = |filter: &Filter| {
        const ROUNDS: u32 = 10_000;
        let began = Instant::now();
        (0..ROUNDS).for_each(|_| assert!(black_box(filter).passes(black_box(&connection))));
        began.elapsed() / ROUNDS
    };
    let best = |filter: &Filter| (0..5).map(|_| per_connection(filter)).min().expect("five");
    let (none, twenty) = (best(&Filter::default()), best(&twenty));
    println!("no rules {none:?}, twenty {twenty:?}");
    assert!(none < Duration::from_micros(1) && twenty < Duration::from_micros(20), "{none:?} {twenty:?}");
}
