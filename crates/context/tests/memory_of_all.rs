//! All that the context remembers, at its limits and beyond: it takes less than 64 MiB together, counted by the allocator.
//!
//! More is told than there is room for, because an index out of which something was taken can grow once more.

#[path = "fixtures/mod.rs"]
mod dns;
#[path = "fixtures/connections.rs"]
mod ends;
#[path = "../../sockeye/tests/fixtures/not_run.rs"]
#[allow(unreachable_pub, reason = "it belongs to other tests too")]
mod not_run;
#[path = "../../sockeye/tests/fixtures/routed.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "it belongs to other tests too")]
mod routed;
#[path = "translations/router.rs"]
#[allow(dead_code, unused_imports, reason = "it belongs to other tests too")]
mod router;
#[path = "fixtures/rtnetlink.rs"]
mod rtnetlink;
#[path = "../../sockeye/tests/fixtures/world.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "it belongs to other tests too")]
mod world;

use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use connections::{
    Connection, Direction, End, Executed, GlobalId, KernelTime, Owner, Payload, ProcessEvent, ProcessKey,
    Protocol,
};
use context::{
    Containers, Context, ContextSettings, DnsLimits, EndLimits, Lookups, Namespace, Namespaces, NatLimits,
    ProcessSettings, RouteLimits,
};
use hickory_proto::rr::RecordType;
use peak_alloc::PeakAlloc;
use router::{PUBLIC_PORT, ROUTER_V4, Routed, Told, address, cannot_run, eventually, set};

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

const MIB: f64 = 1024.0 * 1024.0;
const ALL_MAX_MIB: f64 = 64.0;
/// Of one translation, as its limit says it.
const TRANSLATION_BYTES: usize = 127;
/// A namespace whose routes are made up.
const MADE_UP: u32 = 1;

#[test]
fn all_caches_together_take_less_than_64_mib_at_their_limits() {
    let routed = (!cannot_run()).then(Routed::new);
    let namespaces = Arc::new(OfTest { told: routed.as_ref().map(Routed::told).unwrap_or_default() });
    let passwd = users();
    let settings = ContextSettings {
        processes: Some(ProcessSettings {
            passwd: passwd.clone(),
            proc: "/nonexistent".into(),
            ..Default::default()
        }),
        nat: Some(NatLimits::default()),
        names: Some(DnsLimits::default()),
        routes: Some(RouteLimits::default()),
        ends: EndLimits::default(),
    };
    let began = ALLOCATOR.current_usage();
    let namespaces: Arc<dyn Namespaces> = namespaces;
    let (context, lookups) = Context::start(settings, &namespaces, |id| Some(cgroup(id)));
    let mut lookups = lookups.expect("names are on");
    let mut all = 0.0;
    let mut measured = |what: &str, fill: &mut dyn FnMut()| {
        let before = ALLOCATOR.current_usage();
        fill();
        let mib = (ALLOCATOR.current_usage() as f64 - before as f64) / MIB;
        println!("{what}: {mib:.1} MiB");
        all += mib;
    };
    measured("processes, their cgroups, users", &mut || processes(&context));
    measured("translations", &mut || match &routed {
        Some(routed) => translations(routed, &context),
        None => std::mem::forget(vec![1_u8; NatLimits::default().entries * TRANSLATION_BYTES]),
    });
    measured("names", &mut || names(&context, &mut lookups));
    measured("queries", &mut || queries(&mut lookups));
    measured("segments", &mut || segments(&mut lookups));
    measured("routes", &mut || routes(&context));
    measured("ends", &mut || other_ends(&context));
    let mut containers = Containers::new(|id| Some(cgroup(id)));
    measured("containers", &mut || {
        for id in 0..16_384 {
            let _ = containers.of(&Owner { cgroup_id: Some(id), ..ends::owner(1) });
        }
    });
    let told = (ALLOCATOR.current_usage() - began) as f64 / MIB;
    println!("all: {told:.1} MiB, {all:.1} by parts; {context:?}");
    let _ = std::fs::remove_file(passwd);
    assert!(told < ALL_MAX_MIB, "{told:.1} MiB");
}

