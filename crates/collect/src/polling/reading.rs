//! What a listing or an end says of a TCP connection, as counters, facts and an ending.
//!
//! The kernel's numbers of `tcp_info` count SYN and FIN; these are taken off where it is certain that they are in. Reads
//! nothing itself and remembers nothing.

use connections::{Direction, Facts, RawCounters, State, TcpFacts};

use super::message::Socket;
use super::tcp_info::TcpInfo;
use crate::record;

const ECONNREFUSED: u16 = 111;
const ETIMEDOUT: u16 = 110;
/// A connect gives up after so many repetitions unless it is told otherwise (net.ipv4.tcp_syn_retries).
const SYN_RETRIES: u32 = 6;

/// What of the sequence numbers is no payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Control {
    /// Sequence numbers sent beyond the payload: SYN, FIN, both or none.
    sent: u64,
    /// Of the acknowledged ones.
    acknowledged: u64,
}

impl Control {
    pub(super) fn of(socket: &Socket, info: &TcpInfo) -> Self {
        let payload = payload_sent(info);
        let under_way = u64::from(socket.unacknowledged.saturating_sub(info.not_sent_bytes));
        let sent = (info.bytes_acked + under_way).saturating_sub(payload);
        Self { sent, acknowledged: info.bytes_acked.saturating_sub(payload) }
    }
}

/// Payload that was sent, each byte once; more where the own queueing discipline dropped some of it.
fn payload_sent(info: &TcpInfo) -> u64 {
    // Before 4.19 only what is acknowledged is known, SYN and FIN in it.
    info.bytes_sent.map_or(info.bytes_acked, |sent| sent.saturating_sub(info.bytes_retransmitted))
}

/// Which end opened a connection that is established: the end that connected counts its SYN.
pub(super) fn direction(socket: &Socket, info: &TcpInfo) -> Direction {
    let control = Control::of(socket, info);
    match record::state(socket.state) {
        Some(State::SynSent) => Direction::Outgoing,
        Some(State::SynReceived) => Direction::Incoming,
        // No FIN of this end yet.
        Some(State::Established | State::CloseWait) if info.bytes_sent.is_some() => match control.sent {
            0 => Direction::Incoming,
            1 => Direction::Outgoing,
            _ => Direction::Unknown,
        },
        _ => Direction::Unknown,
    }
}

/// Which end opened a connection that has ended unseen, as far as its numbers tell: a SYN and a FIN are two.
pub(super) fn direction_of_ended(socket: &Socket, info: &TcpInfo) -> Direction {
    match Control::of(socket, info).sent {
        _ if info.bytes_sent.is_none() => Direction::Unknown,
        0 => Direction::Incoming,
        2 => Direction::Outgoing,
        // A SYN or a FIN. What never received an acknowledgement was never answered.
        _ if info.bytes_acked == 0 && info.bytes_received == 0 => Direction::Outgoing,
        _ => Direction::Unknown,
    }
}

/// True when the FIN of this end was acknowledged: so the connection did not end by a reset.
pub(super) fn own_fin_is_acknowledged(socket: &Socket, info: &TcpInfo, direction: Direction) -> bool {
    let syn = u64::from(direction == Direction::Outgoing);
    Control::of(socket, info).acknowledged > syn
}

/// The FIN of the other end is in what was received, by the state of the socket.
pub(super) fn fin_is_in(state: State) -> bool {
    matches!(state, State::CloseWait | State::LastAck | State::Closing)
}

/// `fin`: the FIN of the other end is in what was received.
pub(super) fn counters(info: &TcpInfo, fin: bool) -> RawCounters {
    RawCounters {
        sent_bytes: payload_sent(info),
        received_bytes: info.bytes_received.saturating_sub(fin.into()),
        sent_packets: info.segments_out,
        received_packets: info.segments_in,
        retransmits: info.total_retransmits,
        rtos: info.total_rto.unwrap_or(0).into(),
        recoveries: info.total_rto_recoveries.unwrap_or(0).into(),
        reordering: info.reordering_seen,
        out_of_order: info.out_of_order,
        delivered_ce: info.delivered_ce,
    }
}

