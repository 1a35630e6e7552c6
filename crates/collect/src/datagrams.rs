//! Records of UDP to observations.
//!
//! As untrusted as those of TCP, which `record` decodes.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use connections::{
    Ending, Event, Facts, KernelTime, Observation, Protocol, RawCounters, State, Tuple, UdpFacts,
};

use crate::bpf::types::datagram_record;
use crate::record::{Malformed, direction, id, owner, present};

/// What a live record tells.
pub(crate) fn live(record: &datagram_record) -> Result<Event, Malformed> {
    observation(record, State::Open).map(Event::Read).ok_or(Malformed)
}

/// What a final record tells.
pub(crate) fn closed(record: &datagram_record) -> Result<Event, Malformed> {
    let observation = observation(record, State::Closed).ok_or(Malformed)?;
    let closed_at = KernelTime(record.closed_at_ns);
    let ending = Ending { closed_at, state_before: State::Open, errno: record.error };
    Ok(Event::Closed(observation, ending))
}

fn observation(record: &datagram_record, state: State) -> Option<Observation> {
    let failed_at = present(record.failed_at_ns).map(KernelTime);
    let local = end(record.local_address, record.local_port, record.scope_id);
    let remote = end(record.remote_address, record.remote_port, record.scope_id);
    Some(Observation {
        id: id(record.cookie, record.claimed_at_ns),
        tuple: Tuple::canonical(Protocol::Udp, record.netns, local, remote),
        direction: direction(record.direction)?,
        owner: owner(&record.owner),
        state,
        established_at: None,
        pre_existing: record.pre_existing != 0,
        found: false,
        counters: RawCounters {
            sent_bytes: record.sent_bytes,
            received_bytes: record.received_bytes,
            sent_packets: low_half(record.sent_datagrams),
            received_packets: low_half(record.received_datagrams),
            ..RawCounters::default()
        },
        facts: Facts::Udp(UdpFacts { counted: true, drops: record.drops, assured: record.assured != 0 }),
        failed: failed_at.map(|at| (record.error, at)),
        isns: None,
    })
}

/// The table carries packets on from 32 bits, as those of TCP.
fn low_half(count: u64) -> u32 {
    u32::try_from(count & u64::from(u32::MAX)).expect("the upper half is cleared")
}

/// IPv4 comes mapped into IPv6, which a canonical tuple undoes.
fn end(address: [u8; 16], port: u16, scope_id: u32) -> SocketAddr {
    SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(address), port, 0, scope_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record() -> datagram_record {
        let mapped = |last| [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 10, 0, 0, last];
        datagram_record {
            cookie: 7,
            claimed_at_ns: 70,
            local_address: mapped(1),
            remote_address: mapped(2),
            local_port: 53,
            remote_port: 4000,
            direction: 1,
            sent_bytes: 3,
            sent_datagrams: (1 << 32) + 5,
            drops: 9,
            ..datagram_record::default()
        }
    }

    #[test]
    fn addresses_become_ipv4_and_packets_lose_their_upper_half() {
        let Ok(Event::Read(read)) = live(&record()) else { panic!("a live record is a reading") };
        assert_eq!(
            (read.tuple.local.to_string(), read.tuple.remote.to_string()),
            ("10.0.0.1:53".into(), "10.0.0.2:4000".into())
        );
        assert_eq!((read.counters.sent_packets, read.counters.sent_bytes, read.state), (5, 3, State::Open));
        assert_eq!(read.facts, Facts::Udp(UdpFacts { counted: true, drops: 9, assured: false }));
        assert_eq!(read.failed, None);
    }

    #[test]
    fn a_final_record_has_its_end_and_its_error() {
        let record = datagram_record { closed_at_ns: 90, failed_at_ns: 80, error: 111, ..record() };
        let Ok(Event::Closed(read, ending)) = closed(&record) else { panic!("a final record is a close") };
        assert_eq!(ending, Ending { closed_at: KernelTime(90), state_before: State::Open, errno: 111 });
        assert_eq!(read.failed, Some((111, KernelTime(80))));
    }

    #[test]
    fn an_unknown_direction_number_is_refused() {
        assert_eq!(live(&datagram_record { direction: 3, ..record() }).err(), Some(Malformed));
    }
}
