//! The audit: what counts as a difference, and what does not.

mod fixtures;

use connections::{
    Audit, AuditReading, Counters, Direction, Event, Facts, KernelSums, KernelTime, NamespaceReading,
    Observation, Protocol, RawCounters, RollUp, RollUpKey, State, Table, UdpFacts,
};
use fixtures::{ending, observation};

const NETNS: u32 = 1;

fn datagrams(cookie: u64, sent: u32, received: u32) -> Observation {
    let mut read = observation(cookie);
    read.tuple.protocol = Protocol::Udp;
    read.facts = Facts::Udp(UdpFacts::default());
    read.state = State::Open;
    read.counters = RawCounters { sent_packets: sent, received_packets: received, ..RawCounters::default() };
    read
}

fn kernel(udp_sent: u64, udp_received: u64) -> KernelSums {
    KernelSums { udp_sent, udp_received, ..KernelSums::default() }
}

fn of(before: KernelSums, after: KernelSums) -> NamespaceReading {
    NamespaceReading { netns: NETNS, before, after, ..NamespaceReading::default() }
}

fn audit_all(table: &mut Table, namespaces: Vec<NamespaceReading>) -> Audit {
    table.apply(Event::AuditPassEnded);
    let reading =
        AuditReading { at: KernelTime(9), namespaces, unread: 0, stale: 0, tunnels_ended: 0, cpu_ns: 5 };
    table.apply(Event::Audited(Box::new(reading)));
    table.audit().expect("one has ended")
}

fn audit(table: &mut Table, namespace: NamespaceReading) -> Audit {
    audit_all(table, vec![namespace])
}

#[test]
fn the_first_audit_of_a_namespace_only_notes_where_it_begins() {
    let mut table = Table::new(10);
    assert_eq!(table.audit(), None);
    let found = audit(&mut table, of(kernel(500, 600), kernel(510, 610)));
    assert_eq!((found.audits, found.namespaces, found.not_counted()), (1, 1, 0));
}

#[test]
fn what_the_kernel_counted_and_the_tracer_did_not_is_missing_for_good() {
    let mut table = Table::new(10);
    audit(&mut table, of(kernel(500, 600), kernel(500, 600)));
    table.apply(Event::Read(datagrams(1, 20, 30)));
    let found = audit(&mut table, of(kernel(527, 631), kernel(527, 631)));
    assert_eq!((found.drift.udp_sent_missing, found.drift.udp_received_missing), (7, 1));
    assert_eq!(found.not_counted(), 8);
    // What comes later does not make up for it.
    table.apply(Event::Read(datagrams(1, 40, 30)));
    let found = audit(&mut table, of(kernel(527, 631), kernel(527, 631)));
    assert_eq!((found.drift.udp_sent_missing, found.not_counted()), (7, 8));
}

#[test]
fn traffic_during_an_audit_is_no_difference() {
    let mut table = Table::new(10);
    // 5 left between the first reading and the pass, 3 between that and the second reading.
    table.apply(Event::Read(datagrams(1, 105, 0)));
    audit(&mut table, of(kernel(100, 0), kernel(108, 0)));
    table.apply(Event::Read(datagrams(1, 205, 0)));
    let found = audit(&mut table, of(kernel(203, 0), kernel(209, 0)));
    assert_eq!(found.drift, connections::Drift::default());
}

#[test]
fn what_waits_to_be_read_at_the_first_audit_had_come_before() {
    let mut table = Table::new(10);
    let waiting = NamespaceReading { udp_waiting: 40, ..of(kernel(0, 100), kernel(0, 100)) };
    audit(&mut table, waiting);
    let found = audit(&mut table, of(kernel(0, 141), kernel(0, 141)));
    assert_eq!(found.drift.udp_received_missing, 1);
}

