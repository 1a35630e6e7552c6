//! What names and lookups cost: memory at the limits, counted by the allocator, and time, which is printed.
//!
//! The bounds of time are those of a build without optimization on a busy machine.

mod fixtures;

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use connections::{Payload, Protocol};
use fixtures::{Socket, World, address, alias, answer, query, wire};
use hickory_proto::rr::RecordType;
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// One test at a time, because all are counted by one allocator.
static ALONE: Mutex<()> = Mutex::new(());

const MIB: usize = 1 << 20;

/// A name of 40 bytes.
fn name(number: u32) -> String {
    format!("{number:08}.a-service.of-a-zone.example.com")
}

fn host(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0x0a00_0000 + number).into()
}

/// Exchanges that differ in the numbers of their names and addresses alone. The numbers are written into bytes that exist,
/// because without optimization it takes longest to make them.
struct Exchanges {
    query: Payload,
    answer: Payload,
    has_alias: bool,
}

impl Exchanges {
    fn new(has_alias: bool) -> Self {
        let (asked, canonical) = (name(0), name(99_999_999));
        let records = if has_alias {
            vec![alias(&asked, &canonical, 300), address(&canonical, "10.0.0.0", 300)]
        } else {
            vec![address(&asked, "10.0.0.0", 300)]
        };
        let socket = Socket::udp();
        let query = socket.sends(wire(&query(1, &asked, RecordType::A)), 10);
        Self { query, answer: socket.gets(wire(&answer(1, &asked, records)), 20), has_alias }
    }

    fn pass(&mut self, world: &mut World, number: u32) {
        // The address is the end, and the first label follows the head of 12 bytes and its own length.
        let digits = format!("{number:08}");
        let answer = &mut self.answer.bytes;
        let end = answer.len() - 4;
        answer[end..].copy_from_slice(&(0x0a00_0000 + number).to_be_bytes());
        if self.has_alias {
            let place = end - 22;
            answer[place..place + 8].copy_from_slice(format!("{:08}", 10_000_000 + number).as_bytes());
        }
        answer[13..21].copy_from_slice(digits.as_bytes());
        self.ask(world, number);
        world.take(&self.answer);
        world.ended.clear();
    }

    fn ask(&mut self, world: &mut World, number: u32) {
        self.query.bytes[13..21].copy_from_slice(format!("{number:08}").as_bytes());
        world.take(&self.query);
    }
}

/// The least of four times what each of `count` took.
fn each(count: u32, mut work: impl FnMut()) -> Duration {
    let mut round = || {
        let began = Instant::now();
        work();
        began.elapsed() / count
    };
    (0..4).map(|_| round()).min().expect("four")
}

#[test]
fn names_at_the_limit_take_less_than_13_mib() {
    let _alone = ALONE.lock();
    assert_eq!(name(0).len(), 40);
    let mut world = World::new();
    let before = ALLOCATOR.current_usage();
    // More than there is room for.
    let mut exchanges = Exchanges::new(false);
    for number in 0..70_000 {
        exchanges.pass(&mut world, number);
    }
    let bytes = ALLOCATOR.current_usage() - before;
    let counts = world.names.counts();
    assert_eq!((counts.addresses, counts.addresses_dropped), (49_152, 20_848));
    println!("{:.1} MiB, {} bytes for each address", bytes as f64 / MIB as f64, bytes / 49_152);
    assert!(bytes < 13 * MIB, "{bytes}");

    let look = world.names.look();
    let number_of = |host| look.of(black_box(host), 7).map(|names| names.len());
    // In no order that the memory has.
    let all: Vec<_> = (0..49_152).map(|number| host(20_848 + number * 40_503 % 49_152)).collect();
    let cold = each(49_152, || all.iter().for_each(|host| assert_eq!(number_of(*host), Some(1))));
    let few = &all[..1000];
    let warm = each(1000, || few.iter().for_each(|host| assert_eq!(number_of(*host), Some(1))));
    let unknown = each(1000, || (0..1000).for_each(|number| assert_eq!(number_of(host(number)), None)));
    drop(look);
    let began = Instant::now();
    let mut names = 0;
    world.names.each(fixtures::at(0), |_, _| names += 1);
    println!(
        "look-up among all {cold:?}, among a thousand {warm:?}, of none {unknown:?}; all told {:?}",
        began.elapsed()
    );
    assert!(warm < Duration::from_micros(2), "{warm:?}");
}

#[test]
fn two_names_of_each_address_leave_room_for_half_of_the_addresses() {
    let _alone = ALONE.lock();
    let mut world = World::new();
    let before = ALLOCATOR.current_usage();
    let mut exchanges = Exchanges::new(true);
    for number in 0..70_000 {
        exchanges.pass(&mut world, number);
    }
    assert_eq!(*world.names_of("10.1.17.111", 7), [name(69_999), name(10_069_999)]);
    let bytes = ALLOCATOR.current_usage() - before;
    assert_eq!((world.names.counts().names, world.names.counts().addresses), (49_152, 24_576));
    println!("{:.1} MiB", bytes as f64 / MIB as f64);
    assert!(bytes < 13 * MIB, "{bytes}");
}

