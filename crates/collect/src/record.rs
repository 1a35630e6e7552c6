//! Bytes of the kernel to events.
//!
//! The bytes are untrusted: lengths are checked, unknown values become `None`, and nothing is indexed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use connections::{
    Command, ConnectionId, Direction, Ending, Event, Facts, KernelTime, Listener, Observation, Owner,
    OwnerSource, Protocol, RawCounters, RollUpKey, RolledUp, State, TcpFacts, Tuple,
};

use crate::bpf::types::{connection_record, owner_record, unchanged_record};
use crate::datagrams;
use crate::jiffies::JiffyRate;
use crate::plain::from_bytes;
use crate::rollup::common;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;
const KIND_LIVE: u8 = 1;
const KIND_ADOPTED: u8 = 2;
const KIND_CLOSED: u8 = 3;
const KIND_ROLLED_UP: u8 = 4;
const KIND_UNCHANGED: u8 = 5;
const KIND_DATAGRAMS_LIVE: u8 = 6;
const KIND_DATAGRAMS_CLOSED: u8 = 7;
/// Where the kind is in every record.
const KIND_AT: usize = 244;
const DIRECTION_LISTENING: u8 = 3;
const FACT_ABSENT: u32 = u32::MAX;

/// Size of a record in bytes.
pub(crate) const RECORD_BYTES: usize = size_of::<connection_record>();

/// The bytes are no record of this version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Malformed;

/// What records hold.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Decoded {
    /// In the order of the records.
    pub(crate) events: Vec<Event>,
    /// Connections that were read before and have not changed.
    pub(crate) unchanged: Vec<ConnectionId>,
}

/// Decodes one record, adding to `decoded` what it holds; an adopted listener is nothing that anybody has to know, as
/// the next pass reads it again. Without the length of a jiffy what the kernel counts in jiffies is absent.
pub(crate) fn decode(bytes: &[u8], jiffy: Option<JiffyRate>, decoded: &mut Decoded) -> Result<(), Malformed> {
    match bytes.get(KIND_AT) {
        Some(&KIND_UNCHANGED) => {
            let record: unchanged_record = from_bytes(bytes).ok_or(Malformed)?;
            let ids = record.cookie.into_iter().zip(record.claimed_at_ns).take(record.connections.into());
            decoded.unchanged.extend(ids.map(|(cookie, claimed_at)| id(cookie, claimed_at)));
        }
        Some(&KIND_DATAGRAMS_LIVE) => {
            decoded.events.push(datagrams::live(&from_bytes(bytes).ok_or(Malformed)?)?);
        }
        Some(&KIND_DATAGRAMS_CLOSED) => {
            decoded.events.push(datagrams::closed(&from_bytes(bytes).ok_or(Malformed)?)?);
        }
        _ => decode_tcp(&from_bytes(bytes).ok_or(Malformed)?, jiffy, decoded)?,
    }
    Ok(())
}

fn decode_tcp(
    record: &connection_record,
    jiffy: Option<JiffyRate>,
    decoded: &mut Decoded,
) -> Result<(), Malformed> {
    if record.direction == DIRECTION_LISTENING {
        decoded.events.extend(listener(record).ok_or(Malformed)?);
        return Ok(());
    }
    // Events are large: each is made in its place, without a copy on the way.
    match record.kind {
        KIND_LIVE => decoded.events.push(Event::Read(observation(record, jiffy).ok_or(Malformed)?)),
        KIND_ADOPTED => decoded.events.push(Event::Adopted(observation(record, jiffy).ok_or(Malformed)?)),
        KIND_CLOSED => {
            let ending = ending(record).ok_or(Malformed)?;
            decoded.events.push(Event::Closed(observation(record, jiffy).ok_or(Malformed)?, ending));
        }
        KIND_ROLLED_UP => decoded.events.push(Event::RolledUp(rolled_up(record).ok_or(Malformed)?)),
        _ => return Err(Malformed),
    }
    Ok(())
}

pub(crate) fn id(cookie: u64, claimed_at_ns: u64) -> ConnectionId {
    ConnectionId { cookie, claimed_at: KernelTime(claimed_at_ns) }
}

/// The inner `None` is that of an adopted one.
fn listener(record: &connection_record) -> Option<Option<Event>> {
    let (local, remote) = ends(record)?;
    let local = Tuple::canonical(Protocol::Tcp, record.netns, local, remote).local;
    let id = id(record.cookie, record.claimed_at_ns);
    let listener = Listener { id, netns: record.netns, local, owner: owner(&record.owner) };
    Some(match record.kind {
        KIND_LIVE => Some(Event::Listening(listener)),
        KIND_CLOSED => Some(Event::ListenerClosed(listener)),
        _ => None,
    })
}