#[test]
fn where_there_are_tunnels_what_is_received_is_not_compared() {
    let mut table = Table::new(10);
    audit(&mut table, of(kernel(0, 100), kernel(0, 100)));
    let tunnel = NamespaceReading { udp_tunnels: 1, ..of(kernel(3, 900), kernel(3, 900)) };
    let found = audit(&mut table, tunnel);
    assert_eq!((found.drift.udp_sent_missing, found.drift.udp_received_missing), (3, 0));
    // Nor what came while the last of them was there; what is missing stays missing.
    let found = audit(&mut table, of(kernel(3, 950), kernel(3, 950)));
    assert_eq!((found.drift.udp_sent_missing, found.drift.udp_received_missing), (3, 0));
    let found = audit(&mut table, of(kernel(4, 952), kernel(4, 952)));
    assert_eq!((found.drift.udp_sent_missing, found.drift.udp_received_missing), (4, 2));
    // One that came and went between two audits is known by its end.
    table.apply(Event::AuditPassEnded);
    let namespaces = vec![of(kernel(4, 5000), kernel(4, 5000))];
    let reading =
        AuditReading { at: KernelTime(9), namespaces, unread: 0, stale: 0, tunnels_ended: 1, cpu_ns: 5 };
    table.apply(Event::Audited(Box::new(reading)));
    let found = table.audit().expect("one has ended");
    assert_eq!((found.drift.udp_sent_missing, found.drift.udp_received_missing), (4, 2));
}

#[test]
fn what_was_added_up_without_distinction_is_not_missing() {
    let mut table = Table::new(10);
    audit(&mut table, of(kernel(0, 0), kernel(0, 0)));
    table.apply(Event::RollUp(Box::new(RollUp {
        key: RollUpKey { protocol: Protocol::Udp, common: None },
        owner: None,
        connections: 0,
        total: Counters { sent_packets: 50, ..Counters::default() },
        established: None,
        counts_rtos: false,
        failures: Vec::new(),
        last_closed_at: KernelTime(5),
    })));
    let found = audit(&mut table, of(kernel(60, 0), kernel(60, 0)));
    assert_eq!(found.drift.udp_sent_missing, 10);
}

#[test]
fn closed_connections_count_in_their_namespace_and_older_ones_as_far_as_they_were_followed() {
    let mut table = Table::new(10);
    let older = Observation { pre_existing: true, direction: Direction::Outgoing, ..observation(1) };
    table.apply(Event::Adopted(older));
    let sums = |tcp_active_opens| KernelSums { tcp_active_opens, ..KernelSums::default() };
    audit(&mut table, of(sums(7), sums(7)));
    let opened = |cookie| {
        let counters = RawCounters { sent_packets: 1, ..RawCounters::default() };
        Observation { direction: Direction::Outgoing, counters, ..observation(cookie) }
    };
    table.apply(Event::Closed(opened(2), ending(KernelTime(8))));
    table.apply(Event::Read(opened(3)));
    let found = audit(&mut table, of(sums(10), sums(10)));
    assert_eq!(found.drift.tcp_outgoing_missing, 1, "two of three are known");
}

#[test]
fn what_the_tracer_counted_and_the_kernel_did_not_is_too_much_as_long_as_it_is() {
    let mut table = Table::new(10);
    let sums = |octets| KernelSums { sent_octets: octets, ..KernelSums::default() };
    audit(&mut table, of(sums(1000), sums(1000)));
    let counters = RawCounters { sent_bytes: 700, ..RawCounters::default() };
    table.apply(Event::Read(Observation { counters, ..observation(1) }));
    let found = audit(&mut table, of(sums(1600), sums(1600)));
    assert_eq!((found.drift.tcp_sent_bytes_excess, found.not_counted()), (100, 0));
    let found = audit(&mut table, of(sums(1900), sums(1900)));
    assert_eq!(found.drift.tcp_sent_bytes_excess, 0);
}

