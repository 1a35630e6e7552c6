//! One connection as the reference's `Connection` message.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use connections::{
    Connection, Counters, Direction, Failure, KernelTime, Owner, Protocol, State, TcpFacts, Tuple,
};
use deltas::Change;
use serde::{Serialize, Serializer};

use super::no_fact::NoFact;
use super::text::Text;

/// True when the client of an answer that begins at `from` learns something from this change: the dialect
/// tells neither states nor owners' sources nor failures of UDP, so a change of only those says nothing. Failures of TCP
/// close the connection.
pub(super) fn worth_telling(change: &Change, from: KernelTime) -> bool {
    let Change { connection, delta } = change;
    let opened = connection.opened_at.is_some_and(|at| at >= from);
    *delta != Counters::default() || opened || connection.closed_at.is_some()
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct ConnectionWire<'a> {
    pub(super) pid: i32,
    pub(super) laddr: Addr,
    pub(super) raddr: Addr,
    pub(super) family: &'static str,
    #[serde(rename = "type")]
    pub(super) protocol: &'static str,
    pub(super) last_bytes_sent: Text<u64>,
    pub(super) last_bytes_received: Text<u64>,
    pub(super) last_retransmits: u32,
    pub(super) direction: &'static str,
    #[serde(rename = "netNS")]
    pub(super) netns: u32,
    pub(super) rtt: u32,
    pub(super) rtt_var: u32,
    pub(super) intra_host: bool,
    pub(super) last_tcp_established: u32,
    pub(super) last_tcp_closed: u32,
    pub(super) last_packets_sent: Text<u64>,
    pub(super) last_packets_received: Text<u64>,
    pub(super) tcp_failures_by_err_code: FailureCounts<'a>,
    pub(super) last_tcp_rto_count: u32,
    pub(super) last_tcp_recovery_count: u32,
    pub(super) last_tcp_reord_seen: u32,
    pub(super) last_tcp_rcv_ooo_pack: u32,
    pub(super) last_tcp_delivered_ce: u32,
    pub(super) tcp_ecn_negotiated: bool,
    #[serde(flatten)]
    pub(super) no_fact: NoFact,
}

impl ConnectionWire<'_> {
    pub(super) fn new(change: &Change) -> Self {
        let Change { connection, delta } = *change;
        let newly_established = newly_established(&connection, delta);
        // The dialect has no place for ids, times, totals, what was before tracing, and the kernel's states.
        let Connection {
            id: _,
            global_id: _,
            tuple,
            direction,
            owner,
            state,
            opened_at: _,
            established_at: _,
            closed_at: _,
            pre_existing: _,
            total: _,
            before: _,
            facts,
            failure,
            failed_at: _,
        } = connection;
        let Tuple { protocol, netns, local, remote } = tuple;
        // The dialect has no facts of UDP, and failures of TCP alone.
        let tcp = facts.tcp();
        let (rtt, rtt_var) = tcp.map_or((0, 0), round_trip);
        Self {
            pid: owner.map_or(0, pid),
            laddr: Addr::new(local),
            raddr: Addr::new(remote),
            family: if tuple.is_ipv4() { "v4" } else { "v6" },
            protocol: protocol.name(),
            direction: direction_name(direction),
            netns,
            rtt,
            rtt_var,
            last_tcp_established: u32::from(newly_established),
            last_tcp_closed: u32::from(tcp.is_some() && state == State::Closed),
            tcp_failures_by_err_code: FailureCounts::One(failure.filter(|_| tcp.is_some())),
            tcp_ecn_negotiated: tcp.is_some_and(|tcp| tcp.ecn_negotiated),
            ..Self::counting(delta)
        }
    }

    /// These counters, and nothing else known.
    pub(super) fn counting(counters: Counters) -> Self {
        let Counters {
            sent_bytes,
            received_bytes,
            sent_packets,
            received_packets,
            retransmits,
            rtos,
            recoveries,
            reordering,
            out_of_order,
            delivered_ce,
        } = counters;
        let narrow = |count: u64| u32::try_from(count).unwrap_or(u32::MAX);
        let nowhere = || Addr::new(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0));
        Self {
            pid: 0,
            laddr: nowhere(),
            raddr: nowhere(),
            family: "v4",
            protocol: Protocol::Tcp.name(),
            last_bytes_sent: Text(sent_bytes),
            last_bytes_received: Text(received_bytes),
            last_retransmits: narrow(retransmits),
            direction: direction_name(Direction::Unknown),
            netns: 0,
            rtt: 0,
            rtt_var: 0,
            // Not known before both ends are looked up in all namespaces.
            intra_host: false,
            last_tcp_established: 0,
            last_tcp_closed: 0,
            last_packets_sent: Text(sent_packets),
            last_packets_received: Text(received_packets),
            tcp_failures_by_err_code: FailureCounts::One(None),
            last_tcp_rto_count: narrow(rtos),
            last_tcp_recovery_count: narrow(recoveries),
            last_tcp_reord_seen: narrow(reordering),
            last_tcp_rcv_ooo_pack: narrow(out_of_order),
            last_tcp_delivered_ce: narrow(delivered_ce),
            tcp_ecn_negotiated: false,
            no_fact: NoFact::default(),
        }
    }
}