/// The file of as many users as have names.
fn users() -> PathBuf {
    let path = std::env::temp_dir().join(format!("sockeye-memory-{}", std::process::id()));
    let lines: String =
        (0..16_384).map(|uid| format!("a-user-with-a-name-{uid:06}:x:{uid}:0::/:/bin/false\n")).collect();
    std::fs::write(&path, lines).expect("there is room");
    path
}

fn cgroup(id: u64) -> PathBuf {
    let pod = "/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod0f9f7c02_6ba6_4ef0_a6c5_";
    format!("{pod}{id:012x}.slice/cri-containerd-{id:064x}.scope").into()
}

fn processes(context: &Context) {
    let limits = ProcessSettings::default();
    let processes = context.processes().expect("they are on");
    let arguments = b"/usr/lib/postgresql/15/bin/postgres\0-D\0/var/lib/postgresql/15/main\0-c\0config_file=/etc/x.conf\0";
    for pid in 1..=u32::try_from(limits.limit * 3 / 2).expect("it is small") {
        let process = ProcessKey { pid, started_at_boot_ns: 0 };
        let executed = Executed {
            process,
            namespace_pid: Some(7),
            parent_pid: 2,
            uid: pid % 16_384,
            file: b"/usr/lib/postgresql/15/bin/postgres".to_vec(),
            arguments: arguments.to_vec(),
            arguments_cut: false,
            cgroup_id: None,
        };
        context.apply(&[ProcessEvent::Executed(Box::new(executed)), ProcessEvent::Exited { process }]);
        let owner = Owner { uid: pid % 16_384, cgroup_id: Some((pid % 4000).into()), ..ends::owner(pid) };
        let _ = processes.look(Instant::now() + Duration::from_secs(20)).of(&owner);
    }
    let counts = processes.counts();
    assert!(counts.evicted > 0 && counts.bytes > limits.limit_bytes * 9 / 10, "{counts:?}");
}

/// Real ones, more than there is room for, from as many addresses as have so many ports.
fn translations(routed: &Routed, context: &Context) {
    let nat = context.nat().expect("it is on");
    let entries = NatLimits::default().entries;
    routed.router.inside(|| set("netfilter/nf_conntrack_udp_timeout", "2"));
    eventually("it is listened to all namespaces", || nat.counts().dumps >= 3);
    let sources = [21, 22, 23, 24].map(|last| format!("10.1.0.{last}"));
    for source in &sources {
        routed.client.ip(&["address", "add", &format!("{source}/24"), "dev", "cable"]);
    }
    routed.client.inside(|| {
        let mut begun = 0;
        let mut sources = sources.iter().cycle();
        while nat.counts().evicted < u64::try_from(entries / 4).expect("it is small") {
            let source = sources.next().expect("it begins again");
            for port in 0..50_000 {
                let socket = UdpSocket::bind((source.as_str(), port + 10_000)).expect("it is free");
                // Nobody listens, and the answer may be an error already.
                let _ = socket.send_to(b"x", address(ROUTER_V4, PUBLIC_PORT));
            }
            begun += 50_000;
            assert!(begun < 20 * entries, "{:?}", nat.counts());
            drop(nat.look());
        }
    });
    let counts = nat.counts();
    assert_eq!(usize::try_from(counts.entries), Ok(entries), "{counts:?}");
}

/// Exchanges that differ in the numbers of their names and addresses alone. The numbers are written into bytes that exist,
/// because without optimization it takes longest to make them.
struct Exchange {
    query: Payload,
    answer: Payload,
}

impl Exchange {
    fn new() -> Self {
        let asked = "00000000.a-service.of-a-zone.example.com";
        let socket = dns::Socket::udp();
        let records = vec![dns::address(asked, "10.0.0.0", 300)];
        let query = dns::wire(&dns::query(1, asked, RecordType::A));
        let answer = dns::wire(&dns::answer(1, asked, records));
        Self { query: socket.sends(query, 10), answer: socket.gets(answer, 20) }
    }

    fn ask(&mut self, lookups: &mut Lookups, number: u32) {
        self.query.bytes[13..21].copy_from_slice(format!("{number:08}").as_bytes());
        lookups.take(&self.query, &mut Vec::new());
    }

