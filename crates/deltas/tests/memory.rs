//! What is kept of each connection takes no more memory than the limits say, counted by the allocator.

mod fixtures;

use connections::{
    Command, ConnectionId, Ending, Event, KernelTime, Observation, Owner, OwnerSource, State, Table,
};
use deltas::{Ask, ClientId, ClientLimits, Clients, Health, Peer, Settings};
use fixtures::{datagrams, observation};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const TABLE_BYTES_MAX: f64 = 256.0;
const CLIENT_BYTES_MAX: f64 = 96.0;
const CLOSED_BYTES_MAX: f64 = 256.0;

/// One number of connections for which the index of the table has just grown, and is as large as it can be for them, and
/// one shortly before it grows.
const CONNECTIONS: [u64; 2] = [57_345, 114_000];

/// Bytes that `work` leaves, for each of so many.
fn bytes_of_each<T>(count: u64, work: impl FnOnce() -> T) -> (T, f64) {
    let before = ALLOCATOR.current_usage();
    let made = work();
    let bytes = ALLOCATOR.current_usage() as f64 - before as f64;
    (made, bytes / count as f64)
}

/// One of the connections of a hundred processes.
fn one(cookie: u64, sent_bytes: u64) -> Observation {
    let pid = u32::try_from(cookie % 100).expect("it fits");
    let owner = Owner {
        pid,
        tid: pid,
        uid: 0,
        command: Command::default(),
        cgroup_id: None,
        container: None,
        started_at_boot_ns: 1,
        kernel: false,
        source: OwnerSource::Connect,
    };
    let id = ConnectionId { cookie, claimed_at: KernelTime(cookie) };
    let of_protocol = if cookie.is_multiple_of(10) { datagrams } else { observation };
    Observation { id, owner: Some(owner), ..of_protocol(cookie, sent_bytes) }
}

fn read(table: &mut Table, connections: u64, sent_bytes: u64) {
    (0..connections).for_each(|cookie| table.apply(Event::Read(one(cookie, sent_bytes))));
}

fn client(number: u64) -> ClientId {
    ClientId::parse(&number.to_string()).expect("a valid id")
}

fn clients(count: u64) -> Clients {
    let mut clients = Clients::new(ClientLimits::default(), KernelTime(0));
    for number in 0..count {
        let new = clients.register(&client(number), Peer::ROOT, Settings::default(), KernelTime(1));
        new.expect("there is room");
    }
    clients
}

/// Closes these connections.
fn close(table: &mut Table, clients: &mut Clients, cookies: std::ops::Range<u64>) {
    for cookie in cookies {
        let ending = Ending { closed_at: KernelTime(9), state_before: State::LastAck, errno: 0 };
        table.apply(Event::Closed(one(cookie, 1), ending));
        table.take_closed().into_iter().for_each(|closed| clients.keep_closed(closed));
    }
}

/// A table that has remembered as many closed connections for a while as it can.
fn table_with_tombstones() -> Table {
    let mut table = Table::new(usize::MAX);
    close(&mut table, &mut clients(0), 1_000_000..1_066_000);
    table
}

/// A poll whose answer nobody keeps; it says that it has this answer.
fn poll(clients: &mut Clients, number: u64, table: &Table, after: u64) {
    let ask = Ask { after: Some(after), ..Ask::default() };
    let begun = clients.begin(&client(number), Peer::ROOT, ask, KernelTime(1)).expect("it may begin");
    let delta = clients.answer(&begun.ticket, table, Health::default(), KernelTime(1));
    assert!(delta.expect("an answer").changes.count() > 0);
    clients.end(&begun.ticket, true, KernelTime(1));
}

// One test, since what others allocate meanwhile would be counted.
#[test]
fn a_connection_takes_no_more_memory_than_the_limits_say() {
    for connections in CONNECTIONS {
        live_connections(connections);
        closed_connections(connections);
    }
    a_crowd_that_has_gone_leaves_little();
}

fn live_connections(connections: u64) {
    let (mut table, of_table) = bytes_of_each(connections, || {
        let mut table = Table::new(usize::MAX);
        read(&mut table, connections, 1);
        table
    });
    assert!(of_table <= TABLE_BYTES_MAX, "{of_table} bytes of the table for each of {connections}");
    let mut clients = clients(3);
    for number in 0..3 {
        // All that the client has is of another time than what the table has.
        let ((), of_client) = bytes_of_each(connections, || {
            poll(&mut clients, number, &table, 0);
            read(&mut table, connections, 10 * number + 2);
        });
        assert!(of_client <= CLIENT_BYTES_MAX, "{of_client} bytes of a client for each of {connections}");
        let ((), pending_too) = bytes_of_each(connections, || {
            poll(&mut clients, number, &table, 1);
            read(&mut table, connections, 10 * number + 3);
        });
        let both = of_client + pending_too;
        assert!(
            both <= 2.0 * CLIENT_BYTES_MAX,
            "{both} bytes with a pending answer for each of {connections}"
        );
    }
}

fn closed_connections(connections: u64) {
    let mut of_clients = Vec::new();
    for count in [1, 8] {
        let mut table = table_with_tombstones();
        let mut clients = clients(count);
        let ((), bytes) = bytes_of_each(connections, || close(&mut table, &mut clients, 0..connections));
        assert_eq!(clients.closed_kept() as u64, connections);
        assert!(bytes <= CLOSED_BYTES_MAX, "{bytes} bytes for each of {connections} closed, {count} clients");
        of_clients.push(bytes);
    }
    let [of_one, of_eight] = of_clients[..] else { panic!("two") };
    assert!((of_one - of_eight).abs() < 1.0, "{of_one} with one client, {of_eight} with eight");
}

fn a_crowd_that_has_gone_leaves_little() {
    let mut table = table_with_tombstones();
    let ((), left) = bytes_of_each(100_000, || {
        read(&mut table, 100_000, 1);
        close(&mut table, &mut clients(0), 0..100_000);
        for pass in 0..4 {
            table.apply(Event::PassEnded { at: KernelTime(pass) });
        }
    });
    assert!(left < 20.0, "{left} bytes for each of a crowd that has gone");
}