#[test]
fn a_look_up_allocates_only_for_an_order_of_its_own() {
    let _alone = ALONE.lock();
    let mut world = World::new();
    world.resolve_to(1, 1_000, "a.test", "192.0.2.1");
    world.resolve_to(2, 2_000, "b.test", "192.0.2.1");
    let look = world.names.look();
    let mut allocates = |pid| {
        let before = ALLOCATOR.current_usage();
        let names = look.of(fixtures::ip("192.0.2.1"), pid);
        let after = ALLOCATOR.current_usage();
        assert_eq!(names.map(|names| names.len()), Some(2));
        after > before
    };
    assert_eq!([0, 1, 2, 3].map(&mut allocates), [false, true, false, false]);
    let order_of_its_own =
        each(1000, || (0..1000).for_each(|_| drop(black_box(look.of(fixtures::ip("192.0.2.1"), 1)))));
    println!("a look-up with an order of its own {order_of_its_own:?}");
}

#[test]
fn pending_queries_at_the_limit_take_less_than_3_mib() {
    let _alone = ALONE.lock();
    let mut world = World::new();
    let before = ALLOCATOR.current_usage();
    let mut exchanges = Exchanges::new(false);
    for number in 0..40_000 {
        exchanges.ask(&mut world, number);
    }
    let bytes = ALLOCATOR.current_usage() - before;
    assert_eq!(world.dns.counts().pending, 8192);
    println!("{:.1} MiB", bytes as f64 / MIB as f64);
    assert!(bytes < 3 * MIB, "{bytes}");
}

#[test]
fn segments_that_wait_take_no_more_than_their_bounds() {
    let _alone = ALONE.lock();
    let mut world = World::new();
    let before = ALLOCATOR.current_usage();
    // In both directions a message that is never complete, and then segments behind a hole.
    let head = [&[0xff, 0xff, 0, 1, 0, 0, 0, 1][..], &[0; 30_000]].concat();
    for port in 0..400 {
        let socket = Socket::asking(Protocol::Tcp, port, 7);
        for sent in [true, false] {
            let payload =
                |sequence| Payload { sent, tcp_sequence: Some(sequence), ..socket.sends(head.clone(), 10) };
            world.take(&payload(0));
            world.take(&payload(60_000));
        }
    }
    let bytes = ALLOCATOR.current_usage() - before;
    let counts = world.dns.counts();
    assert_eq!((counts.tcp_dropped, counts.tcp_lost), (368, 0));
    println!("{:.1} MiB", bytes as f64 / MIB as f64);
    assert!(bytes < 5 * MIB, "{bytes}");
}

#[test]
fn a_long_message_leaves_little_behind() {
    let _alone = ALONE.lock();
    let mut world = World::new();
    let mut message = [&[0xff, 0xff][..], &wire(&query(1, &name(0), RecordType::A))].concat();
    message.resize(2 + 0xffff, 0);
    let before = ALLOCATOR.current_usage();
    for (part, sequence) in message.chunks(10_000).zip((0..).step_by(10_000)) {
        let payload = Socket::asking(Protocol::Tcp, 1, 7).sends(part.to_vec(), 10);
        world.take(&Payload { tcp_sequence: Some(sequence), ..payload });
    }
    let bytes = ALLOCATOR.current_usage() - before;
    assert_eq!(world.dns.counts().queries, 1);
    assert!(bytes < 8192, "{bytes}");
}

#[test]
fn a_message_takes_little_time() {
    let _alone = ALONE.lock();
    let chain = |number: u32| {
        let asked = name(number);
        let edge = format!("{number}.edge.example.net");
        let mut records = vec![alias(&asked, &edge, 300)];
        records.extend((0..4).map(|part| address(&edge, &host(4 * number + part).to_string(), 300)));
        (asked, records)
    };
    let mut payloads: Vec<_> = (0..5000_u32)
        .flat_map(|number| {
            let socket =
                Socket::asking(Protocol::Udp, 1024 + u16::try_from(number).expect("few"), number % 100);
            let (asked, records) = chain(number);
            let reply = socket.gets(wire(&answer(1, &asked, records)), 20);
            [socket.sends(wire(&query(1, &asked, RecordType::A)), 10), reply]
        })
        .collect();
    let mut world = World::new();
    let began = Instant::now();
    payloads.iter().for_each(|payload| world.take(payload));
    let first = began.elapsed() / 10_000;
    let again = each(10_000, || {
        world.ended.clear();
        payloads.iter().for_each(|payload| world.take(payload));
    });
    assert_eq!(world.ended.len(), 5000);
    println!("a message {first:?} at first, {again:?} again; 5000 exchanges {:?}", again * 10_000);
    assert!(again < Duration::from_micros(100), "{again:?}");

    // As many records as fit, each with the longest chain of pointers; over TCP, where most fits.
    let mut bytes = wire(&answer(1, "a.test", vec![]));
    bytes[6..8].copy_from_slice(&[0xff, 0xff]);
    let mut pointer = [0xc0, 12];
    for _ in 0..254 {
        let place = u16::try_from(bytes.len() + 12).expect("it fits") | 0xc000;
        bytes.extend([&pointer[..], &[0, 5, 0, 1, 0, 0, 0, 0, 0, 2], &pointer].concat());
        pointer = place.to_be_bytes();
    }
    while bytes.len() < 65_000 {
        bytes.extend([&pointer[..], &[0, 5, 0, 1, 0, 0, 0, 0, 0, 2], &pointer].concat());
    }
    payloads = vec![
        Socket::udp().sends(wire(&query(1, "a.test", RecordType::A)), 10),
        Socket::udp().gets(bytes, 20),
    ];
    let worst = each(1, || payloads.iter().for_each(|payload| world.take(payload)));
    println!("the slowest message {worst:?}");
    assert!(worst < Duration::from_millis(50), "{worst:?}");
}
