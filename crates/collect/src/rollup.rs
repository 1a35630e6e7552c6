//! Roll-ups of the kernel side to those of the domain.

use connections::{Common, Counters, Failure, KernelTime, Protocol, RollUp, RollUpKey, State};

use crate::bpf::types;
use crate::record::{Malformed, direction, owner, state};

const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

/// What an entry of a map of roll-ups is.
pub(crate) fn decode(key: &types::rollup_key, sums: &types::rollup) -> Result<RollUp, Malformed> {
    Ok(RollUp {
        key: key_of(key).ok_or(Malformed)?,
        owner: owner(&sums.owner),
        connections: sums.connections,
        total: Counters {
            sent_bytes: sums.sent_bytes,
            received_bytes: sums.received_bytes,
            sent_packets: sums.sent_packets,
            received_packets: sums.received_packets,
            retransmits: sums.retransmits,
            rtos: sums.rtos,
            recoveries: sums.rto_recoveries,
            reordering: sums.reordering_events,
            out_of_order: sums.out_of_order_packets,
            delivered_ce: sums.delivered_ce_packets,
        },
        established: None,
        counts_rtos: sums.without_rtos == 0,
        failures: failures(sums),
        last_closed_at: KernelTime(sums.last_closed_at_ns),
    })
}

/// The key of the roll-up of the rest: where there is no room under a key of its own.
pub(crate) fn rest_key(protocol: Protocol) -> types::rollup_key {
    let protocol = match protocol {
        Protocol::Tcp => IPPROTO_TCP,
        Protocol::Udp => IPPROTO_UDP,
    };
    types::rollup_key { protocol, ..types::rollup_key::default() }
}

fn key_of(key: &types::rollup_key) -> Option<RollUpKey> {
    let protocol = match key.protocol {
        IPPROTO_TCP => Protocol::Tcp,
        IPPROTO_UDP => Protocol::Udp,
        _ => return None,
    };
    // The rest has no namespace, and everything else has one.
    if key.netns == 0 {
        return Some(RollUpKey { protocol, common: None });
    }
    let owner = (key.owner_tgid, key.owner_started_at_boot_ns);
    Some(RollUpKey { protocol, common: Some(common(key.netns, key.direction, key.service_port, owner)?) })
}

/// What connections have in common, from the numbers of the kernel side.
pub(crate) fn common(
    netns: u32,
    direction_number: u8,
    service_port: u16,
    (tgid, started_at): (u32, u64),
) -> Option<Common> {
    Some(Common {
        netns,
        direction: direction(direction_number)?,
        service_port: (service_port != 0).then_some(service_port),
        owner: (tgid != 0).then_some((tgid, started_at)),
        ends: None,
    })
}

/// Each failure with how many connections it ended. What an errno means hardly depends on the state.
fn failures(sums: &types::rollup) -> Vec<(Failure, u64)> {
    let with_errno = (0..)
        .zip(sums.with_errno)
        .map(|(errno, count)| (Failure::classify(State::Established, errno, 1), count));
    let without = (0..).zip(sums.without_errno).map(|(state, count)| (without_errno(state), count));
    let mut failures: Vec<(Failure, u64)> = Vec::new();
    for (failure, count) in with_errno.chain(without).filter(|(_, count)| *count != 0) {
        let Some(failure) = failure else { continue };
        match failures.iter_mut().find(|(known, _)| *known == failure) {
            Some((_, known)) => *known += u64::from(count),
            None => failures.push((failure, count.into())),
        }
    }
    failures
}

/// The failure of a connection that left this state without an errno; 0 is that of a connect that sent nothing.
fn without_errno(number: u8) -> Option<Failure> {
    let (state, sent_packets) = if number == 0 { (Some(State::SynSent), 0) } else { (state(number), 1) };
    Failure::classify(state?, 0, sent_packets)
}

#[cfg(test)]
mod tests {
    use connections::{Direction, FailureKind};

    use super::*;

    fn sums(change: impl FnOnce(&mut types::rollup)) -> types::rollup {
        let mut sums = types::rollup::default();
        change(&mut sums);
        sums
    }

    #[test]
    fn a_roll_up_has_what_its_connections_have_in_common() {
        let key = types::rollup_key {
            netns: 7,
            service_port: 443,
            direction: 2,
            owner_tgid: 12,
            owner_started_at_boot_ns: 34,
            ..rest_key(Protocol::Tcp)
        };
        let rollup = decode(&key, &sums(|sums| (sums.connections, sums.sent_bytes) = (3, 9))).expect("valid");
        let common = Common {
            netns: 7,
            direction: Direction::Outgoing,
            service_port: Some(443),
            owner: Some((12, 34)),
            ends: None,
        };
        assert_eq!(rollup.key, RollUpKey { protocol: Protocol::Tcp, common: Some(common) });
        assert_eq!((rollup.connections, rollup.total.sent_bytes, rollup.failures), (3, 9, Vec::new()));
    }

    #[test]
    fn the_rest_has_nothing_in_common_but_the_protocol() {
        let rest = decode(&rest_key(Protocol::Tcp), &types::rollup::default()).map(|rollup| rollup.key);
        assert_eq!(rest, Ok(RollUpKey { protocol: Protocol::Tcp, common: None }));
        let unknown = types::rollup_key { protocol: 99, ..rest_key(Protocol::Tcp) };
        assert_eq!(decode(&unknown, &types::rollup::default()), Err(Malformed));
    }

    #[test]
    fn failures_are_counted_by_kind_and_errno_and_orderly_ends_are_none() {
        let rollup = decode(
            &rest_key(Protocol::Tcp),
            &sums(|sums| {
                sums.with_errno[111] = 4;
                // FIN_WAIT2 and LAST_ACK are orderly, ESTABLISHED and CLOSE_WAIT are not.
                (sums.without_errno[5], sums.without_errno[9]) = (10, 20);
                (sums.without_errno[1], sums.without_errno[8]) = (1, 2);
                sums.without_errno[0] = 5;
            }),
        );
        let refused = Failure { kind: FailureKind::Refused, errno: Some(111) };
        let unreachable = Failure { kind: FailureKind::Unreachable, errno: None };
        let aborted = Failure { kind: FailureKind::Aborted, errno: None };
        assert_eq!(
            rollup.map(|rollup| rollup.failures),
            Ok(vec![(refused, 4), (unreachable, 5), (aborted, 3)])
        );
    }
}
