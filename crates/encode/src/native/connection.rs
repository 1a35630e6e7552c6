//! One connection as a message of ours.

use std::fmt::Write;
use std::net::SocketAddr;

use connections::{Connection, Counters, Failure, KernelTime, Owner, Protocol, Tuple, WallOffset};
use deltas::Change;

use super::proto;
use super::unix_ns;
use crate::address_text::address_text;

const NANOSECONDS_PER_MICROSECOND: u64 = 1_000;

impl proto::Connection {
    pub(super) fn of_change(change: &Change, wall: WallOffset) -> Self {
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
        let at = |time: KernelTime| unix_ns(time, wall);
        let counters = |counters: &Counters| proto::Counters::new(*counters, facts.counted());
        let is_counted = facts.counted().traffic;
        let has_before = *pre_existing && (protocol == Protocol::Tcp || *before != Counters::default());
        Self {
            id: id.to_string(),
            global_id: global_id.map(|id| id.to_string()),
            protocol: Some(proto::Protocol::from(protocol).into()),
            state: Some(proto::State::from(*state).into()),
            direction: Some(proto::Direction::from(*direction).into()),
            netns: Some(netns),
            local: Some(local.into()),
            remote: Some(remote.into()),
            owner: owner.as_ref().map(proto::Owner::new),
            opened_at_unix_ns: opened_at.map(at),
            established_at_unix_ns: established_at.map(at),
            closed_at_unix_ns: closed_at.map(at),
            pre_existing: Some(*pre_existing),
            total: is_counted.then(|| counters(total)),
            delta: is_counted.then(|| counters(delta)),
            before: has_before.then(|| counters(before)),
            tcp: facts.tcp().map(proto::TcpFacts::from),
            udp: facts.udp().map(proto::UdpFacts::from),
            failure: failure.map(|failure| proto::Failure::new(failure, *opened_at, *failed_at)),
            failures: Vec::new(),
            rolled_up: Some(1),
            established: None,
            // What follows is added by who annotates.
            intra_host: None,
            nat: None,
            names: Vec::new(),
            route: None,
            lookups: Vec::new(),
        }
    }
}

impl From<SocketAddr> for proto::Side {
    fn from(end: SocketAddr) -> Self {
        Self { address: Some(address(end)), port: Some(end.port().into()), netns: None, owner: None }
    }
}

/// The address as text; a link-local one with its interface index, as in `fe80::1%3`.
pub(super) fn address(end: SocketAddr) -> String {
    let mut text = address_text(end.ip());
    if let SocketAddr::V6(v6) = end
        && v6.scope_id() != 0
    {
        write!(text, "%{}", v6.scope_id()).expect("a string takes everything");
    }
    text
}

impl proto::Owner {
    pub(super) fn new(owner: &Owner) -> Self {
        let Owner { pid, tid, uid, command, cgroup_id, container, started_at_boot_ns, kernel, source } =
            owner;
        Self {
            pid: *pid,
            tid: *tid,
            uid: *uid,
            command: command.text().into_owned(),
            cgroup_id: *cgroup_id,
            container_id: container.map(|container| container.to_string()),
            source: proto::OwnerSource::from(*source).into(),
            kernel: kernel.then_some(true),
            started_at_boot_ns: *started_at_boot_ns,
            // What follows is of its process.
            executable: None,
            command_line: Vec::new(),
            command_line_cut: None,
            user: None,
            parent_pid: None,
            namespace_pid: None,
            unit: None,
            pod_uid: None,
        }
    }
}

impl proto::Failure {
    fn new(failure: Failure, opened_at: Option<KernelTime>, failed_at: Option<KernelTime>) -> Self {
        let Failure { kind, errno } = failure;
        // Absent when the opening was not seen.
        let lived = failed_at.zip(opened_at).map(|(failed, opened)| failed.nanoseconds_since(opened));
        Self {
            kind: proto::FailureKind::from(kind).into(),
            errno: errno.map(u32::from),
            name: failure.errno_name().map(str::to_owned),
            after_us: lived.map(|ns| ns / NANOSECONDS_PER_MICROSECOND),
        }
    }
}