/// True when this client learns only now that the connection was established.
///
/// An answer does not say what the client was told before, but it follows from the counters: an established
/// connection has received a segment at least (the SYN-ACK, or the ACK that completed it), and one that is
/// connecting has received none. So it is news exactly when no received segment was told before.
fn newly_established(connection: &Connection, delta: Counters) -> bool {
    connection.established_at.is_some() && connection.total.received_packets == delta.received_packets
}

/// Process id, the only thing that the dialect tells of an owner. Kernels have at most 2^22 of them.
pub(super) fn pid(owner: Owner) -> i32 {
    let Owner { pid, tid: _, uid: _, command: _, cgroup_id: _, started_at_boot_ns: _, kernel: _, source: _ } =
        owner;
    i32::try_from(pid).unwrap_or(0)
}

/// Round-trip time and its mean deviation in microseconds, 0 before the first sample. The dialect has no place
/// for the other facts but one, `ecn_negotiated`.
fn round_trip(facts: TcpFacts) -> (u32, u32) {
    let TcpFacts {
        srtt_us,
        rttvar_us,
        min_rtt_us: _,
        cwnd_packets: _,
        delivery_bytes_per_s: _,
        delivery_app_limited: _,
        busy_us: _,
        rwnd_limited_us: _,
        sndbuf_limited_us: _,
        retransmitted_bytes: _,
        unsent_bytes: _,
        unacknowledged_bytes: _,
        unread_bytes: _,
        lost_packets: _,
        zero_window_probes_waiting: _,
        ecn_negotiated: _,
        counts_rtos: _,
    } = facts;
    (srtt_us.unwrap_or(0), rttvar_us.unwrap_or(0))
}

pub(super) fn direction_name(direction: Direction) -> &'static str {
    match direction {
        Direction::Unknown => "unspecified",
        Direction::Incoming => "incoming",
        Direction::Outgoing => "outgoing",
    }
}

/// One end. The dialect has no scope for link-local addresses.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Addr {
    ip: IpAddr,
    port: i32,
    container_id: &'static str,
    host_name: &'static str,
}

impl Addr {
    pub(super) fn new(end: SocketAddr) -> Self {
        Self { ip: end.ip(), port: end.port().into(), container_id: "", host_name: "" }
    }
}

/// How often which errno ended connections. A failure without errno has no place here.
pub(super) enum FailureCounts<'a> {
    /// At most one, once.
    One(Option<Failure>),
    /// Of a roll-up.
    Several(&'a [(Failure, u64)]),
}

impl Serialize for FailureCounts<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let errno = |Failure { kind: _, errno }| errno;
        match *self {
            FailureCounts::One(failure) => {
                serializer.collect_map(failure.and_then(errno).map(|errno| (errno, 1)))
            }
            FailureCounts::Several(failures) => {
                let with_errno =
                    failures.iter().filter_map(|(failure, count)| Some((errno(*failure)?, count)));
                serializer.collect_map(with_errno)
            }
        }
    }
}
