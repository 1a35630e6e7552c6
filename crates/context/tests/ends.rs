//! What makes two connections the two ends of one, and for how long ends are found.

#[path = "fixtures/connections.rs"]
mod fixtures;

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use connections::Direction::{self, Incoming, Outgoing, Unknown};
use connections::{Connection, ConnectionId, End, KernelTime, Nat, Protocol, State};
use context::{EndCounts, EndLimits, Ends, Found};
use fixtures::{connection, owner};

const A: &str = "10.0.0.1:40000";
const B: &str = "10.0.0.2:443";

const ROOM: EndLimits = EndLimits { live: 1000, ended: 1000 };

/// Who is found, by its namespace and direction, and whether it is known to be on this host.
type Seen = (Option<(u32, Direction)>, bool);

fn seen(found: &Found) -> Seen {
    (found.other_end.as_ref().map(|end| (end.netns, end.direction)), found.intra_host)
}

fn ends(noted: &[End]) -> Ends {
    let ends = Ends::new(ROOM);
    ends.note(noted);
    ends
}

fn look(ends: &Ends, connection: &Connection, nat: Option<&Nat>) -> Seen {
    seen(&ends.find(&[(connection, nat.copied())])[0])
}

/// What each finds where all of them live.
fn among<const N: usize>(all: [Connection; N]) -> [Seen; N] {
    let ends = ends(&all.map(live));
    all.map(|connection| look(&ends, &connection, None))
}

fn nat(remote: &str, local: &str) -> Nat {
    let parse = |text: &str| text.parse::<SocketAddr>().expect("a test address");
    Nat { remote: parse(remote), local: parse(local) }
}

fn udp(connection: Connection) -> Connection {
    let mut connection = connection;
    connection.tuple.protocol = Protocol::Udp;
    connection
}

fn live(connection: Connection) -> End {
    End { connection, ended: false }
}

/// The connection with these times, in seconds.
fn lived(connection: Connection, opened_s: u64, closed_s: Option<u64>) -> End {
    let at = |seconds: u64| KernelTime(seconds * 1_000_000_000);
    let connection = Connection {
        id: ConnectionId { claimed_at: at(opened_s), ..connection.id },
        opened_at: Some(at(opened_s)),
        closed_at: closed_s.map(at),
        state: if closed_s.is_some() { State::Closed } else { connection.state },
        ..connection
    };
    End { connection, ended: closed_s.is_some() }
}

const NOTHING: Seen = (None, false);

#[test]
fn a_global_id_pairs_ends_whose_addresses_were_translated() {
    let client = connection(1, A, "10.96.0.1:443", Outgoing, Some(7));
    let server = connection(2, "10.0.0.2:8443", "192.0.2.1:61000", Incoming, Some(7));
    assert_eq!(among([client, server]), [(Some((2, Incoming)), true), (Some((1, Outgoing)), true)]);
}

#[test]
fn the_other_end_is_told_with_its_owner() {
    let client = connection(1, A, B, Outgoing, None);
    let found = ends(&[live(connection(2, B, A, Incoming, None))]).find(&[(&client, None)]);
    let other_end = found[0].other_end.as_ref().expect("it is found");
    assert_eq!(other_end.owner.as_deref(), Some(&owner(2)));
}

#[test]
fn one_end_alone_is_no_pair_however_often_it_is_told() {
    for direction in [Outgoing, Incoming, Unknown] {
        let again = connection(1, A, B, direction, Some(7));
        assert_eq!(among([again, again]), [NOTHING; 2]);
    }
    // A socket that is connected to itself is both ends.
    let itself = connection(1, A, A, Outgoing, None);
    assert_eq!(among([itself]), [(None, true)]);
}

#[test]
fn a_global_id_pairs_no_ends_of_the_same_direction() {
    let one = connection(1, A, B, Outgoing, Some(7));
    let other = connection(2, "10.0.0.9:1", B, Outgoing, Some(7));
    assert_eq!(among([one, other]), [NOTHING; 2]);
}

