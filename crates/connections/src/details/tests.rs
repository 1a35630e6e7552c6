//! What is unpacked is what was packed.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::owner::{Command, OwnerSource};

/// An address that a canonical tuple can have: no mapped one, and a scope only where it is link-local.
fn end(scope_id: u32) -> impl Strategy<Value = SocketAddr> {
    let link_local = any::<u64>().prop_map(|low| Ipv6Addr::from(0xfe80_u128 << 112 | u128::from(low)));
    let not_mapped = any::<u128>().prop_map(Ipv6Addr::from).prop_filter("mapped, or link-local", |address| {
        address.to_ipv4_mapped().is_none() && !address.is_unicast_link_local()
    });
    prop_oneof![
        (any::<u32>(), any::<u16>()).prop_map(|(v4, port)| (Ipv4Addr::from(v4), port).into()),
        (not_mapped, any::<u16>()).prop_map(|(v6, port)| (v6, port).into()),
        (link_local, any::<u16>())
            .prop_map(move |(v6, port)| SocketAddrV6::new(v6, port, 0, scope_id).into()),
        any::<u16>().prop_map(|port| (Ipv6Addr::UNSPECIFIED, port).into()),
    ]
}

fn owner() -> Owner {
    Owner {
        pid: 7,
        tid: 8,
        uid: 9,
        command: Command(*b"0123456789abcde\0"),
        cgroup_id: Some(u64::MAX),
        container: crate::ContainerId::parse(&"f".repeat(64)),
        started_at_boot_ns: u64::MAX,
        kernel: true,
        source: OwnerSource::Descriptor,
    }
}

fn number() -> impl Strategy<Value = Option<u32>> {
    prop_oneof![Just(None), Just(Some(0)), (0..u32::MAX).prop_map(Some), Just(Some(u32::MAX - 1))]
}

/// Whole milliseconds that 32 bits hold.
fn time_us() -> impl Strategy<Value = Option<u64>> {
    number().prop_map(|ms| ms.map(|ms| u64::from(ms) * 1000))
}

prop_compose! {
    fn tcp_facts()(
        (srtt_us, rttvar_us, min_rtt_us) in (number(), number(), number()),
        (busy_us, rwnd_limited_us, sndbuf_limited_us) in (time_us(), time_us(), time_us()),
        delivery_bytes_per_s in proptest::option::of(0..u64::MAX),
        delivery_app_limited in proptest::option::of(any::<bool>()),
        (cwnd_packets, unsent_bytes, unacknowledged_bytes, unread_bytes, lost_packets) in any::<(u32, u32, u32, u32, u32)>(),
        retransmitted_bytes in any::<u64>(),
        (zero_window_probes_waiting, ecn_negotiated, counts_rtos) in any::<(u8, bool, bool)>(),
    ) -> TcpFacts {
        TcpFacts {
            srtt_us, rttvar_us, min_rtt_us, cwnd_packets, delivery_bytes_per_s, delivery_app_limited, busy_us,
            rwnd_limited_us, sndbuf_limited_us, retransmitted_bytes, unsent_bytes, unacknowledged_bytes,
            unread_bytes, lost_packets, zero_window_probes_waiting, ecn_negotiated, counts_rtos,
        }
    }
}

fn facts() -> impl Strategy<Value = Facts> {
    let udp = any::<(bool, u64, bool)>()
        .prop_map(|(counted, drops, assured)| Facts::Udp(UdpFacts { counted, drops, assured }));
    prop_oneof![tcp_facts().prop_map(Facts::Tcp), udp]
}

fn state() -> impl Strategy<Value = State> {
    prop::sample::select(vec![
        State::Open,
        State::SynSent,
        State::SynReceived,
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::LastAck,
        State::Closing,
    ])
}

