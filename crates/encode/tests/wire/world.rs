//! A fixed answer that shows every rule of the wire: an outgoing connection with all facts, one older than
//! the tracer with hardly any, a refused one, an orderly closed one of the kernel, and one whose only news is
//! its state.

use connections::{
    Annotate, Annotation, Common, Connection, ContainerId, Counters, Direction, Facts, Failure, FailureKind,
    GlobalId, KernelTime, Loss, Losses, Owner, OwnerSource, Protocol, RollUp, RollUpKey, State, TcpFacts,
    WallOffset,
};
use deltas::{Change, Coverage, Delta, LookupSum, RollUpId};
use encode::{Answer, native, reference};

use crate::context::{Known, everything};
pub(crate) use crate::fixtures::{FROM, change, connection, empty_delta, owner};

pub(crate) const WALL: WallOffset = WallOffset(1_795_341_595_000_000_001);

/// Both dialects of the fixed delta, for the functions of `encode`.
pub(crate) fn written(
    write: impl Fn(&mut Vec<u8>, &Answer<'_>) -> std::io::Result<()>,
    delta: &Delta,
) -> String {
    written_with(write, delta, &())
}

/// The same with what is known of connections.
pub(crate) fn written_with(
    write: impl Fn(&mut Vec<u8>, &Answer<'_>) -> std::io::Result<()>,
    delta: &Delta,
    context: &dyn Annotate,
) -> String {
    String::from_utf8(written_bytes(write, delta, context)).expect("JSON is UTF-8")
}

/// The same for what is no text.
pub(crate) fn written_bytes(
    write: impl Fn(&mut Vec<u8>, &Answer<'_>) -> std::io::Result<()>,
    delta: &Delta,
    context: &dyn Annotate,
) -> Vec<u8> {
    let degradations = ["tcp_owner".to_owned()];
    let answer =
        Answer { delta, wall: WALL, instance: "4c1d-1795341595", degradations: &degradations, context };
    let mut bytes = Vec::new();
    write(&mut bytes, &answer).expect("a vector takes everything");
    bytes
}

pub(crate) fn delta() -> Delta {
    let losses = Losses { ring_full: Loss { connections: 2, bytes: 4096 }, ..Losses::default() };
    Delta {
        sequence: 7,
        acknowledged: 6,
        from: KernelTime(FROM),
        to: KernelTime(FROM + 30_000_500_000),
        coverage: Coverage {
            interval_ns: 30_000_500_000,
            losses,
            untracked: 0,
            rolled_up: 24,
            excluded: 3,
            anomalies: 1,
            not_counted: 0,
            lookups_lost: 5,
            messages_lost: 6,
            audit: None,
        },
        roll_ups: vec![(RollUpId::Kernel(0x2f), rollup()), (RollUpId::Kernel(0x30), rest())].into(),
        lookups: vec![lookups(1), lookups(99)].into(),
        changes: vec![outgoing(), pre_existing(), refused(), closed(), only_its_state()].into(),
        ..empty_delta()
    }
}

/// All facts of the first connection of the delta, and nothing of the others.
pub(crate) fn context() -> impl Annotate {
    let known = |connection: &Connection| match connection.id.cookie {
        1 => everything(owner("nginx")),
        _ => Annotation::default(),
    };
    Known(known)
}

/// Lookups through the connection of that socket.
fn lookups(cookie: u64) -> LookupSum {
    let connection = connection(cookie, "10.0.0.1:40119", "10.0.0.2:53");
    LookupSum {
        connection: Some(connection.id),
        tuple: connection.tuple,
        pid: 812,
        domain: "api.example".into(),
        query_type: 28,
        timed_out: 1,
        success_latency_ns: 3_000_999,
        failure_latency_ns: 4_000_000,
        by_rcode: vec![(0, 2), (3, 1)],
    }
}

/// Connections to one port by one process.
pub(crate) fn rollup() -> RollUp {
    let common = Common {
        netns: 4_026_531_840,
        direction: Direction::Outgoing,
        service_port: Some(443),
        owner: Some((812, 1)),
        ends: None,
    };
    let failures = vec![
        (Failure { kind: FailureKind::Refused, errno: Some(111) }, 3),
        (Failure { kind: FailureKind::Aborted, errno: None }, 2),
    ];
    RollUp {
        key: RollUpKey { protocol: Protocol::Tcp, common: Some(common) },
        owner: Some(owner("curl")),
        connections: 17,
        established: None,
        total: Counters { sent_bytes: 1700, received_bytes: 3400, ..Counters::default() },
        counts_rtos: true,
        failures,
        last_closed_at: KernelTime(FROM + 4_000_000),
    }
}

/// Connections that have nothing in common, on a kernel that does not count time-outs.
fn rest() -> RollUp {
    RollUp {
        key: RollUpKey { protocol: Protocol::Tcp, common: None },
        owner: None,
        connections: 7,
        counts_rtos: false,
        failures: Vec::new(),
        ..rollup()
    }
}

fn outgoing() -> Change {
    let container = ContainerId::parse(&"0123456789abcdef".repeat(4));
    let owner = Owner { cgroup_id: Some(4242), container, ..owner("curl") };
    let tcp = TcpFacts {
        srtt_us: Some(180),
        rttvar_us: Some(40),
        min_rtt_us: Some(120),
        cwnd_packets: 10,
        delivery_bytes_per_s: Some(12_500_000),
        delivery_app_limited: Some(true),
        busy_us: Some(4000),
        rwnd_limited_us: Some(0),
        sndbuf_limited_us: Some(1000),
        retransmitted_bytes: 1448,
        unsent_bytes: 4,
        unacknowledged_bytes: 5,
        unread_bytes: 6,
        lost_packets: 1,
        zero_window_probes_waiting: 2,
        ecn_negotiated: true,
        counts_rtos: true,
    };
    let connection = Connection {
        owner: Some(owner),
        opened_at: Some(KernelTime(FROM + 1_000_000_000)),
        established_at: Some(KernelTime(FROM + 1_000_180_000)),
        global_id: Some(GlobalId(0x0123_4567_89ab_cdef)),
        total: counters(u64::MAX),
        facts: Facts::Tcp(tcp),
        ..connection(1, "10.0.0.1:40112", "10.0.0.2:443")
    };
    change(connection, counters(u64::MAX))
}

fn pre_existing() -> Change {
    let connection = Connection {
        direction: Direction::Incoming,
        state: State::CloseWait,
        pre_existing: true,
        total: counters(9),
        before: counters(1000),
        ..connection(2, "[fe80::1%3]:22", "[fe80::2%3]:50000")
    };
    change(connection, Counters { sent_bytes: 1, ..Counters::default() })
}

fn refused() -> Change {
    let delta = Counters { sent_packets: 1, received_packets: 1, ..Counters::default() };
    let connection = Connection {
        owner: Some(owner("na\u{ef}ve")),
        state: State::Closed,
        opened_at: Some(KernelTime(FROM + 2_000_000_000)),
        closed_at: Some(KernelTime(FROM + 2_000_090_999)),
        total: delta,
        failure: Some(Failure { kind: FailureKind::Refused, errno: Some(111) }),
        failed_at: Some(KernelTime(FROM + 2_000_090_999)),
        ..connection(3, "10.0.0.1:40113", "10.0.0.2:81")
    };
    change(connection, delta)
}

fn closed() -> Change {
    let connection = Connection {
        owner: Some(Owner { kernel: true, source: OwnerSource::Close, ..owner("kworker/0:1") }),
        state: State::Closed,
        opened_at: Some(KernelTime(FROM - 9)),
        established_at: Some(KernelTime(FROM - 8)),
        closed_at: Some(KernelTime(FROM + 3_000_000_000)),
        total: counters(50),
        ..connection(4, "[2001:db8::1]:700", "[2001:db8::2]:2049")
    };
    change(connection, Counters::default())
}

fn only_its_state() -> Change {
    let connection = Connection {
        direction: Direction::Unknown,
        state: State::FinWait2,
        opened_at: Some(KernelTime(FROM - 7)),
        total: counters(3),
        ..connection(5, "10.0.0.1:40114", "10.0.0.2:80")
    };
    change(connection, Counters::default())
}

fn counters(sent_bytes: u64) -> Counters {
    Counters {
        sent_bytes,
        received_bytes: 2,
        sent_packets: 3,
        received_packets: 4,
        retransmits: 1,
        rtos: 5,
        recoveries: 6,
        reordering: 7,
        out_of_order: 8,
        delivered_ce: 9,
    }
}

/// The reference's dialect in JSON.
pub(crate) fn reference_json(out: &mut Vec<u8>, answer: &Answer<'_>) -> std::io::Result<()> {
    reference::write_connections(out, answer, reference::Form::Json)
}

/// The reference's dialect in protobuf.
pub(crate) fn reference_protobuf(out: &mut Vec<u8>, answer: &Answer<'_>) -> std::io::Result<()> {
    reference::write_connections(out, answer, reference::Form::Protobuf)
}

/// Our own dialect in this form.
pub(crate) fn native(form: native::Form) -> impl Fn(&mut Vec<u8>, &Answer<'_>) -> std::io::Result<()> {
    move |out, answer| native::write_delta(out, answer, form, native::Fields::ALL)
}

/// Our own dialect in JSON.
pub(crate) fn native_json(out: &mut Vec<u8>, answer: &Answer<'_>) -> std::io::Result<()> {
    native::write_delta(out, answer, native::Form::Json, native::Fields::ALL)
}
