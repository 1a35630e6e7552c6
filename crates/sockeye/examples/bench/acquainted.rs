//! Connections of which all is known that can be, and the context that knows it, as the daemon has it by default.
//!
//! What the kernel tells comes from the kernel: translations of real packets, and real routes. What a tracer would tell is
//! made up: processes that began to run a program, answers of name servers, and ends.
//!
//! Of ten connections three are one end of a pair on this host, two go to a service whose address is translated, and five to
//! servers elsewhere. Who has which is scattered, as it is in a table that has been in use.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use collect::kernel_now;
use connections::{
    Annotate, Connection, ConnectionId, Direction, End, Executed, Facts, KernelTime, Observation, Owner,
    OwnerSource, Payload, ProcessEvent, ProcessKey, Protocol, RawCounters, State, TcpFacts, Tuple, UdpFacts,
};
use context::{Context, Lookups};

use crate::dns;
use crate::namespace::NetNs;

const PROCESSES: u32 = 2000;
/// No process of this host has such an id.
const FIRST_PID: u32 = 100_000_000;
/// Servers elsewhere, and services whose address is translated: so many have a name, and there is a route to each.
const SERVERS: u32 = 4000;
const SERVICES: u32 = 1000;
const OWN: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 1);
const ALSO_OWN: Ipv4Addr = Ipv4Addr::new(10, 255, 0, 2);
/// Translated to the same address of the other network.
const BEFORE: u32 = 0x0a60_0000;
const BEHIND: u32 = 0x0a01_0000;
const SERVICE_PORT: u16 = 80;
const DEADLINE: Duration = Duration::from_secs(60);

/// Commands in the namespace: a way to everywhere, on which everything is lost, and the translation.
const WAYS: [&[&str]; 8] = [
    &["ip", "address", "add", "10.255.0.1/32", "dev", "lo"],
    &["ip", "address", "add", "10.255.0.2/32", "dev", "lo"],
    &["ip", "link", "add", "sink", "type", "veth", "peer", "name", "drain"],
    &["ip", "link", "set", "sink", "up"],
    &["ip", "link", "set", "drain", "up"],
    &["ip", "route", "add", "10.0.0.0/8", "via", "10.254.0.1", "dev", "sink", "onlink"],
    &[
        "ip",
        "neighbour",
        "add",
        "10.254.0.1",
        "lladdr",
        "02:00:00:00:00:01",
        "dev",
        "sink",
        "nud",
        "permanent",
    ],
    &[
        "nft",
        "add table ip bench; add chain ip bench out { type nat hook output priority -100; }; \
         add rule ip bench out ip daddr 10.96.0.0/16 dnat ip prefix to ip daddr map { 10.96.0.0/16 : 10.1.0.0/16 }",
    ],
];

/// What one of the connections is.
#[derive(Debug, Clone, Copy)]
enum Kind {
    /// One end of that pair: the one that opened it, or the other.
    Pair(u32, bool),
    /// To a service; so many go to one before it.
    Translated(u32),
    /// To a server.
    Elsewhere,
}

impl Kind {
    fn of(number: u32) -> Self {
        let (ten, rest) = (number / 10, number % 10);
        match rest {
            0..3 => {
                let end = ten * 3 + rest;
                Self::Pair(end / 2, end.is_multiple_of(2))
            }
            3..5 => Self::Translated(ten * 2 + rest - 3),
            _ => Self::Elsewhere,
        }
    }
}