fn failure() -> impl Strategy<Value = Option<Failure>> {
    let kind = prop::sample::select(vec![
        FailureKind::Refused,
        FailureKind::Reset,
        FailureKind::TimedOut,
        FailureKind::Unreachable,
        FailureKind::Aborted,
        FailureKind::Abandoned,
    ]);
    proptest::option::of(
        (kind, proptest::option::of(1..=u16::MAX)).prop_map(|(kind, errno)| Failure { kind, errno }),
    )
}

fn counters() -> impl Strategy<Value = Counters> {
    let large = || 0..u64::MAX / 2;
    let small = || 0..u64::from(u32::MAX / 2);
    ((large(), large(), large(), large()), (large(), large(), large(), large()), (small(), small())).prop_map(
        |(first, second, (rtos, recoveries))| Counters {
            sent_bytes: first.0,
            received_bytes: first.1,
            sent_packets: first.2,
            received_packets: first.3,
            retransmits: second.0,
            reordering: second.1,
            out_of_order: second.2,
            delivered_ce: second.3,
            rtos,
            recoveries,
        },
    )
}

prop_compose! {
    fn connection()(scope_id in 1..=u32::MAX)(
        (local, remote) in (end(scope_id), end(scope_id)),
        (cookie, claimed_at, netns) in any::<(u64, u64, u32)>(),
        global_id in proptest::option::of(any::<u64>()),
        direction in prop::sample::select(vec![Direction::Unknown, Direction::Incoming, Direction::Outgoing]),
        owner in prop::sample::select(vec![None, Some(owner())]),
        at in proptest::option::of(0..u64::MAX),
        (pre_existing, total, before) in (any::<bool>(), counters(), counters()),
        (facts, state, failure) in (facts(), state(), failure()),
    ) -> Connection {
        let protocol = if facts.tcp().is_some() { Protocol::Tcp } else { Protocol::Udp };
        let id = ConnectionId { cookie, claimed_at: KernelTime(claimed_at) };
        Connection {
            id,
            global_id: global_id.map(GlobalId),
            tuple: Tuple { protocol, netns, local, remote },
            direction,
            owner,
            state,
            opened_at: (!pre_existing).then_some(id.claimed_at),
            established_at: at.filter(|_| protocol == Protocol::Tcp).map(KernelTime),
            closed_at: None,
            pre_existing,
            total,
            before,
            facts,
            failure,
            failed_at: at.filter(|_| protocol == Protocol::Udp).map(KernelTime),
        }
    }
}

proptest! {
    #[test]
    fn what_is_unpacked_is_what_was_packed(connection in connection()) {
        let before = Some(Arc::new(Counted::from(connection.before)));
        let details = Details::pack(&connection, connection.owner.map(Arc::new), before);
        let since_opened = connection.before.plus(connection.total);
        prop_assert_eq!(details.unpack(since_opened.into()), connection);
    }
}

#[test]
fn what_does_not_fit_is_the_largest_that_does() {
    let facts = TcpFacts {
        srtt_us: Some(u32::MAX),
        busy_us: Some(u64::MAX),
        sndbuf_limited_us: Some(3333),
        delivery_bytes_per_s: Some(u64::MAX),
        ..TcpFacts::default()
    };
    let unpacked =
        Details::default().with_tcp(facts).unpack(Counted::default()).facts.tcp().expect("facts of TCP");
    assert_eq!(unpacked.srtt_us, Some(u32::MAX - 1));
    assert_eq!(unpacked.busy_us, Some((u64::from(u32::MAX) - 1) * 1000));
    assert_eq!((unpacked.sndbuf_limited_us, unpacked.rwnd_limited_us), (Some(3000), None));
    assert_eq!(unpacked.delivery_bytes_per_s, Some(u64::MAX - 1));
    let many = Counters { rtos: u64::MAX, recoveries: 1 << 32, ..Counters::default() };
    let kept = Counters::from(Counted::from(many));
    assert_eq!((kept.rtos, kept.recoveries), (u64::from(u32::MAX), u64::from(u32::MAX)));
}