#[test]
fn mirrored_tuples_with_ids_that_differ_are_two_connections() {
    let client = connection(1, A, B, Outgoing, Some(7));
    let server = connection(2, B, A, Incoming, Some(8));
    assert_eq!(among([client, server]), [NOTHING; 2]);
}

#[test]
fn a_mirrored_tuple_is_the_other_end_where_an_id_is_missing() {
    let client = connection(1, A, B, Outgoing, Some(7));
    let server = connection(2, B, A, Unknown, None);
    assert_eq!(among([client, server]), [(Some((2, Unknown)), true), (Some((1, Outgoing)), true)]);
    let client = connection(1, A, B, Unknown, None);
    let server = connection(2, B, A, Incoming, None);
    assert_eq!(among([client, server]), [(Some((2, Incoming)), true), (Some((1, Unknown)), true)]);
}

#[test]
fn an_id_tells_which_of_several_mirrored_tuples_it_is() {
    let client = connection(1, A, B, Outgoing, Some(7));
    let server = connection(2, B, A, Incoming, Some(7));
    let alike = connection(3, B, A, Incoming, None);
    assert_eq!(among([client, server, alike])[0], (Some((2, Incoming)), true));
}

#[test]
fn of_ends_of_several_processes_or_namespaces_none_is_named() {
    let client = connection(1, A, B, Outgoing, None);
    let servers = [2, 3].map(|netns| connection(netns, B, A, Incoming, None));
    assert_eq!(among([client, servers[0], servers[1]])[0], (None, true));
    let same_process = Connection { owner: Some(owner(2)), ..servers[1] };
    assert_eq!(among([client, servers[0], same_process])[0], (None, true));
}

#[test]
fn a_direction_stays_open_where_the_other_ends_contradict_each_other() {
    let open = connection(1, A, B, Unknown, None);
    let [one, other] = [(8, Incoming, 7), (9, Outgoing, 8)].map(|(cookie, direction, global_id)| {
        let end = connection(2, B, A, direction, Some(global_id));
        Connection { id: ConnectionId { cookie, claimed_at: KernelTime(0) }, ..end }
    });
    assert_eq!(among([open, one, other])[0], (Some((2, Unknown)), true));
    assert_eq!(among([open, one])[0], (Some((2, Incoming)), true));
}

#[test]
fn loopback_and_equal_addresses_need_no_other_end() {
    let loopback = connection(1, "127.0.0.1:1", "127.0.0.53:53", Outgoing, None);
    let v6 = connection(1, "[::1]:1", "[::1]:2", Unknown, None);
    let equal = connection(1, "10.0.0.1:1", "10.0.0.1:2", Outgoing, None);
    let half = connection(1, "127.0.0.1:1", "10.0.0.1:2", Outgoing, None);
    let nowhere = connection(1, "0.0.0.0:1", "0.0.0.0:2", Outgoing, None);
    let pairs = among([loopback, v6, equal, half, nowhere]);
    assert_eq!(pairs, [(None, true), (None, true), (None, true), NOTHING, NOTHING]);
}

#[test]
fn an_address_that_is_none_names_no_end() {
    let one = connection(1, "0.0.0.0:1", "10.0.0.1:2", Outgoing, None);
    let other = connection(2, "10.0.0.1:2", "0.0.0.0:1", Incoming, None);
    assert_eq!(among([one, other]), [NOTHING; 2]);
}

#[test]
fn the_loopback_of_another_namespace_says_nothing() {
    for (client, server) in [("127.0.0.1:1", "127.0.0.1:2"), ("10.0.0.1:1", "10.0.0.1:2")] {
        let open = connection(1, client, server, Unknown, None);
        let ends_in = |netns| {
            let server = connection(netns, server, client, Incoming, None);
            among([open, Connection { owner: Some(owner(9)), ..server }])[0]
        };
        assert_eq!(ends_in(2), (None, true));
        assert_eq!(ends_in(1), (Some((1, Incoming)), true));
    }
}

