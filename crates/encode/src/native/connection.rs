//! One connection in our own JSON form.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use connections::{
    Connection, Counters, Failure, KernelTime, Owner, OwnerSource, Protocol, Tuple, WallOffset,
};
use deltas::Change;
use serde::{Serialize, Serializer};

use super::counters::CountersWire;
use super::tcp::TcpWire;
use super::udp::UdpWire;
use crate::wall_time::WallTime;

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;

#[derive(Serialize)]
pub(super) struct ConnectionWire<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    global_id: Option<String>,
    protocol: &'static str,
    state: &'static str,
    direction: &'static str,
    netns: u32,
    local: EndWire,
    remote: EndWire,
    #[serde(skip_serializing_if = "Option::is_none")]
    owner: Option<OwnerWire<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    opened_at: Option<WallTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    established_at: Option<WallTime>,
    #[serde(skip_serializing_if = "Option::is_none")]
    closed_at: Option<WallTime>,
    pre_existing: bool,
    total: CountersWire,
    delta: CountersWire,
    /// What was counted before tracing began; only for connections older than the tracer.
    #[serde(skip_serializing_if = "Option::is_none")]
    before: Option<CountersWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    tcp: Option<TcpWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    udp: Option<UdpWire>,
    #[serde(skip_serializing_if = "Option::is_none")]
    failure: Option<FailureWire>,
    /// How many connections this stands for.
    rolled_up: u64,
}

impl<'a> ConnectionWire<'a> {
    pub(super) fn new(change: &'a Change, wall: WallOffset) -> Self {
        // Whether that it was established is news follows from when it was.
        let Change { connection, delta, newly_established: _ } = change;
        let Connection {
            id,
            global_id,
            tuple,
            direction,
            owner,
            state,
            opened_at,
            established_at,
            closed_at,
            pre_existing,
            total,
            before,
            facts,
            failure,
            failed_at,
        } = connection;
        let Tuple { protocol, netns, local, remote } = *tuple;
        let at = |time: KernelTime| WallTime::of(time, wall);
        let counters = |counters: &Counters| CountersWire::new(*counters, facts.counted());
        let has_before = *pre_existing && (protocol == Protocol::Tcp || *before != Counters::default());
        Self {
            id: id.to_string(),
            global_id: global_id.map(|id| id.to_string()),
            protocol: protocol.name(),
            state: state.name(),
            direction: direction.name(),
            netns,
            local: EndWire::new(local),
            remote: EndWire::new(remote),
            owner: owner.as_ref().map(OwnerWire::new),
            opened_at: opened_at.map(at),
            established_at: established_at.map(at),
            closed_at: closed_at.map(at),
            pre_existing: *pre_existing,
            total: counters(total),
            delta: counters(delta),
            before: has_before.then(|| counters(before)),
            tcp: facts.tcp().map(TcpWire::new),
            udp: facts.udp().map(UdpWire::new),
            failure: failure.map(|failure| FailureWire::new(failure, *opened_at, *failed_at)),
            rolled_up: 1,
        }
    }
}

#[derive(Serialize)]
pub(super) struct EndWire {
    address: AddressWire,
    port: u16,
}

impl EndWire {
    pub(super) fn new(end: SocketAddr) -> Self {
        Self { address: AddressWire(end), port: end.port() }
    }
}

/// The address as text; a link-local one with its interface index, as in `fe80::1%3`.
pub(super) struct AddressWire(pub(super) SocketAddr);

impl Serialize for AddressWire {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match (self.0, self.0.ip()) {
            (SocketAddr::V6(v6), IpAddr::V6(ip)) if v6.scope_id() != 0 => {
                serializer.collect_str(&format_args!("{ip}%{}", v6.scope_id()))
            }
            (_, ip) => serializer.collect_str(&ip),
        }
    }
}

#[derive(Serialize)]
pub(super) struct OwnerWire<'a> {
    pid: u32,
    tid: u32,
    uid: u32,
    command: Cow<'a, str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cgroup_id: Option<u64>,
    source: &'static str,
    /// Present, and true, only for threads of the kernel itself.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    kernel: bool,
}

impl<'a> OwnerWire<'a> {
    pub(super) fn new(owner: &'a Owner) -> Self {
        // The start of the process is of a clock that the answer has no offset for; it is not told yet.
        let Owner { pid, tid, uid, command, cgroup_id, started_at_boot_ns: _, kernel, source } = owner;
        Self {
            pid: *pid,
            tid: *tid,
            uid: *uid,
            command: command.text(),
            cgroup_id: *cgroup_id,
            source: source_name(*source),
            kernel: *kernel,
        }
    }
}

fn source_name(source: OwnerSource) -> &'static str {
    match source {
        OwnerSource::Listener => "listener",
        OwnerSource::Close => "close",
        OwnerSource::Descriptor => "descriptor",
        OwnerSource::Connect => "connect",
        OwnerSource::Send => "send",
    }
}

#[derive(Serialize)]
struct FailureWire {
    kind: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    errno: Option<u16>,
    /// The kernel's name of the errno; absent for rare ones.
    #[serde(skip_serializing_if = "Option::is_none")]
    name: Option<&'static str>,
    /// From opening to failing; absent when the opening was not seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    after_us: Option<u64>,
}

impl FailureWire {
    fn new(failure: Failure, opened_at: Option<KernelTime>, failed_at: Option<KernelTime>) -> Self {
        let Failure { kind, errno } = failure;
        let lived = failed_at.zip(opened_at).map(|(failed, opened)| failed.nanoseconds_since(opened));
        Self {
            kind: kind.name(),
            errno,
            name: failure.errno_name(),
            after_us: lived.map(|ns| ns / NANOSECONDS_PER_MICROSECOND),
        }
    }
}
