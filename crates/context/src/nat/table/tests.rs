//! Lifetimes, bounds and costs of the table.

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use connections::Nat;

use super::*;
use crate::address_bits::bits;

const NETNS: u32 = 7;
const HOME: u32 = 1;

fn end(host: u32, port: u16) -> SocketAddr {
    SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0a00_0000 + host)), port)
}

/// The way from one end to the other.
fn between(source: SocketAddr, destination: SocketAddr) -> Way {
    let octets = |end: SocketAddr| bits(end.ip()).to_be_bytes();
    Way {
        source: octets(source),
        destination: octets(destination),
        source_port: source.port(),
        destination_port: destination.port(),
    }
}

/// A client's connection to host 1, which is host `real` in truth.
fn translation(client: u32, real: u32) -> Translation {
    let port = u16::try_from(client % 50_000).unwrap() + 1;
    Translation {
        protocol: Protocol::Tcp,
        zone: 0,
        original: between(end(client, port), end(1, 80)),
        reply: between(end(real, 8080), end(client, port)),
    }
}

fn asked(client: u32, opened: u64, closed: u64) -> Asked {
    Asked {
        protocol: Protocol::Tcp,
        way: translation(client, 2).original,
        netns: NETNS,
        home: HOME,
        opened,
        closed,
    }
}

/// The real host behind the connection of that client, as far as it is known.
fn real(table: &Table, asked: &Asked) -> Option<SocketAddr> {
    table.find(asked).map(|found| found.nat.remote)
}

fn table(entries_max: usize) -> Table {
    let mut table = Table::new(entries_max);
    table.know(NETNS);
    table
}

#[test]
fn several_are_found_as_each_is_alone() {
    let mut table = table(10);
    [5, 6].into_iter().for_each(|client| table.begin(NETNS, &translation(client, client + 100), 1, 1));
    let all = [5, 7, 6].map(|client| asked(client, 1, 2));
    let mut hosts = Vec::new();
    let told = |number, answer: Translated| hosts.push((number, answer.nat.remote));
    table.find_each(&all, |asked| (asked.protocol, asked.way), |asked| *asked, told);
    assert_eq!(hosts, [(0, end(105, 8080)), (2, end(106, 8080))]);
}

#[test]
fn a_connection_has_the_translation_that_held_while_it_lived() {
    let mut table = table(10);
    table.begin(NETNS, &translation(5, 2), 100, 100);
    table.end(NETNS, &translation(5, 2), 200);
    table.begin(NETNS, &translation(5, 3), 300, 300);
    let at = |opened, closed| real(&table, &asked(5, opened, closed));
    assert_eq!(at(10, 99), None);
    assert_eq!(
        (at(10, 100), at(150, 160), at(200, 250)),
        (Some(end(2, 8080)), Some(end(2, 8080)), Some(end(2, 8080)))
    );
    assert_eq!(at(201, 299), None);
    assert_eq!((at(201, 301), at(310, u64::MAX)), (Some(end(3, 8080)), Some(end(3, 8080))));
    // Both have held: the one that did longer.
    assert_eq!(
        (at(110, 305), at(195, 400), at(110, u64::MAX)),
        (Some(end(2, 8080)), Some(end(3, 8080)), Some(end(3, 8080)))
    );
}

#[test]
fn both_directions_are_found_and_lead_to_one_another() {
    let mut table = table(10);
    let there = translation(5, 2);
    table.begin(NETNS, &there, 1, 1);
    let back = Asked { way: there.reply, ..asked(5, 1, 2) };
    let nat = |asked| table.find(&asked).map(|found| found.nat);
    assert_eq!(nat(back), Some(Nat { remote: end(5, 6), local: end(1, 80) }));
    assert_eq!(nat(asked(5, 1, 2)), Some(Nat { remote: end(2, 8080), local: end(5, 6) }));
    assert_eq!(table.find(&Asked { protocol: Protocol::Udp, ..asked(5, 1, 2) }), None);
}

#[test]
fn the_own_namespace_comes_first_then_the_hosts_then_others_that_agree() {
    let mut table = table(10);
    let answer = |table: &Table| real(table, &asked(5, 1, 2));
    let by_own = |table: &Table| table.find(&asked(5, 1, 2)).map(|found| found.by_own);
    table.begin(20, &translation(5, 4), 1, 1);
    assert_eq!(answer(&table), Some(end(4, 8080)));
    table.begin(21, &translation(5, 4), 1, 1);
    assert_eq!(answer(&table), Some(end(4, 8080)));
    table.begin(22, &translation(5, 6), 1, 1);
    assert_eq!(answer(&table), None);
    table.begin(HOME, &translation(5, 3), 1, 1);
    assert_eq!((answer(&table), by_own(&table)), (Some(end(3, 8080)), Some(false)));
    table.begin(NETNS, &translation(5, 2), 1, 1);
    assert_eq!((answer(&table), by_own(&table)), (Some(end(2, 8080)), Some(true)));
}