#[test]
fn the_drift_of_a_namespace_outlives_it_and_its_sums_do_not() {
    let mut table = Table::new(10);
    audit(&mut table, of(kernel(0, 0), kernel(0, 0)));
    table.apply(Event::Closed(datagrams(1, 5, 0), ending(KernelTime(8))));
    let found = audit(&mut table, of(kernel(6, 0), kernel(6, 0)));
    assert_eq!(found.drift.udp_sent_missing, 1);
    assert_eq!(audit_all(&mut table, Vec::new()).drift.udp_sent_missing, 1);
    // Another one with the same number begins anew.
    let found = audit(&mut table, of(kernel(2, 0), kernel(2, 0)));
    assert_eq!(found.drift.udp_sent_missing, 1);
    let found = audit(&mut table, of(kernel(4, 0), kernel(4, 0)));
    assert_eq!(found.drift.udp_sent_missing, 3);
}

#[test]
fn another_namespace_with_the_same_inode_number_begins_anew() {
    let mut table = Table::new(10);
    let sums = |octets, udp_sent| KernelSums { sent_octets: octets, udp_sent, ..KernelSums::default() };
    let named = |cookie, sums| NamespaceReading { cookie, ..of(sums, sums) };
    audit(&mut table, named(1, sums(100, 0)));
    let found = audit(&mut table, named(1, sums(100, 3)));
    assert_eq!(found.drift.udp_sent_missing, 3);
    // It carries more than the one before had, and nothing of it is too much or missing.
    let counters = RawCounters { sent_bytes: 5000, ..RawCounters::default() };
    table.apply(Event::Read(Observation { counters, ..observation(1) }));
    let found = audit(&mut table, named(2, sums(6000, 50)));
    assert_eq!((found.drift.udp_sent_missing, found.drift.tcp_sent_bytes_excess), (3, 0));
    let found = audit(&mut table, named(2, sums(6000, 54)));
    assert_eq!(found.drift.udp_sent_missing, 7);
    // Where the kernel gives no names, counters that fell show it.
    let found = audit(&mut table, named(2, sums(10, 1)));
    assert_eq!(found.drift.udp_sent_missing, 7);
}

#[test]
fn a_connect_that_sent_nothing_is_none_that_the_kernel_counts() {
    let mut table = Table::new(10);
    let sums = |tcp_active_opens| KernelSums { tcp_active_opens, ..KernelSums::default() };
    audit(&mut table, of(sums(0), sums(0)));
    table.apply(Event::Closed(
        Observation { direction: Direction::Outgoing, ..observation(2) },
        ending(KernelTime(8)),
    ));
    assert_eq!(audit(&mut table, of(sums(1), sums(1))).drift.tcp_outgoing_missing, 1);
}

#[test]
fn a_connection_that_an_audit_found_again_goes_on_and_is_not_told_twice() {
    let mut table = Table::new(10);
    let sent = |sent_bytes| RawCounters { sent_bytes, ..RawCounters::default() };
    table.apply(Event::Read(Observation { counters: sent(100), ..observation(1) }));
    let again = Observation { counters: sent(130), found: true, ..observation(1) };
    let again =
        Observation { id: connections::ConnectionId { claimed_at: KernelTime(77), ..again.id }, ..again };
    table.apply(Event::Read(again));
    let closed = table.take_closed();
    let live: Vec<_> = table.connections().collect();
    let (before, after) = (closed.first().expect("its first part ended"), live.first().expect("it goes on"));
    assert_eq!((before.total().sent_bytes, after.total.sent_bytes), (100, 30));
    assert_eq!(table.counts().close_not_seen.connections, 1);
    // One that was never known is told in full.
    table.apply(Event::Read(Observation { counters: sent(9), found: true, ..observation(2) }));
    assert_eq!(table.connections().map(|connection| connection.total.sent_bytes).sum::<u64>(), 39);
}

#[test]
fn sockets_that_were_missing_count_unless_they_were_found() {
    let mut table = Table::new(10);
    let reading =
        NamespaceReading { tcp_sockets: 9, tcp_missing: 3, tcp_found: 2, ..of(kernel(0, 0), kernel(0, 0)) };
    audit(&mut table, reading);
    let found = audit(&mut table, reading);
    // The one that finds no slot is the same in both.
    assert_eq!((found.missing, found.found, found.sockets, found.not_counted()), (5, 4, 9, 1));
    assert_eq!((found.audits, found.cpu_ns), (2, 10));
}
