//! Which names an address has, in which order, and what makes room.

use connections::KernelTime;
use context::DnsLimits;

use crate::fixtures::{Socket, World, address, alias, at};

#[test]
fn an_address_has_the_name_that_was_asked_for_and_what_that_is_an_alias_of() {
    let mut world = World::new();
    let chain = vec![
        alias("www.a.test", "edge.b.test", 300),
        alias("edge.b.test", "host.c.test", 300),
        address("host.c.test", "192.0.2.1", 300),
        address("host.c.test", "2001:db8::1", 300),
        // Of other names nobody asked.
        address("edge.b.test", "192.0.2.2", 300),
        address("bank.test", "192.0.2.3", 300),
    ];
    for milliseconds in [10, 20] {
        world.resolve(Socket::udp(), milliseconds, "www.a.test", chain.clone());
        for named in ["192.0.2.1", "2001:db8::1", "::ffff:192.0.2.1"] {
            assert_eq!(world.names_of(named, 7), ["www.a.test", "host.c.test"]);
        }
    }
    assert!(world.names_of("192.0.2.2", 7).is_empty());
    assert!(world.names_of("192.0.2.3", 7).is_empty());
}

#[test]
fn a_circle_of_aliases_ends() {
    let mut world = World::new();
    let circle =
        vec![alias("a.test", "b.test", 9), alias("b.test", "a.test", 9), address("c.test", "192.0.2.1", 9)];
    world.resolve(Socket::udp(), 10, "a.test", circle);
    assert_eq!(world.ended().len(), 1);
    assert!(world.names_of("192.0.2.1", 0).is_empty());
}

#[test]
fn what_a_process_asked_for_last_comes_first_for_it() {
    let mut world = World::new();
    world.resolve_to(1, 1_000, "one.test", "192.0.2.1");
    world.resolve_to(1, 2_000, "two.test", "192.0.2.1");
    world.resolve_to(2, 3_000, "three.test", "192.0.2.1");
    world.resolve_to(2, 4_000, "one.test", "192.0.2.1");
    assert_eq!(world.names_of("192.0.2.1", 1), ["two.test", "one.test", "three.test"]);
    assert_eq!(world.names_of("192.0.2.1", 2), ["one.test", "three.test", "two.test"]);
    assert_eq!(world.names_of("192.0.2.1", 3), ["one.test", "three.test", "two.test"]);
}

#[test]
fn the_order_in_which_a_process_asked_is_kept_of_answers_that_come_at_once() {
    let mut world = World::new();
    world.resolve_to(1, 1_000, "one.test", "192.0.2.1");
    world.resolve_to(1, 1_001, "two.test", "192.0.2.1");
    // It is the last one given, but not to that process.
    world.resolve_to(2, 1_002, "one.test", "192.0.2.1");
    assert_eq!(world.names_of("192.0.2.1", 1), ["two.test", "one.test"]);
    assert_eq!(world.names_of("192.0.2.1", 2), ["one.test", "two.test"]);
}

#[test]
fn of_each_name_the_last_four_that_asked_are_known() {
    let mut world = World::new();
    for pid in 1..=5 {
        world.resolve_to(pid, u64::from(pid) * 1_000, "a.test", "192.0.2.1");
    }
    world.resolve_to(3, 6_000, "a.test", "192.0.2.1");
    world.resolve_to(0, 7_000, "a.test", "192.0.2.1");
    let mut askers = Vec::new();
    world.names.each(at(0), |_, known| {
        assert_eq!(known.answered_at, at(7_000));
        askers = known.askers;
    });
    assert_eq!(askers, [3, 5, 4, 2]);
}

fn fresh(world: &World, now: KernelTime) -> Vec<(String, bool)> {
    let mut names = Vec::new();
    world.names.each(now, |_, known| names.push((known.name.to_string(), known.fresh)));
    names
}

#[test]
fn a_name_stays_when_it_is_not_fresh_any_more() {
    let mut world = World::new();
    let records = vec![alias("a.test", "b.test", 90), address("b.test", "192.0.2.1", 3600)];
    world.resolve(Socket::udp(), 1_000, "a.test", records.clone());
    let both = |fresh| [("a.test".to_owned(), fresh), ("b.test".to_owned(), fresh)];
    assert_eq!(fresh(&world, at(91_000)), both(true));
    assert_eq!(fresh(&world, at(91_200)), both(false));
    // Until they are given again.
    world.resolve(Socket::udp(), 100_000, "a.test", records);
    assert_eq!(fresh(&world, at(190_000)), both(true));
    assert_eq!(world.names_of("192.0.2.1", 7), ["a.test", "b.test"]);
}