#[test]
fn two_zones_that_disagree_say_nothing() {
    let mut table = table(10);
    table.begin(NETNS, &translation(5, 2), 1, 1);
    table.begin(NETNS, &Translation { zone: 1, ..translation(5, 2) }, 1, 1);
    assert_eq!(real(&table, &asked(5, 1, 2)), Some(end(2, 8080)));
    table.begin(NETNS, &Translation { zone: 2, ..translation(5, 3) }, 2, 2);
    assert_eq!(real(&table, &asked(5, 1, 9)), None);
}

#[test]
fn a_new_translation_of_a_way_ends_the_one_before() {
    let mut table = table(10);
    table.begin(NETNS, &translation(5, 2), 1, 1);
    table.begin(NETNS, &translation(5, 3), 10, 10);
    assert_eq!(
        (real(&table, &asked(5, 2, 9)), real(&table, &asked(5, 11, 12))),
        (Some(end(2, 8080)), Some(end(3, 8080)))
    );
    table.begin(NETNS, &translation(5, 3), 20, 20);
    assert_eq!(table.len(), 2);
}

#[test]
fn what_a_dump_does_not_tell_has_ended_and_what_began_meanwhile_has_not() {
    let mut table = table(10);
    table.begin(NETNS, &translation(5, 2), 1, 1);
    table.begin(NETNS, &translation(6, 2), 1, 1);
    table.begin(20, &translation(8, 2), 1, 1);
    table.dump_begins(NETNS);
    table.listed(NETNS, &translation(5, 2), 10, 11);
    table.begin(NETNS, &translation(7, 2), 12, 12);
    table.dump_is_complete(NETNS, 10, 13);
    let alive = |client| real(&table, &asked(client, 20, 30)).is_some();
    assert_eq!([alive(5), alive(6), alive(7), alive(8)], [true, false, true, true]);
    assert_eq!(real(&table, &asked(6, 2, 3)), Some(end(2, 8080)), "it was there");
}

#[test]
fn a_dump_does_not_bring_back_what_ended_while_it_went_on() {
    let mut table = table(10);
    table.begin(NETNS, &translation(5, 2), 1, 1);
    table.dump_begins(NETNS);
    table.end(NETNS, &translation(5, 2), 11);
    // Nobody knew of its beginning.
    table.end(NETNS, &translation(6, 2), 11);
    table.begin(NETNS, &translation(6, 3), 12, 12);
    for client in [5, 6] {
        table.listed(NETNS, &translation(client, 2), 10, 13);
    }
    table.dump_is_complete(NETNS, 10, 14);
    assert_eq!(real(&table, &asked(5, 20, 30)), None);
    assert_eq!(real(&table, &asked(6, 20, 30)), Some(end(3, 8080)));
    assert_eq!(table.len(), 3);
}

#[test]
fn an_end_that_is_told_after_a_dump_has_found_it_is_no_second_one() {
    let mut table = table(10);
    table.begin(NETNS, &translation(5, 2), 1, 1);
    table.dump_begins(NETNS);
    table.dump_is_complete(NETNS, 9, 10);
    table.end(NETNS, &translation(5, 2), 11);
    assert_eq!((table.len(), real(&table, &asked(5, 11, 12))), (1, None));
}

#[test]
fn what_a_later_dump_finds_began_after_the_one_before() {
    let mut table = table(2);
    table.dump_begins(NETNS);
    table.listed(NETNS, &translation(5, 2), 100, 101);
    table.dump_is_complete(NETNS, 100, 102);
    table.dump_begins(NETNS);
    table.listed(NETNS, &translation(5, 2), 200, 201);
    table.listed(NETNS, &translation(6, 2), 200, 201);
    table.dump_is_complete(NETNS, 200, 202);
    let known = |table: &Table, client, time| real(table, &asked(client, time, time)).is_some();
    assert_eq!([known(&table, 5, 1), known(&table, 6, 99), known(&table, 6, 100)], [true, false, true]);
    // One had no room, so nobody can say of what is found next.
    table.begin(NETNS, &translation(7, 2), 210, 210);
    table.dump_begins(NETNS);
    table.listed(NETNS, &translation(5, 2), 300, 301);
    assert!(known(&table, 5, 1));
}

#[test]
fn of_whose_end_the_kernel_may_not_tell_is_known() {
    let mut table = table(10);
    table.begin(NETNS, &translation(5, 2), 1, 1);
    assert!(table.with_untold().is_empty());
    table.listed(NETNS, &translation(6, 2), 2, 2);
    assert_eq!(table.with_untold(), [NETNS]);
    table.end(NETNS, &translation(6, 2), 3);
    assert!(table.with_untold().is_empty());
}

