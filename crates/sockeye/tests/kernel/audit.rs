//! The audit: it finds nothing where nothing is wrong, and each fault that is put into the kernel side.

use std::time::{Duration, Instant};

use collect::{Capability, CollectLimits};
use connections::{Audit, Criteria, Filter};
use deltas::Change;
use libbpf_rs::query::{MapInfoIter, ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{MapCore, MapFlags, MapHandle};

use crate::Test;
use crate::harness::{Client, DEADLINE, Outcome, Tracer, address, scaled};
use crate::peer::Peer;
use crate::scene::Scene;
use crate::udp_scene::{DatagramScene, exchange};
use crate::world::{LEFT_V4, RIGHT_V4, VethPair};

pub const TESTS: &[Test] = &[
    ("an_audit_of_busy_namespaces_finds_nothing", nothing_wrong),
    ("an_audit_finds_nothing_where_a_filter_excludes_everything", nothing_wrong_beside_a_filter),
    ("an_audit_finds_a_socket_whose_slot_is_gone_and_follows_it_again", slot_removed),
    ("an_audit_finds_datagrams_that_were_not_counted", datagrams_swallowed),
    ("a_pass_frees_the_slot_of_a_socket_that_is_gone_without_a_word", end_swallowed),
    ("an_end_that_no_hook_saw_is_told_while_the_memory_of_the_socket_stands", end_unseen),
    ("an_audit_finds_the_sockets_that_a_small_map_has_no_room_for", map_too_small),
];

/// Limits of a tracer that audits all the time.
pub fn limits() -> CollectLimits {
    CollectLimits {
        tcp_slots: 4096,
        audit_interval_ms: 50,
        audit_pause_factor: 1,
        ..CollectLimits::default()
    }
}

/// Waits for an audit that began after this call and is as wanted.
pub fn wait_audit(told: &mut Client<'_>, what: &str, mut wanted: impl FnMut(&Audit) -> bool) -> Audit {
    let begin = Instant::now();
    let mut first = None;
    loop {
        if let Some(audit) = told.poll().coverage.audit {
            // One may be under way.
            let begun = *first.get_or_insert(audit.audits + 2) <= audit.audits;
            if begun && wanted(&audit) {
                return audit;
            }
            assert!(begin.elapsed() < DEADLINE, "{what}: {audit:?}");
        }
        assert!(begin.elapsed() < DEADLINE, "{what}: no audit");
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn nothing_wrong() -> Outcome {
    let excluded = busy(&Tracer::with(limits()), |told| !told.told.is_empty());
    assert_eq!(excluded, 0);
}

fn nothing_wrong_beside_a_filter() -> Outcome {
    let include = vec![Criteria { port: Some(1..=1), ..Criteria::default() }];
    let tracer = Tracer::filtering(limits(), Filter { include, ..Filter::default() });
    let excluded = busy(&tracer, |told| told.told.is_empty());
    assert!(excluded >= scaled(20) * 40, "both ends of each, not {excluded}");
}

/// Audits busy namespaces and checks what the client is told in the end. Answers how many connections were excluded.
fn busy(tracer: &Tracer, is_told: impl Fn(&Client<'_>) -> bool) -> u64 {
    let world = VethPair::new();
    let mut told = tracer.client("a");
    let mut excluded = 0;
    let (mut client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
    // Datagrams wait when the first audit sees the namespaces, and are read later.
    server.ask("udp-bind s 0.0.0.0:5300");
    client.ask(&format!("udp-crowd {LEFT_V4} {RIGHT_V4}:5300 10 100"));
    let port = server.listen("0.0.0.0");
    let before = wait_audit(&mut told, "the first", |audit| audit.namespaces >= 3);
    server.ask("udp-receive s 100");
    let target = address(RIGHT_V4, 5300);
    for round in 0..scaled(20) {
        let echo = "udp-echo s 50";
        server.tell(echo);
        client.ask(&format!("udp-burst {target} 30 50"));
        server.answer(echo);
        let serve = "serve 20";
        server.tell(serve);
        client.ask(&format!("churn 20 500 {RIGHT_V4}:{port}"));
        server.answer(serve);
        let delta = told.poll();
        assert!(delta.coverage.complete(), "round {round}: {:?}", delta.coverage);
        excluded += delta.coverage.excluded;
    }
    let after = wait_audit(&mut told, "the last", |_| true);
    assert!(after.audits > before.audits && after.sockets > 0 && after.cpu_ns > before.cpu_ns);
    assert_eq!(
        (after.missing, after.stale, after.drift),
        (before.missing, before.stale, before.drift),
        "{after:?}"
    );
    assert_eq!(after.not_counted(), before.not_counted());
    assert!(is_told(&told));
    excluded
}

/// A map of this process's programs, by name.
fn map(tracer: &Tracer, name: &str) -> MapHandle {
    find_map(tracer, name).expect("the programs have the map")
}

/// The table of TCP's slots, if this kernel can have one.
fn table(tracer: &Tracer) -> Option<MapHandle> {
    find_map(tracer, "connection_table")
}

fn find_map(tracer: &Tracer, name: &str) -> Option<MapHandle> {
    let ours: Vec<u32> = tracer.collector.support().programs.iter().map(|(_, id)| *id).collect();
    let options = ProgInfoQueryOptions::default().include_map_ids(true);
    let programs = ProgInfoIter::with_query_opts(options).filter(|program| ours.contains(&program.id));
    let ids: Vec<u32> = programs.flat_map(|program| program.map_ids).collect();
    // The kernel keeps 15 bytes of a name.
    let short = &name[..name.len().min(15)];
    let mut maps = MapInfoIter::default().filter(|map| ids.contains(&map.id));
    let found = maps.find(|map| map.name == short)?;
    Some(MapHandle::from_map_id(found.id).expect("root may"))
}

/// The map of the slots that are not in the table.
const BESIDE: &str = "spilled_slots";
const WAYS: usize = 8;
/// Where `committed` stands in a slot: behind the owner and two times.
const COMMITTED: usize = 48 + 16;

/// Lets `change` change the keys of each bucket of the table, which are in front of it.
fn change_keys(table: &MapHandle, mut change: impl FnMut(&mut [u8; 8 * WAYS]) -> bool) -> bool {
    table.keys().collect::<Vec<_>>().iter().any(|index| {
        let mut bucket = table.lookup(index, MapFlags::ANY).expect("readable").expect("an array has all");
        let keys = bucket.first_chunk_mut().expect("keys come first");
        change(keys) && table.update(index, &bucket, MapFlags::ANY).is_ok()
    })
}

fn slot_removed() -> Outcome {
    let mut scene = Scene::connected();
    let tracer = Tracer::with(limits());
    let mut told = tracer.client("b");
    let local = scene.local;
    let change = transferred(&mut scene, &mut told);
    let before = wait_audit(&mut told, "an audit", |_| true);
    let cookie = change.connection.id.cookie.to_ne_bytes();
    let _put_back = hide_slot(&tracer, cookie);
    let audit = wait_audit(&mut told, "the socket is found", |audit| audit.missing > before.missing);
    assert_eq!((audit.missing - before.missing, audit.found - before.found), (1, 1), "{audit:?}");
    // It is followed again, and nothing is told twice.
    scene.client.transfer("c", &mut scene.server, "s", 500);
    scene.client.ask("close c");
    let whole = |told: &Client<'_>| {
        let all = told.find_all(&scene.world.left, local);
        let closed = all.iter().all(|(_, change)| change.connection.closed_at.is_some());
        (all.len() == 2 && closed).then(|| all.iter().map(|(sum, _)| sum.sent_bytes).sum::<u64>())
    };
    assert_eq!(told.wait("both ends", whole), change.connection.total.sent_bytes + 500);
}

fn datagrams_swallowed() -> Outcome {
    let mut scene = DatagramScene::bound_with("0.0.0.0", limits());
    // Datagrams are compared with the kernel's counters where all sockets are known.
    scene.tracer.needs(Capability::UdpAdopted);
    let mut told = scene.tracer.client("a");
    let target = address(RIGHT_V4, scene.port);
    let before = wait_audit(&mut told, "an audit", |_| true);
    // Sent and received, and gone from the table before anybody has read how often.
    exchange(&mut scene.client, &mut scene.server, target, 10, 5);
    let emptied = |name: &str| {
        change_keys(&map(&scene.tracer, name), |keys| {
            let held = keys.iter().any(|byte| *byte != 0);
            keys.fill(0);
            held
        })
    };
    while emptied("udp_sockets") {}
    let audit = wait_audit(&mut told, "the datagrams are missing", |audit| {
        audit.drift.udp_sent_missing > before.drift.udp_sent_missing
    });
    let missing = |audit: &Audit| (audit.drift.udp_sent_missing, audit.drift.udp_received_missing);
    let (sent, received) = (missing(&audit).0 - missing(&before).0, missing(&audit).1 - missing(&before).1);
    // 5 each way, at both ends, unless a pass was quicker.
    assert!((1..=10).contains(&sent) && (1..=10).contains(&received), "{audit:?}");
}

fn end_swallowed() -> Outcome {
    let tracer = Tracer::with(limits());
    let mut told = tracer.client("a");
    let mut later = tracer.client("b");
    let before = wait_audit(&mut told, "an audit", |_| true);
    later.clean_answer();
    // A slot of a socket that is gone: its cookie is nobody's, and it was committed.
    const NOBODY: [u8; 8] = (1_u64 << 40).to_ne_bytes();
    let is_there: Box<dyn Fn() -> bool> = match table(&tracer) {
        Some(table) => {
            let index = 0u32.to_ne_bytes();
            let bucket =
                move || table.lookup(&index, MapFlags::ANY).expect("readable").expect("an array has all");
            let mut changed = bucket();
            // A slot is what the bucket has per way, less key and pointer.
            let slot = changed.len() / WAYS - 16;
            let way = (0..WAYS).find(|way| changed[8 * way..8 * way + 8] == [0; 8]).expect("a free way");
            changed[8 * way..8 * way + 8].copy_from_slice(&NOBODY);
            let at = 16 * WAYS + way * slot + COMMITTED;
            changed[at..at + 8].copy_from_slice(&NOBODY);
            map(&tracer, "connection_table").update(&index, &changed, MapFlags::ANY).expect("root may");
            Box::new(move || bucket()[8 * way..8 * way + 8] == NOBODY)
        }
        None => {
            let beside = map(&tracer, BESIDE);
            let mut slot = vec![0; usize::try_from(beside.value_size()).expect("a slot is small")];
            slot[COMMITTED..COMMITTED + 8].copy_from_slice(&NOBODY);
            beside.update(&NOBODY, &slot, MapFlags::ANY).expect("root may");
            Box::new(move || beside.lookup(&NOBODY, MapFlags::ANY).expect("readable").is_some())
        }
    };
    let audit = wait_audit(&mut told, "the slot is freed", |audit| audit.stale > before.stale);
    assert_eq!(audit.stale - before.stale, 1);
    assert!(!is_there(), "it is free again");
    let coverage = later.answer().coverage;
    assert_eq!((coverage.untracked, coverage.complete()), (1, false), "nothing was told of it");
}

fn end_unseen() -> Outcome {
    let mut scene = Scene::connected();
    let tracer = Tracer::with(limits());
    let mut told = tracer.client("b");
    let local = scene.local;
    let change = transferred(&mut scene, &mut told);
    let id = change.connection.id;
    let cookie = id.cookie.to_ne_bytes();
    // The slot is hidden from the hooks while the connection ends, and then there again.
    let put_back = hide_slot(&tracer, cookie);
    scene.client.ask("close c");
    scene.server.ask("close s");
    put_back();
    let ended = |told: &Client<'_>| {
        let mut all = told.find_all(&scene.world.left, local).into_iter();
        all.find(|(_, change)| change.connection.id == id && change.connection.closed_at.is_some())
    };
    let (sum, closed) = told.wait("the end", ended);
    assert_eq!(sum.sent_bytes, change.connection.total.sent_bytes);
    assert_eq!(closed.connection.global_id, change.connection.global_id);
}

/// Waits until 1000 bytes that the client sends are told.
fn transferred(scene: &mut Scene, told: &mut Client<'_>) -> Change {
    scene.client.transfer("c", &mut scene.server, "s", 1000);
    let found = |told: &Client<'_>| {
        told.find(&scene.world.left, scene.local).filter(|(sum, _)| sum.sent_bytes >= 1000)
    };
    told.wait("the bytes", found).1
}

/// Takes away the slot of a socket, which must be there; what is returned puts it back.
fn hide_slot(tracer: &Tracer, cookie: [u8; 8]) -> Box<dyn FnOnce()> {
    let Some(table) = table(tracer) else {
        // All slots are beside the table.
        let beside = map(tracer, BESIDE);
        let slot = beside.lookup(&cookie, MapFlags::ANY).expect("readable").expect("it is there");
        beside.delete(&cookie).expect("root may");
        return Box::new(move || beside.update(&cookie, &slot, MapFlags::ANY).expect("root may"));
    };
    take_slot(table, cookie)
}

/// The same for one in the table.
fn take_slot(table: MapHandle, cookie: [u8; 8]) -> Box<dyn FnOnce()> {
    let has_it = |bucket: &[u8]| (0..WAYS).find(|way| bucket[8 * way..8 * way + 8] == cookie);
    let bucket =
        |index: &[u8]| table.lookup(index, MapFlags::ANY).expect("readable").expect("an array has all");
    let index = table.keys().find(|index| has_it(&bucket(index)).is_some()).expect("it is there");
    let before = bucket(&index);
    let way = has_it(&before).expect("it is there");
    let slot = before.len() / WAYS - 16;
    let parts = [
        8 * way..8 * way + 8,
        8 * (WAYS + way)..8 * (WAYS + way) + 8,
        16 * WAYS + way * slot..16 * WAYS + (way + 1) * slot,
    ];
    let mut without = before.clone();
    without[parts[0].clone()].fill(0);
    table.update(&index, &without, MapFlags::ANY).expect("root may");
    Box::new(move || {
        let mut bucket = table.lookup(&index, MapFlags::ANY).expect("readable").expect("an array has all");
        for part in parts {
            bucket[part.clone()].copy_from_slice(&before[part]);
        }
        table.update(&index, &bucket, MapFlags::ANY).expect("root may");
    })
}

fn map_too_small() -> Outcome {
    const SOCKETS: u64 = 40;
    let mut scene = Scene::listening();
    let tracer = Tracer::with(CollectLimits { tcp_slots: 8, spilled_slots: 2, ..limits() });
    let mut told = tracer.client("b");
    let before = wait_audit(&mut told, "an audit", |_| true);
    for number in 0..SOCKETS {
        scene.client.connect(&format!("c{number}"), RIGHT_V4, scene.port);
    }
    // The answer for the time in which they were refused a slot says so.
    let delta = told.poll();
    assert!(!delta.coverage.complete(), "{:?}", delta.coverage);
    let audit =
        wait_audit(&mut told, "the rest is missing", |audit| audit.missing >= before.missing + SOCKETS);
    assert!(audit.drift.tcp_outgoing_missing > 0, "{audit:?}");
}