    fn pass(&mut self, lookups: &mut Lookups, number: u32) {
        self.ask(lookups, number);
        let answer = &mut self.answer.bytes;
        answer[13..21].copy_from_slice(format!("{number:08}").as_bytes());
        let end = answer.len() - 4;
        answer[end..].copy_from_slice(&(0x0a00_0000 + number).to_be_bytes());
        let mut ended = Vec::new();
        lookups.take(&self.answer, &mut ended);
        assert_eq!(ended.len(), 1);
    }
}

fn names(context: &Context, lookups: &mut Lookups) {
    let limit = DnsLimits::default().addresses;
    let mut exchange = Exchange::new();
    (0..u32::try_from(limit * 2).expect("it is small")).for_each(|number| exchange.pass(lookups, number));
    let counts = context.counts().names.expect("they are on");
    assert_eq!((counts.addresses, counts.addresses_dropped > 0), (limit, true));
}

fn queries(lookups: &mut Lookups) {
    let limit = DnsLimits::default().pending;
    let mut exchange = Exchange::new();
    (0..u32::try_from(limit * 3).expect("it is small"))
        .for_each(|number| exchange.ask(lookups, 10_000_000 + number));
    assert_eq!(lookups.counts().pending, limit);
}

/// In both directions a message that is never complete, and then segments behind a hole.
fn segments(lookups: &mut Lookups) {
    let head = [&[0xff, 0xff, 0, 1, 0, 0, 0, 1][..], &[0; 30_000]].concat();
    for port in 0..400 {
        let socket = dns::Socket::asking(Protocol::Tcp, port, 7);
        for sent in [true, false] {
            for sequence in [0, 60_000] {
                let payload = socket.sends(head.clone(), 10);
                lookups.take(&Payload { sent, tcp_sequence: Some(sequence), ..payload }, &mut Vec::new());
            }
        }
    }
    assert!(lookups.counts().tcp_dropped > 0);
}

fn routes(context: &Context) {
    let limit = RouteLimits::default().routes;
    let end = |number: u32| SocketAddr::from((Ipv4Addr::from_bits(0x0a00_0000 + number), 1));
    for number in 1..=u32::try_from(limit * 5 / 4).expect("it is small") {
        let asked = router::connection(MADE_UP, Protocol::Tcp, end(0), end(number));
        let annotator = context.annotator();
        let known = connections::Annotate::annotate(&annotator, &mut std::iter::once(&asked));
        assert!(known[0].route.is_some());
    }
    let counts = context.counts().routes.expect("they are on");
    assert_eq!((counts.routes, counts.forgotten > 0), (limit, true));
}

fn other_ends(context: &Context) {
    let limits = EndLimits::default();
    let number = |limit: usize| u32::try_from(limit).expect("it is small");
    let one = ends::connection(1, "10.0.0.1:1", "10.0.0.2:443", Direction::Outgoing, None);
    let note = |number: u32, ended: bool| {
        let mut connection = Connection {
            global_id: Some(GlobalId(number.into())),
            owner: Some(ends::owner(number % 1000)),
            closed_at: ended.then_some(KernelTime(1)),
            ..one
        };
        connection.id.cookie = number.into();
        connection.tuple.local.set_ip(Ipv4Addr::from_bits(0x0a00_0000 + number).into());
        context.note(&[End { connection, ended }]);
    };
    let (live, ended) = (number(limits.live), number(limits.ended));
    (0..live + ended).for_each(|number| note(number, false));
    // As many again come and go.
    (0..live).for_each(|number| note(number, true));
    (live + ended..2 * live + ended).for_each(|number| note(number, false));
    let counts = context.counts().ends;
    assert_eq!((counts.live, counts.ended), (limits.live, limits.ended));
    assert!(counts.refused > 0 && counts.forgotten > 0, "{counts:?}");
}

/// The namespaces of a router, and one whose kernel is made up.
struct OfTest {
    told: Arc<Told>,
}

impl Namespaces for OfTest {
    fn all(&self) -> Vec<Namespace> {
        let made_up = Namespace { inode: MADE_UP, path: "/nowhere".into() };
        self.told.all().into_iter().chain([made_up]).collect()
    }

    fn netlink(&self, namespace: &Namespace, protocol: i32) -> io::Result<OwnedFd> {
        match (namespace.inode, protocol) {
            (MADE_UP, 0) => rtnetlink::kernel(),
            (MADE_UP, _) => Err(io::ErrorKind::NotFound.into()),
            _ => self.told.netlink(namespace, protocol),
        }
    }
}