#[inline]
fn observation(record: &connection_record, jiffy: Option<JiffyRate>) -> Option<Observation> {
    let (local, remote) = ends(record)?;
    Some(Observation {
        id: id(record.cookie, record.claimed_at_ns),
        tuple: Tuple::canonical(Protocol::Tcp, record.netns, local, remote),
        direction: direction(record.direction)?,
        owner: owner(&record.owner),
        state: state(record.state)?,
        established_at: present(record.established_at_ns).map(KernelTime),
        pre_existing: record.pre_existing != 0,
        found: record.found != 0,
        counters: RawCounters {
            sent_bytes: record.sent_bytes,
            received_bytes: record.received_bytes,
            sent_packets: record.sent_packets,
            received_packets: record.received_packets,
            retransmits: record.retransmits,
            rtos: present_fact(record.rtos).unwrap_or(0),
            recoveries: present_fact(record.rto_recoveries).unwrap_or(0),
            reordering: record.reordering_events,
            out_of_order: record.out_of_order_packets,
            delivered_ce: record.delivered_ce_packets,
        },
        facts: Facts::Tcp(facts(record, jiffy)),
        failed: None,
        isns: (record.has_isns != 0).then_some((record.local_isn, record.remote_isn)),
    })
}

fn ending(record: &connection_record) -> Option<Ending> {
    let closed_at = KernelTime(record.closed_at_ns);
    Some(Ending { closed_at, state_before: state(record.state_before)?, errno: record.error })
}

/// Only the name of a connection: its counters are in a roll-up.
fn rolled_up(record: &connection_record) -> Option<RolledUp> {
    let owner = (record.owner.tgid, record.owner.started_at_boot_ns);
    let common = common(record.netns, record.direction, record.local_port, owner)?;
    Some(RolledUp {
        id: id(record.cookie, record.claimed_at_ns),
        key: RollUpKey { protocol: Protocol::Tcp, common: (record.in_rest == 0).then_some(common) },
        closed_at: KernelTime(record.closed_at_ns),
        pre_existing: record.pre_existing != 0,
    })
}

fn ends(record: &connection_record) -> Option<(SocketAddr, SocketAddr)> {
    let end = |address: &[u8; 16], port| match record.family {
        AF_INET => {
            let [a, b, c, d, ..] = *address;
            Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port))
        }
        AF_INET6 => {
            let address = Ipv6Addr::from(*address);
            Some(SocketAddr::V6(SocketAddrV6::new(address, port, 0, record.scope_id)))
        }
        _ => None,
    };
    Some((end(&record.local_address, record.local_port)?, end(&record.remote_address, record.remote_port)?))
}

/// `None` when nobody is known.
pub(crate) fn owner(record: &owner_record) -> Option<Owner> {
    let source = match record.source {
        1 => OwnerSource::Descriptor,
        2 => OwnerSource::Close,
        3 => OwnerSource::Connect,
        4 => OwnerSource::Send,
        _ => return None,
    };
    Some(Owner {
        pid: record.tgid,
        tid: record.tid,
        uid: record.uid,
        command: Command(record.command),
        cgroup_id: present(record.cgroup_id),
        container: None,
        started_at_boot_ns: record.started_at_boot_ns,
        kernel: record.kernel_thread != 0,
        source,
    })
}

/// `None` for an unknown number, and for a listener.
pub(crate) fn direction(number: u8) -> Option<Direction> {
    match number {
        0 => Some(Direction::Unknown),
        1 => Some(Direction::Incoming),
        2 => Some(Direction::Outgoing),
        _ => None,
    }
}

/// The states of `include/net/tcp_states.h`.
pub(crate) fn state(number: u8) -> Option<State> {
    match number {
        1 => Some(State::Established),
        2 => Some(State::SynSent),
        3 => Some(State::SynReceived),
        4 => Some(State::FinWait1),
        5 => Some(State::FinWait2),
        6 | 7 => Some(State::Closed),
        8 => Some(State::CloseWait),
        9 => Some(State::LastAck),
        10 => Some(State::Closed),
        11 => Some(State::Closing),
        _ => None,
    }
}

