//! Every way to live and to end at once, in several namespaces, polled by two clients with different rhythms: what
//! was made, what the kernel side counted, and what each client was told are the same numbers.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use collect::{Capability, CollectLimits};
use connections::{Connection, FailureKind};

use crate::crowd::{Crowd, Work};
use crate::harness::{Client, DEADLINE, Outcome, Tracer, scaled};
use crate::lossy::lossy_cable;
use crate::peer::Done;
use crate::scene::set;
use crate::stress::{ADDRESSES, wide_space};
use crate::tally::{Sums, Tally, assert_bytes};
use crate::world::{NetNs, RIGHT_V4, VethPair};
use crate::{Needing, needs};

pub const NEEDING: &[Needing] =
    &[("everything_at_once_ends_with_created_equal_to_closed_plus_live", needs::packet_filter, everything)];

/// Requests and answers have up to so many bytes.
const MOST: u64 = 2000;

/// The namespaces, by what happens there.
struct World {
    /// Orderly ends and fast open.
    orderly: NetNs,
    /// Resets, unread data, sockets that connect several times, refused connects.
    unruly: NetNs,
    lossy: VethPair,
    /// Connections that are held, open and half-closed, and those of processes that are killed at rest.
    held: Arc<NetNs>,
    /// Those of processes that are killed at work, of which nobody knows how far they came.
    cut: Arc<NetNs>,
}

impl World {
    fn new() -> Self {
        let orderly = wide_space();
        // Data in the SYN without a cookie, to every listener.
        set(&orderly, "ipv4/tcp_fastopen", "0x607");
        Self {
            orderly,
            unruly: wide_space(),
            lossy: lossy_cable(),
            held: Arc::new(wide_space()),
            cut: Arc::new(wide_space()),
        }
    }

    fn all(&self) -> [&NetNs; 6] {
        [&self.orderly, &self.unruly, &self.lossy.left, &self.lossy.right, &self.held, &self.cut]
    }
}

/// What the ends in a namespace made, as they tell it themselves; refused connects are among the connections.
type Made = Vec<(u32, Done)>;
type Job = Box<dyn FnOnce() -> Made + Send>;

fn everything() -> Outcome {
    let world = World::new();
    // Room for all of it: on a slow machine the slow client polls seldom.
    let tracer = Tracer::keeping(CollectLimits::default(), 2_000_000);
    tracer.needs(Capability::Udp);
    let (mut fast, mut slow) = (tracer.client("fast"), tracer.client("slow"));
    let mut tallies = [Tally::of(world.all()), Tally::of(world.all())];
    let judge = |connection: &Connection| judge(connection, &world);
    let mut held = hold(&world.held);
    let end = Instant::now() + Duration::from_millis(scaled(20_000));
    let work = Work::begin(jobs(&world, end));
    let mut slow_told = Instant::now();
    while !work.ended_within(Duration::from_millis(100)) {
        tell(&mut fast, &mut tallies[0], judge);
        if slow_told.elapsed() > Duration::from_millis(1300) {
            tell(&mut slow, &mut tallies[1], judge);
            slow_told = Instant::now();
        }
    }
    assert_balanced(&tracer, 4 * scaled(500));
    let mut expected = Tally::of(world.all()).sums;
    let released = held.iter_mut().map(|crowd| release(crowd, world.held.inode()));
    for (netns, done) in work.results().into_iter().chain(released).flatten() {
        expected.entry(netns).or_default().expect(done);
    }
    let begin = Instant::now();
    let told = |tally: &Tally| -> bool {
        let closed = |netns: &u32| tally.sums.get(netns).map_or(0, |sums| sums.closed);
        let lost = lost(&tracer);
        tally.live() == 0 && expected.iter().all(|(netns, sums)| closed(netns) + lost >= sums.closed)
    };
    while !tallies.iter().all(told) || tallies[0].sums != tallies[1].sums {
        let sums = tallies.each_ref().map(|tally| &tally.sums);
        assert!(begin.elapsed() < 3 * DEADLINE, "not all closed: {sums:?} of {expected:?}");
        tell(&mut fast, &mut tallies[0], judge);
        tell(&mut slow, &mut tallies[1], judge);
    }
    tallies.iter().for_each(|tally| assert_told(tally, &expected, &world, lost(&tracer)));
    nothing_stays(&tracer, &world);
    assert_balanced(&tracer, 0);
}