#[test]
fn the_loopbacks_of_many_namespaces_are_no_crowd() {
    let all = (1..100).flat_map(|netns| {
        let client = connection(netns, "127.0.0.1:1", "127.0.0.1:2", Outgoing, None);
        [client, connection(netns, "127.0.0.1:2", "127.0.0.1:1", Incoming, None)]
    });
    let all: Vec<_> = all.collect();
    let ends = ends(&all.iter().copied().map(live).collect::<Vec<_>>());
    for connection in all {
        let (other_end, _) = look(&ends, &connection, None);
        assert_eq!(other_end.map(|(netns, _)| netns), Some(connection.tuple.netns));
    }
    assert_eq!(ends.counts().crowded, 0);
}

#[test]
fn the_other_end_has_the_same_protocol() {
    let client = connection(1, A, B, Outgoing, None);
    let server = udp(connection(2, B, A, Incoming, None));
    assert_eq!(among([client, server]), [NOTHING; 2]);
}

#[test]
fn a_link_local_address_has_another_scope_at_the_other_end() {
    let client = connection(1, "[fe80::1%3]:1", "[fe80::2%3]:2", Outgoing, None);
    let server = connection(2, "[fe80::2%8]:2", "[fe80::1%8]:1", Incoming, None);
    assert_eq!(among([client, server])[0], (Some((2, Incoming)), true));
}

#[test]
fn translated_addresses_lead_to_the_other_end_from_both_sides() {
    let client = udp(connection(1, A, "10.96.0.1:53", Outgoing, None));
    let server = udp(connection(2, "10.0.0.2:5353", "192.0.2.1:61000", Incoming, None));
    let ends = ends(&[live(client), live(server)]);
    assert_eq!(look(&ends, &client, None), NOTHING);
    let of_client = nat("10.0.0.2:5353", "192.0.2.1:61000");
    assert_eq!(look(&ends, &client, Some(&of_client)), (Some((2, Incoming)), true));
    let of_server = nat(A, "10.96.0.1:53");
    assert_eq!(look(&ends, &server, Some(&of_server)), (Some((1, Outgoing)), true));
}

#[test]
fn a_server_at_an_address_that_its_client_is_translated_to_is_in_another_namespace() {
    let client = udp(connection(1, A, "10.96.0.1:53", Outgoing, None));
    let server = udp(connection(2, "192.0.2.1:5353", "192.0.2.1:61000", Incoming, None));
    let ends = ends(&[live(client), live(server)]);
    let translated = nat("192.0.2.1:5353", "192.0.2.1:61000");
    assert_eq!(look(&ends, &client, Some(&translated)), (Some((2, Incoming)), true));
}

#[test]
fn a_translation_to_loopback_needs_no_other_end() {
    let client = connection(1, A, B, Outgoing, None);
    assert_eq!(look(&ends(&[]), &client, Some(&nat("127.0.0.1:80", A))), (None, true));
    assert_eq!(look(&ends(&[]), &client, Some(&nat("10.0.0.3:80", A))), NOTHING);
}

#[test]
fn both_closed_ends_of_a_short_connection_find_each_other() {
    let client = lived(connection(1, A, B, Outgoing, Some(7)), 10, Some(11));
    let server = lived(connection(2, B, A, Incoming, Some(7)), 10, Some(12));
    let ends = ends(&[client.clone(), server.clone()]);
    assert_eq!(look(&ends, &client.connection, None), (Some((2, Incoming)), true));
    assert_eq!(look(&ends, &server.connection, None), (Some((1, Outgoing)), true));
}

#[test]
fn a_later_connection_with_the_same_addresses_is_another_one() {
    let client = lived(connection(1, A, B, Outgoing, None), 10, Some(11));
    let later = lived(connection(2, B, A, Incoming, None), 12, None);
    let ends = ends(&[client.clone(), later.clone()]);
    assert_eq!(look(&ends, &client.connection, None), NOTHING);
    assert_eq!(look(&ends, &later.connection, None), NOTHING);
    let at_once = lived(connection(2, B, A, Incoming, None), 11, None);
    ends.note(std::slice::from_ref(&at_once));
    assert_eq!(look(&ends, &client.connection, None), (Some((2, Incoming)), true));
}