fn facts(record: &connection_record, jiffy: Option<JiffyRate>) -> TcpFacts {
    // Before the first sample srtt is 0, the deviation a default, and the minimum all ones.
    let sampled = record.srtt_us != 0;
    let delivered = record.delivery_bytes_per_s != 0;
    TcpFacts {
        srtt_us: sampled.then_some(record.srtt_us),
        rttvar_us: sampled.then_some(record.rttvar_us),
        min_rtt_us: (record.min_rtt_us != u32::MAX && sampled).then_some(record.min_rtt_us),
        cwnd_packets: record.cwnd_packets,
        delivery_bytes_per_s: delivered.then_some(record.delivery_bytes_per_s),
        delivery_app_limited: delivered.then_some(record.delivery_app_limited != 0),
        busy_us: jiffy.map(|jiffy| jiffy.microseconds(record.busy_jiffies)),
        rwnd_limited_us: jiffy.map(|jiffy| jiffy.microseconds(record.rwnd_limited_jiffies)),
        sndbuf_limited_us: jiffy.map(|jiffy| jiffy.microseconds(record.sndbuf_limited_jiffies)),
        retransmitted_bytes: record.retransmitted_bytes,
        unsent_bytes: record.unsent_bytes,
        unacknowledged_bytes: record.unacknowledged_bytes,
        unread_bytes: record.unread_bytes,
        lost_packets: record.lost_packets,
        zero_window_probes_waiting: record.zero_window_probes_waiting,
        ecn_negotiated: record.ecn_negotiated != 0,
        counts_rtos: present_fact(record.rtos).is_some(),
    }
}

fn present_fact(value: u32) -> Option<u32> {
    (value != FACT_ABSENT).then_some(value)
}

pub(crate) fn present(value: u64) -> Option<u64> {
    (value != 0).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode(bytes: &[u8]) -> Result<Decoded, Malformed> {
        let mut decoded = Decoded::default();
        super::decode(bytes, None, &mut decoded).map(|()| decoded)
    }

    fn refused(bytes: &[u8]) -> bool {
        decode(bytes).is_err()
    }

    fn bytes(change: impl FnOnce(&mut connection_record)) -> Vec<u8> {
        let mut record = connection_record {
            family: AF_INET,
            kind: KIND_LIVE,
            state: 1,
            local_address: [10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
            local_port: 80,
            cookie: 7,
            ..connection_record::default()
        };
        change(&mut record);
        crate::plain::to_bytes(&record).to_vec()
    }

    #[test]
    fn a_record_of_another_length_is_refused() {
        let whole = bytes(|_| ());
        assert!(decode(&whole).is_ok());
        assert!(refused(whole.get(1..).expect("not empty")));
        assert!(refused(&[whole, vec![0]].concat()));
        assert!(refused(&[]));
    }

    #[test]
    fn unchanged_connections_come_several_at_once() {
        let mut record = unchanged_record { kind: KIND_UNCHANGED, connections: 2, ..Default::default() };
        (record.cookie[0], record.claimed_at_ns[0]) = (7, 70);
        (record.cookie[1], record.claimed_at_ns[1]) = (8, 80);
        let bytes = crate::plain::to_bytes(&record);
        assert_eq!(decode(bytes).map(|decoded| decoded.unchanged), Ok(vec![id(7, 70), id(8, 80)]));
        assert!(refused(bytes.get(..255).expect("not empty")));
        record.connections = 200;
        let decoded = decode(crate::plain::to_bytes(&record)).expect("valid");
        assert_eq!(decoded.unchanged.len(), 8, "never more than there is room for");
    }

    #[test]
    fn unknown_numbers_are_refused() {
        assert!(refused(&bytes(|record| record.kind = 9)));
        assert!(refused(&bytes(|record| record.family = 1)));
        assert!(refused(&bytes(|record| record.state = 0)));
        assert!(refused(&bytes(|record| record.direction = 7)));
    }

    #[test]
    fn facts_without_a_sample_are_absent() {
        let live = bytes(|record| (record.min_rtt_us, record.rtos) = (u32::MAX, FACT_ABSENT));
        let decoded = decode(&live).expect("valid");
        let [Event::Read(observation)] = decoded.events.as_slice() else {
            panic!("a live record is a reading")
        };
        assert_eq!(observation.facts, Facts::Tcp(TcpFacts::default()));
        assert_eq!(observation.owner, None);
        assert_eq!(observation.tuple.local.to_string(), "10.0.0.1:80");
    }
}