/// Makes of the namespace one in which there are routes and translations, which the kernel keeps for so long, and in which
/// those of so many connections are translated that are.
pub fn prepare(world: &NetNs, connections: u32, timeout_seconds: u32) -> anyhow::Result<()> {
    world.inside(|| {
        let is_prepared = Command::new("ip").args(["link", "show", "sink"]).output()?.status.success();
        let ways = WAYS.iter().filter(|_| !is_prepared).filter_map(|words| words.split_first());
        for (program, arguments) in ways {
            let output = Command::new(program).args(arguments).output();
            let output = output.with_context(|| format!("cannot start {program}"))?;
            let error = String::from_utf8_lossy(&output.stderr);
            ensure!(output.status.success(), "{program} {}: {error}", arguments.join(" "));
        }
        let timeout = "/proc/sys/net/netfilter/nf_conntrack_udp_timeout";
        std::fs::write(timeout, timeout_seconds.to_string())?;
        for number in 0..connections {
            let Tuple { local, remote, protocol, .. } = tuple(0, number);
            if protocol == Protocol::Udp {
                UdpSocket::bind(local)?.send_to(b"x", remote)?;
            }
        }
        Ok(())
    })
}

/// Both ends of a connection to a service, of which some tens of thousands have another local end.
pub fn translated(number: u32) -> (SocketAddr, SocketAddr) {
    let service = Ipv4Addr::from_bits(BEFORE + SERVERS + scattered(number, SERVICES));
    ((OWN, port(number)).into(), (service, SERVICE_PORT).into())
}

/// What the kernel side tells of a connection in this namespace that has sent so many bytes.
pub fn observation(netns: u32, number: u32, sent_bytes: u64) -> Observation {
    let tuple = tuple(netns, number);
    let kind = Kind::of(number);
    let (isns, outgoing) = match kind {
        Kind::Pair(pair, outgoing) => (if outgoing { (pair, !pair) } else { (!pair, pair) }, outgoing),
        Kind::Translated(_) | Kind::Elsewhere => ((number, number), true),
    };
    let is_tcp = tuple.protocol == Protocol::Tcp;
    let tcp = TcpFacts { srtt_us: Some(100), ..TcpFacts::default() };
    Observation {
        id: ConnectionId { cookie: number.into(), claimed_at: KernelTime(1 + u64::from(number) * 1000) },
        tuple,
        direction: if outgoing { Direction::Outgoing } else { Direction::Incoming },
        owner: Some(owner(scattered(number, PROCESSES))),
        state: State::Established,
        established_at: is_tcp.then_some(KernelTime(1)),
        pre_existing: false,
        found: false,
        counters: RawCounters { sent_bytes, ..RawCounters::default() },
        facts: if is_tcp { Facts::Tcp(tcp) } else { Facts::Udp(UdpFacts::default()) },
        failed: None,
        isns: is_tcp.then_some(isns),
    }
}

/// Tells the context all that is to be known of these connections, and waits until it knows that.
pub fn acquaint(
    context: &Context,
    lookups: Option<Lookups>,
    connections: &[Connection],
) -> anyhow::Result<()> {
    context.apply(&(0..PROCESSES).map(executed).collect::<Vec<_>>());
    let ends: Vec<_> = connections.iter().map(|one| End { connection: *one, ended: false }).collect();
    context.note(&ends);
    let mut lookups = lookups.context("names are on")?;
    let netns = connections.first().context("there are connections")?.tuple.netns;
    for number in 0..SERVERS + SERVICES {
        let query = dns::query(1, &name(number));
        let answer = dns::answer(&query, named_address(number));
        let mut ended = Vec::new();
        lookups.take(&payload(netns, true, query), &mut ended);
        lookups.take(&payload(netns, false, answer), &mut ended);
        ensure!(ended.len() == 1, "the exchange was not understood: {:?}", lookups.counts());
    }
    let began = Instant::now();
    loop {
        let known = Known::of(context, connections);
        if known == Known::all(connections) {
            return Ok(());
        }
        let counts = context.counts();
        ensure!(began.elapsed() < DEADLINE, "this is known: {known:?}: {counts:?}");
        sleep(Duration::from_millis(100));
    }
}

/// How many connections something is known of.
#[derive(Debug, Default, PartialEq, Eq)]
struct Known {
    processes: usize,
    translations: usize,
    names: usize,
    routes: usize,
    other_ends: usize,
}