/// Connections of which no hook saw the end, and whose memory was another one's before a pass came by: some kernels run no
/// program at all while a certain process is current, and softirqs interrupt that one too.
fn lost(tracer: &Tracer) -> u64 {
    tracer.counter("kernel_stale")
}

/// What was made is told, each with its bytes, and what failed as failed, but for so many that are counted as lost.
fn assert_told(tally: &Tally, expected: &BTreeMap<u32, Sums>, world: &World, lost: u64) {
    assert!(lost <= 3, "{lost} were lost");
    for (netns, made) in expected {
        let sums = tally.sums[netns];
        let least = |all: u64, each: u64| all.saturating_sub(lost * each)..=all;
        assert!(least(made.closed, 1).contains(&sums.closed), "{sums:?} of {made:?}");
        assert!(least(made.sent_bytes, MOST).contains(&sums.sent_bytes), "{sums:?} of {made:?}");
        assert!(least(made.received_bytes, MOST).contains(&sums.received_bytes), "{sums:?} of {made:?}");
    }
    let failed = |space: &NetNs| (tally.of_namespace(space).failed, tally.of_namespace(space).closed);
    assert_eq!(failed(&world.orderly).0, 0, "these end in order");
    assert_eq!(failed(&world.unruly).0, failed(&world.unruly).1, "and these fail");
    assert_eq!(
        (failed(&world.lossy.left).0, failed(&world.lossy.right).0),
        (0, 0),
        "lost packets are no failure"
    );
    assert!(tally.of_namespace(&world.lossy.left).retransmits > 0, "nothing was lost on the cable");
    assert!(failed(&world.cut).1 > 0, "nobody was killed at work");
}

fn tell(client: &mut Client<'_>, tally: &mut Tally, judge: impl FnMut(&Connection)) {
    let delta = client.clean_answer();
    tally.add(&delta, judge);
}

fn judge(connection: &Connection, world: &World) {
    let (netns, total) = (connection.tuple.netns, connection.total);
    if connection.failure.is_some_and(|failure| failure.kind == FailureKind::Refused) {
        assert_eq!(netns, world.unruly.inode(), "{connection:?}");
        assert_eq!((total.sent_bytes, total.received_bytes), (0, 0), "{connection:?}");
    } else if netns != world.cut.inode() {
        assert_bytes(connection, MOST);
    }
}

fn jobs(world: &World, end: Instant) -> Vec<Job> {
    let (left, right) = (&world.lossy.left, &world.lossy.right);
    // On a slow machine too, so many that some packets are lost: 2 % are.
    let on_cable = |ways| visits([left, right], &[RIGHT_V4], ways, Until { end, rounds: 10 });
    let locally = |space, ways| visits([space, space], &ADDRESSES, ways, Until { end, rounds: 1 });
    vec![
        locally(&world.orderly, &["close", "finish", "fastopen"]),
        locally(&world.orderly, &["fastopen", "close"]),
        locally(&world.unruly, &["reset", "unread", "refused", "again"]),
        locally(&world.unruly, &["again", "refused", "unread"]),
        on_cable(&["finish"]),
        on_cable(&["close"]),
        killed_at_rest(&world.held, Until { end, rounds: 1 }),
        killed_at_work(&world.cut, Until { end, rounds: 1 }),
    ]
}

/// Until when something is repeated: for some time, and at least so often.
#[derive(Clone, Copy)]
struct Until {
    end: Instant,
    rounds: u64,
}

impl Until {
    fn rounds(self) -> impl Iterator<Item = u64> {
        (0..).take_while(move |round| *round < self.rounds || Instant::now() < self.end)
    }
}