#[test]
fn a_global_id_pairs_an_end_whose_beginning_was_seen_late() {
    let client = lived(connection(1, A, B, Outgoing, Some(7)), 10, Some(11));
    let server = lived(connection(2, B, A, Incoming, Some(7)), 15, Some(15));
    let ends = ends(&[client.clone(), server]);
    assert_eq!(look(&ends, &client.connection, None), (Some((2, Incoming)), true));
}

#[test]
fn an_end_changes_and_is_found_as_it_is() {
    let client = connection(1, A, B, Outgoing, None);
    let server = connection(2, "0.0.0.0:443", A, Unknown, None);
    let ends = ends(&[live(client), live(server)]);
    assert_eq!(look(&ends, &client, None), NOTHING);
    let mut bound = connection(2, B, A, Incoming, Some(7));
    bound.owner = None;
    ends.note(&[live(Connection { id: server.id, ..bound })]);
    let found = ends.find(&[(&client, None)]);
    assert_eq!(seen(&found[0]), (Some((2, Incoming)), true));
    assert_eq!(found[0].other_end.as_ref().and_then(|end| end.owner.as_deref()), None);
    // Under its old name it is not found any more.
    assert_eq!(look(&ends, &connection(1, A, "0.0.0.0:443", Outgoing, None), None), NOTHING);
    assert_eq!((ends.counts().live, ends.counts().ended), (2, 0));
}

#[test]
fn what_is_late_does_not_revive_an_end() {
    let server = lived(connection(2, B, A, Incoming, None), 10, Some(11));
    let ends = ends(std::slice::from_ref(&server));
    ends.note(&[live(Connection { closed_at: None, ..server.connection })]);
    let much_later = lived(connection(1, A, B, Outgoing, None), 20, None);
    assert_eq!(look(&ends, &much_later.connection, None), NOTHING);
    ends.note(&[server]);
    assert_eq!(ends.counts(), EndCounts { live: 0, ended: 1, ..EndCounts::default() });
}

#[test]
fn live_ends_beyond_the_limit_are_counted_and_have_room_when_others_end() {
    let ends = Ends::new(EndLimits { live: 1, ended: 1 });
    let client = connection(1, A, B, Outgoing, None);
    let server = connection(2, B, A, Incoming, None);
    ends.note(&[live(client), live(server)]);
    assert_eq!(ends.counts(), EndCounts { live: 1, refused: 1, ..EndCounts::default() });
    assert_eq!(look(&ends, &client, None), NOTHING);
    ends.note(&[End { connection: client, ended: true }, live(server)]);
    assert_eq!(look(&ends, &client, None), (Some((2, Incoming)), true));
}

#[test]
fn the_end_that_ended_first_is_forgotten_first() {
    let ends = Ends::new(EndLimits { live: 10, ended: 2 });
    let servers = ["10.0.0.2:1", "10.0.0.2:2", "10.0.0.2:3"]
        .map(|server| lived(connection(2, server, A, Incoming, None), 1, Some(5)));
    ends.note(&servers);
    let clients = servers.each_ref().map(|server| {
        let remote = server.connection.tuple.local.to_string();
        look(&ends, &connection(1, A, &remote, Outgoing, None), None)
    });
    let is_there = (Some((2, Incoming)), true);
    assert_eq!(clients, [NOTHING, is_there, is_there]);
    assert_eq!(ends.counts(), EndCounts { ended: 2, forgotten: 1, ..EndCounts::default() });
}

#[test]
fn of_a_crowd_with_the_same_addresses_the_last_are_found() {
    let ends = Ends::new(EndLimits { live: 100, ended: 10_000 });
    let server = |opened_s| lived(connection(2, B, A, Incoming, None), opened_s, Some(opened_s));
    let all: Vec<_> = (0..1000).map(|number| server(number * 10)).collect();
    let began = Instant::now();
    ends.note(&all);
    let client =
        |opened_s| lived(connection(1, A, B, Outgoing, None), opened_s, Some(opened_s + 1)).connection;
    assert_eq!(look(&ends, &client(9990), None), (Some((2, Incoming)), true));
    assert_eq!(look(&ends, &client(0), None), NOTHING);
    let EndCounts { crowded, ended, .. } = ends.counts();
    assert_eq!((crowded, ended), (984, 1000));
    let live_ones = (10..100).map(|netns| live(connection(netns, B, A, Incoming, None)));
    ends.note(&live_ones.collect::<Vec<_>>());
    assert_eq!(look(&ends, &client(1), None), (None, true));
    assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
    // When the whole crowd has been forgotten, its places are there for others.
    ends.note(&(0..10_000).map(|number| server(100_000 + number * 10)).collect::<Vec<_>>());
    assert_eq!((ends.counts().ended, ends.counts().forgotten), (10_000, 1000));
}