#[test]
fn of_one_address_the_name_that_is_not_fresh_makes_room_first() {
    let mut world = World::with(&DnsLimits { names_of_address: 3, ..DnsLimits::default() });
    for (name, ttl_seconds) in [("long.test", 4_000), ("short.test", 60), ("third.test", 4_000)] {
        world.resolve(Socket::udp(), 1_000, name, vec![address(name, "192.0.2.1", ttl_seconds)]);
    }
    world.resolve_to(7, 100_000, "new.test", "192.0.2.1");
    assert_eq!(world.names_of("192.0.2.1", 0), ["new.test", "third.test", "long.test"]);
    // All are fresh: the one that was longest not given.
    world.resolve_to(7, 100_001, "newer.test", "192.0.2.1");
    assert_eq!(world.names_of("192.0.2.1", 0), ["newer.test", "new.test", "third.test"]);
    assert_eq!(world.names.counts().names_dropped, 2);
}

#[test]
fn an_address_has_no_more_names_than_the_limit() {
    let mut world = World::new();
    for number in 0..100 {
        world.resolve_to(7, 1_000 + number, &format!("{number}.test"), "192.0.2.1");
    }
    let names = world.names_of("192.0.2.1", 7);
    assert_eq!((names.len(), names[0].as_str(), names[31].as_str()), (32, "99.test", "68.test"));
}

#[test]
fn the_address_that_was_longest_not_used_makes_room() {
    let mut world = World::with(&DnsLimits { addresses: 3, ..DnsLimits::default() });
    for last in 1..=3 {
        world.resolve_to(7, 1_000, &format!("{last}.test"), &format!("192.0.2.{last}"));
    }
    // One is looked at, and one is given again; what is known of all is no use of any.
    assert_eq!(world.names_of("192.0.2.1", 7), ["1.test"]);
    world.resolve_to(7, 1_000, "2.test", "192.0.2.2");
    assert_eq!(fresh(&world, at(0)).len(), 3);
    world.resolve_to(7, 2_000, "4.test", "192.0.2.4");
    assert!(world.names_of("192.0.2.3", 7).is_empty());
    for last in [1, 2, 4] {
        assert_eq!(world.names_of(&format!("192.0.2.{last}"), 7), [format!("{last}.test")]);
    }
    // And an address that is there is named anew although there is no room.
    world.resolve_to(7, 3_000, "again.test", "192.0.2.1");
    assert_eq!(world.names_of("192.0.2.1", 7), ["again.test", "1.test"]);
    let counts = world.names.counts();
    assert_eq!((counts.addresses, counts.addresses_dropped), (3, 1));
}

#[test]
fn all_addresses_together_have_no_more_names_than_the_limit() {
    let mut world = World::with(&DnsLimits { names: 4, ..DnsLimits::default() });
    for number in 0..3 {
        world.resolve_to(7, 1_000, &format!("{number}.test"), "192.0.2.1");
    }
    world.resolve_to(7, 2_000, "a.test", "192.0.2.2");
    assert_eq!((world.names.counts().addresses, world.names.counts().names), (2, 4));
    world.resolve_to(7, 2_000, "b.test", "192.0.2.2");
    assert_eq!((world.names.counts().addresses, world.names.counts().names), (1, 2));
    assert_eq!(world.names.counts().addresses_dropped, 1);
    // One that has more alone keeps them.
    for number in 0..9 {
        world.resolve_to(7, 3_000, &format!("{number}.test"), "192.0.2.2");
    }
    assert_eq!(world.names_of("192.0.2.2", 7).len(), 11);
}

#[test]
fn an_answer_that_there_is_no_address_names_nothing() {
    let mut world = World::new();
    world.resolve_to(7, 1_000, "blocked.test", "0.0.0.0");
    world.resolve(Socket::udp(), 1_000, "blocked.test", vec![address("blocked.test", "::", 300)]);
    assert_eq!(world.ended().len(), 2);
    assert_eq!(world.names.counts().addresses, 0);
}