/// Connections that end in each of these ways in turn.
fn visits(ends: [&NetNs; 2], addresses: &[&str], ways: &'static [&'static str], until: Until) -> Job {
    let mut crowd = Crowd::new(ends, addresses, 2, MOST);
    let [near, far] = ends.map(NetNs::inode);
    Box::new(move || {
        let mut refused = Done::default();
        for _ in until.rounds() {
            for way in ways {
                match *way {
                    "refused" => refused += crowd.refused(10),
                    way => crowd.visit(way, 10),
                }
            }
        }
        let attended = crowd.attended_all();
        vec![(near, crowd.done), (near, refused), (far, attended)]
    })
}

/// Connections that stay until the end, open and half-closed.
fn hold(space: &NetNs) -> Vec<Crowd> {
    let hold = |half_closed| {
        let mut crowd = Crowd::listening([space, space], &ADDRESSES[..1], MOST);
        crowd.hold(scaled(500));
        if half_closed {
            crowd.client.ask("finish-kept");
        }
        crowd
    };
    [false, true].map(hold).into()
}

fn release(crowd: &mut Crowd, netns: u32) -> Made {
    crowd.server.ask("release");
    crowd.client.ask("release");
    vec![(netns, crowd.done), (netns, crowd.kept)]
}

/// Now the client, now the server is killed, which hold their connections; the other one follows.
fn killed_at_rest(space: &Arc<NetNs>, until: Until) -> Job {
    let (netns, space) = (space.inode(), Arc::clone(space));
    Box::new(move || {
        let mut made = Vec::new();
        for _ in until.rounds() {
            let mut crowd = Crowd::listening([&space, &space], &ADDRESSES[..1], MOST);
            crowd.hold(20);
            made.extend([(netns, crowd.done), (netns, crowd.kept)]);
            let (first, second) = match made.len() % 4 {
                0 => (crowd.client, crowd.server),
                _ => (crowd.server, crowd.client),
            };
            first.kill();
            second.kill();
        }
        made
    })
}

/// The client is killed in the midst of its connections.
fn killed_at_work(space: &Arc<NetNs>, until: Until) -> Job {
    let space = Arc::clone(space);
    Box::new(move || {
        for _ in until.rounds() {
            let mut crowd = Crowd::new([&space, &space], &ADDRESSES, 2, MOST);
            crowd.begin_visit("close", 5000);
            while crowd.attended().connections < 100 {}
            crowd.client.kill();
        }
        Vec::new()
    })
}

/// A new client, who is told everything that lives, is told nothing of these namespaces.
fn nothing_stays(tracer: &Tracer, world: &World) {
    let delta = tracer.client("fresh").answer();
    let ours = world.all().map(NetNs::inode);
    let stale: Vec<_> =
        delta.changes.iter().filter(|change| ours.contains(&change.connection.tuple.netns)).collect();
    assert!(stale.is_empty(), "{stale:?}");
}

/// What was claimed is told as closed, lives, or listens, on the whole host, or is counted as lost; nothing was contradicted.
/// At least so many live.
fn assert_balanced(tracer: &Tracer, live: u64) {
    let begin = Instant::now();
    let mut client = tracer.client("balance");
    loop {
        // Others of the host come and go between the reading of the table and that of the counters.
        client.answer();
        let counters = tracer.counters();
        let listening = tracer.all_listeners().len() as u64;
        let sum = |names: &[&str]| names.iter().map(|name| counters[name]).sum::<u64>();
        let told =
            sum(&["kernel_closed", "kernel_overflowed", "live_connections", "kernel_stale"]) + listening;
        for name in NEVER {
            assert_eq!(counters[name], 0, "{name}: {counters:?}");
        }
        assert!(counters["live_connections"] >= live, "{counters:?}");
        if counters["kernel_claimed"] == told {
            client.remove();
            return;
        }
        assert!(begin.elapsed() < DEADLINE, "{told} with {listening} listeners: {counters:?}");
    }
}

/// Counters that do not move while there is room.
const NEVER: [&str; 9] = [
    "kernel_rolled_up",
    "kernel_closed_unclaimed",
    "kernel_table_full",
    "records_malformed",
    "connections_rolled_up",
    "connections_ring_full",
    "connections_close_not_seen",
    "closed_records_given_up",
    "anomalies",
];