pub(super) fn facts(socket: &Socket, info: &TcpInfo, fin: bool) -> Facts {
    // Before the first sample the time is 0, the deviation a default, and the minimum all ones.
    let sampled = info.rtt_us != 0;
    let delivered = info.delivery_bytes_per_s != 0;
    let unacknowledged = socket.unacknowledged.saturating_sub(info.not_sent_bytes);
    Facts::Tcp(TcpFacts {
        srtt_us: sampled.then_some(info.rtt_us),
        rttvar_us: sampled.then_some(info.rttvar_us),
        min_rtt_us: info.min_rtt_us.filter(|minimum| sampled && *minimum != u32::MAX),
        cwnd_packets: info.cwnd_packets,
        delivery_bytes_per_s: delivered.then_some(info.delivery_bytes_per_s),
        delivery_app_limited: delivered.then_some(info.delivery_app_limited),
        busy_us: info.busy_us,
        rwnd_limited_us: info.rwnd_limited_us,
        sndbuf_limited_us: info.sndbuf_limited_us,
        retransmitted_bytes: info.bytes_retransmitted,
        unsent_bytes: info.not_sent_bytes,
        unacknowledged_bytes: unacknowledged,
        unread_bytes: socket.unread.saturating_sub(fin.into()),
        lost_packets: info.lost,
        zero_window_probes_waiting: info.probes,
        ecn_negotiated: info.ecn_negotiated,
        counts_rtos: info.total_rto.is_some(),
    })
}

/// The state that was left, and the error, as far as the numbers of an ended socket tell. Whether a connection that was
/// established was reset, timed out or aborted they do not: no failure is told then.
pub(super) fn ending(info: &TcpInfo, was: Option<State>) -> (State, u16) {
    let established = info.bytes_acked > 0 || info.bytes_received > 0;
    let connecting = matches!(was, None | Some(State::SynSent)) && !established;
    if !connecting {
        return (State::LastAck, 0);
    }
    let errno = match (info.segments_in, info.total_retransmits) {
        // Whoever answered did not let it in.
        (1.., _) => ECONNREFUSED,
        (0, SYN_RETRIES..) => ETIMEDOUT,
        (0, _) => 0,
    };
    (State::SynSent, errno)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn socket(state: u8, unread: u32, unacknowledged: u32, info: TcpInfo) -> Socket {
        Socket {
            local: "10.0.0.1:80".parse().expect("an address"),
            remote: "10.0.0.2:4000".parse().expect("an address"),
            state,
            cookie: 1,
            inode: 0,
            uid: 0,
            unread,
            unacknowledged,
            cgroup_id: None,
            protocol: Some(6),
            info: Some(info),
        }
    }

    fn info(acked: u64, sent: u64) -> TcpInfo {
        TcpInfo { bytes_acked: acked, bytes_sent: Some(sent), ..TcpInfo::default() }
    }

    #[test]
    fn the_end_that_connected_counts_its_syn() {
        let told = |state, unacknowledged, info| direction(&socket(state, 0, unacknowledged, info), &info);
        assert_eq!(told(1, 0, info(18, 17)), Direction::Outgoing);
        assert_eq!(told(1, 0, info(17, 17)), Direction::Incoming);
        assert_eq!(told(1, 10, info(8, 17)), Direction::Outgoing, "ten bytes are under way");
        assert_eq!(told(2, 1, info(0, 0)), Direction::Outgoing);
        assert_eq!(told(4, 1, info(18, 17)), Direction::Unknown, "a FIN may be in it");
        let waits = TcpInfo { not_sent_bytes: 5, ..info(17, 17) };
        assert_eq!(told(1, 5, waits), Direction::Incoming, "what is not sent does not count");
    }

    #[test]
    fn an_end_without_an_answer_is_told_apart() {
        let answered = TcpInfo { segments_in: 1, ..info(0, 0) };
        let silent = TcpInfo { total_retransmits: 6, ..info(0, 0) };
        assert_eq!(ending(&answered, None), (State::SynSent, ECONNREFUSED));
        assert_eq!(ending(&silent, Some(State::SynSent)), (State::SynSent, ETIMEDOUT));
        assert_eq!(ending(&info(0, 0), None), (State::SynSent, 0));
        assert_eq!(ending(&info(1, 0), None), (State::LastAck, 0));
        assert_eq!(ending(&info(0, 0), Some(State::Established)), (State::LastAck, 0));
    }

    #[test]
    fn a_fin_is_no_payload() {
        let received = TcpInfo { bytes_received: 18, ..info(1, 0) };
        assert_eq!(counters(&received, true).received_bytes, 17);
        assert_eq!(counters(&received, false).received_bytes, 18);
        let passive = socket(7, 0, 0, info(6, 5));
        assert!(own_fin_is_acknowledged(&passive, &info(6, 5), Direction::Incoming));
        assert!(!own_fin_is_acknowledged(&passive, &info(6, 5), Direction::Outgoing), "that is the SYN");
    }
}