impl Known {
    fn of(context: &Context, connections: &[Connection]) -> Self {
        let mut known = Self::default();
        for batch in connections.chunks(64) {
            for one in context.annotator().annotate(&mut batch.iter()) {
                let runs = one.process.as_ref().and_then(|process| process.command_line.as_ref());
                known.processes += usize::from(runs.is_some());
                known.translations += usize::from(one.nat.is_some());
                known.names += usize::from(one.names.is_some());
                known.routes += usize::from(one.route.is_some());
                known.other_ends += usize::from(one.other_end.is_some());
            }
        }
        known
    }

    fn all(connections: &[Connection]) -> Self {
        let (mut known, all) = (Self::default(), connections.len());
        (known.processes, known.routes) = (all, all);
        for one in connections {
            let inside = one.tuple.remote.ip() == OWN || one.tuple.remote.ip() == ALSO_OWN;
            known.translations += usize::from(one.tuple.protocol == Protocol::Udp);
            known.names += usize::from(!inside);
            known.other_ends += usize::from(inside);
        }
        known
    }
}

fn tuple(netns: u32, number: u32) -> Tuple {
    let (protocol, local, remote): (_, SocketAddr, SocketAddr) = match Kind::of(number) {
        Kind::Pair(pair, outgoing) => {
            let ends = ((OWN, port(pair)), (ALSO_OWN, 8000 + port(pair) % 50));
            let (local, remote) = if outgoing { ends } else { (ends.1, ends.0) };
            (Protocol::Tcp, local.into(), remote.into())
        }
        Kind::Translated(before) => {
            let (local, remote) = translated(before);
            (Protocol::Udp, local, remote)
        }
        Kind::Elsewhere => {
            let server = Ipv4Addr::from_bits(BEHIND + scattered(number, SERVERS));
            (Protocol::Tcp, (OWN, port(number)).into(), (server, 443).into())
        }
    };
    Tuple::canonical(protocol, netns, local, remote)
}

fn port(number: u32) -> u16 {
    20_000 + u16::try_from(number % 40_000).unwrap_or_default()
}

/// One of so many, neither the next one of a next number nor one that others have more often.
fn scattered(number: u32, among: u32) -> u32 {
    (number.wrapping_mul(0x9e37_79b1) >> 8) % among
}

fn owner(process: u32) -> Owner {
    let ProcessKey { pid, started_at_boot_ns } = key(process);
    Owner {
        pid,
        tid: pid,
        uid: 0,
        command: connections::Command::default(),
        cgroup_id: Some(1),
        container: None,
        started_at_boot_ns,
        kernel: false,
        source: OwnerSource::Connect,
    }
}

fn key(process: u32) -> ProcessKey {
    ProcessKey { pid: FIRST_PID + process, started_at_boot_ns: 1_000_000_000 }
}

fn executed(process: u32) -> ProcessEvent {
    let arguments =
        format!("/usr/lib/service/bin/service-{process}\0--config\0/etc/service/config.toml\0--verbose\0");
    ProcessEvent::Executed(Box::new(Executed {
        process: key(process),
        namespace_pid: Some(7),
        parent_pid: 1,
        uid: 0,
        file: b"/usr/lib/service/bin/service".to_vec(),
        arguments: arguments.into_bytes(),
        arguments_cut: false,
        cgroup_id: Some(1),
    }))
}

fn name(number: u32) -> String {
    format!("server-{number}.example.com")
}

fn named_address(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(if number < SERVERS { BEHIND } else { BEFORE } + number)
}

fn payload(netns: u32, sent: bool, bytes: Vec<u8>) -> Payload {
    Payload {
        connection: None,
        tuple: Tuple::canonical(Protocol::Udp, netns, (OWN, 5353).into(), (ALSO_OWN, 53).into()),
        sender_pid: if sent { FIRST_PID } else { 0 },
        sent,
        at: kernel_now(),
        whole_bytes: u32::try_from(bytes.len()).unwrap_or(u32::MAX),
        bytes,
        tcp_sequence: None,
    }
}