#[test]
fn ends_are_noted_while_many_look_without_a_pause() {
    let client = connection(1, A, B, Outgoing, Some(7));
    let ends = ends(&[live(client)]);
    let noted = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                let asked = vec![(&client, None); 2000];
                while !noted.load(Ordering::Relaxed) {
                    assert_eq!(ends.find(&asked).len(), 2000);
                }
            });
        }
        for number in 0..200 {
            ends.note(&[live(connection(2 + number, B, A, Incoming, Some(1000 + u64::from(number))))]);
        }
        ends.note(&[live(connection(500, B, A, Incoming, Some(7)))]);
        noted.store(true, Ordering::Relaxed);
    });
    assert_eq!(look(&ends, &client, None), (Some((500, Incoming)), true));
}

/// The bound is that of a build without optimization; what it prints means something with `--release` only.
#[test]
fn a_look_up_among_as_many_as_there_may_be_costs_little() {
    let limits = EndLimits::default();
    let pair = |number: u32| {
        let id = Some(u64::from(number) + 1);
        let mut client = connection(1, A, B, Outgoing, id);
        let [_, high, middle, low] = number.to_be_bytes();
        client.tuple.local = ([11, high, middle, low], 40_000).into();
        client.id.cookie = u64::from(number) << 1;
        let mut server = connection(2, B, A, Incoming, id);
        (server.tuple.local, server.tuple.remote) = (client.tuple.remote, client.tuple.local);
        server.id.cookie = u64::from(number) << 1 | 1;
        client.owner = Some(owner(number % 5000));
        server.owner = Some(owner(10_000 + number % 500));
        [client, server]
    };
    let half = u32::try_from(limits.live / 2).expect("it is small");
    let ends = Ends::new(limits);
    let noted: Vec<_> = (0..half).flat_map(pair).map(live).collect();
    let note = |some: &[End]| {
        let began = Instant::now();
        ends.note(some);
        began.elapsed() / 128
    };
    let mut noting: Vec<_> = noted.chunks(128).map(note).collect();
    noting.sort();
    let noting = noting[noting.len() / 2];
    assert_eq!((ends.counts().live, ends.counts().refused), (limits.live, 0));

    let measure = |name: &str, expected: bool, of: &dyn Fn(u32) -> Connection| {
        let mut best = Duration::MAX;
        for round in 0..200u32 {
            let batch: Vec<_> = (0..256u32).map(|n| of((n * 509 + round * 7919) % half)).collect();
            let asked: Vec<_> = batch.iter().map(|connection| (connection, None)).collect();
            let began = Instant::now();
            let found = black_box(ends.find(black_box(&asked)));
            best = best.min(began.elapsed() / 256);
            assert!(found.iter().all(|found| found.other_end.is_some() == expected));
        }
        println!("{name}: {best:?} for each");
        best
    };
    println!("noting: {noting:?} for each");
    let by_id = measure("found by global id", true, &|number| pair(number)[0]);
    let by_tuple =
        measure("found by tuple", true, &|number| Connection { global_id: None, ..pair(number)[0] });
    let external = measure("not there", false, &|number| {
        let mut external = pair(number)[0];
        external.global_id = Some(connections::GlobalId(u64::from(number) << 32));
        external.tuple.remote.set_port(444);
        external
    });
    let slowest = by_id.max(by_tuple).max(external);
    assert!(slowest < Duration::from_micros(5), "{slowest:?}");
}