#[test]
fn a_namespace_that_is_gone_takes_what_lives_in_it_along() {
    let mut table = table(10);
    table.begin(NETNS, &translation(5, 2), 1, 1);
    table.forget(NETNS, 10);
    assert!(!table.knows(NETNS));
    assert_eq!((real(&table, &asked(5, 2, 3)), real(&table, &asked(5, 11, 12))), (Some(end(2, 8080)), None));
}

#[test]
fn what_ended_long_ago_is_forgotten_and_its_memory_given_back() {
    let mut table = table(10);
    table.begin(NETNS, &translation(5, 2), 1, 1);
    table.begin(NETNS, &translation(6, 2), 1, 1);
    table.end(NETNS, &translation(5, 2), 100);
    table.expire(100 + REMEMBERED_NS);
    assert_eq!(table.len(), 2);
    table.expire(101 + REMEMBERED_NS);
    assert_eq!((table.len(), real(&table, &asked(5, 1, 2))), (1, None));
    table.end(NETNS, &translation(6, 2), 200);
    table.expire(201 + REMEMBERED_NS);
    assert_eq!((table.len(), table.entries.capacity(), table.index.capacity()), (0, 0, 0));
}

#[test]
fn a_full_table_forgets_what_ended_first_then_the_oldest_and_refuses_nothing() {
    let mut table = table(3);
    for client in [5, 6, 7] {
        table.begin(NETNS, &translation(client, 2), 1, 1);
    }
    table.end(NETNS, &translation(7, 2), 10);
    table.end(NETNS, &translation(6, 2), 11);
    let known =
        |table: &Table| [5, 6, 7, 8, 9, 10, 11].map(|client| real(table, &asked(client, 1, 50)).is_some());
    table.begin(NETNS, &translation(8, 2), 20, 20);
    assert_eq!(known(&table), [true, true, false, true, false, false, false]);
    table.begin(NETNS, &translation(9, 2), 21, 21);
    assert_eq!(known(&table), [true, false, false, true, true, false, false]);
    table.begin(NETNS, &translation(10, 2), 22, 22);
    assert_eq!(known(&table), [false, false, false, true, true, true, false]);
    table.begin(NETNS, &translation(11, 2), 23, 23);
    assert_eq!(known(&table), [false, false, false, false, true, true, true]);
    assert_eq!((table.len(), table.evicted(), table.entries.capacity()), (3, 4, 3));
}

#[test]
fn a_way_that_is_used_again_and_again_is_remembered_a_few_times() {
    let mut table = table(100);
    for time in 1..50_u64 {
        let there = translation(5, u32::try_from(time).unwrap() + 10);
        table.begin(NETNS, &there, time * 10, time * 10);
        table.end(NETNS, &there, time * 10 + 5);
    }
    assert_eq!(table.len(), ENDED_PER_WAY_MAX);
    assert_eq!(real(&table, &asked(5, 492, 493)), Some(end(59, 8080)), "the last ones");
}

/// The bounds are those of a build without optimization on a busy machine; what is printed is the number to look at.
#[test]
fn looking_costs_little_and_an_entry_takes_less_than_128_bytes() {
    const ENTRIES: u32 = 131_072;
    let mut table = table(ENTRIES as usize);
    let began = Instant::now();
    for client in 0..ENTRIES {
        table.begin(NETNS, &translation(client, client + 1_000_000), 1, 1);
    }
    let insert = began.elapsed() / ENTRIES;
    let questions: Vec<Asked> =
        (0..100_000_u32).map(|number| asked(number * 13 % (2 * ENTRIES), 5, 6)).collect();
    let round = || {
        let began = Instant::now();
        let found = questions.iter().filter(|asked| table.find(black_box(asked)).is_some()).count();
        (began.elapsed() / 100_000, found)
    };
    let (warm, found) = (0..10).map(|_| round()).min().unwrap();
    let bytes = table.entries.capacity() * size_of::<Entry>() + table.index.allocation_size();
    println!(
        "a look {warm:?} ({found} of 100000 found), an entry {} B, an insertion {insert:?}",
        bytes / ENTRIES as usize
    );
    assert!(found > 25_000 && found < 75_000);
    assert!(bytes / (ENTRIES as usize) < 128, "{bytes}");
    assert!(warm < Duration::from_micros(20), "{warm:?}");
    for client in 0..ENTRIES / 2 {
        table.end(NETNS, &translation(client, client + 1_000_000), 10);
    }
    let began = Instant::now();
    table.forget(NETNS, 20);
    println!("forgetting the rest of a namespace {:?}", began.elapsed());
}
