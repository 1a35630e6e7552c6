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
    /// Sequence numbers sent beyond the payload: SYN, FIN, both or none. Absent where the payload is not known apart from them:
    /// before 4.19, and when the own queueing discipline dropped some of it, which the kernel counts anew when it is repeated.
    sent: Option<u64>,
    /// Of the acknowledged ones.
    acknowledged: Option<u64>,
}

impl Control {
    pub(super) fn of(socket: &Socket, info: &TcpInfo) -> Self {
        let Some(payload) = info.bytes_sent.map(|sent| sent.saturating_sub(info.bytes_retransmitted)) else {
            return Self::default();
        };
        let sent = sequence_numbers_sent(socket, info).checked_sub(payload);
        Self { sent, acknowledged: sent.map(|_| info.bytes_acked.saturating_sub(payload)) }
    }
}

/// SYN and FIN are among them.
fn sequence_numbers_sent(socket: &Socket, info: &TcpInfo) -> u64 {
    info.bytes_acked + u64::from(socket.unacknowledged.saturating_sub(info.not_sent_bytes))
}

/// Payload that was sent, each byte once. `direction` and `state` tell what of the numbers is SYN and FIN where the kernel does
/// not.
fn payload_sent(socket: &Socket, info: &TcpInfo, direction: Direction, state: State) -> u64 {
    let sent = sequence_numbers_sent(socket, info);
    let syn = u64::from(direction != Direction::Incoming);
    let fin = u64::from(has_finished(state) && info.not_sent_bytes == 0);
    sent.saturating_sub(Control::of(socket, info).sent.unwrap_or(syn + fin))
}

/// This end has written its FIN.
fn has_finished(state: State) -> bool {
    matches!(state, State::FinWait1 | State::FinWait2 | State::LastAck | State::Closing | State::Closed)
}

/// Which end opened a connection: the end that connected counts its SYN. The kernel reads what waits in the queues before the
/// rest, without the socket's lock: where the state has changed between, or something was under way that could be acknowledged
/// between, nothing follows from the sum.
pub(super) fn direction(socket: &Socket, info: &TcpInfo) -> Direction {
    let state = match record::state(socket.state) {
        Some(State::SynSent) => return Direction::Outgoing,
        Some(State::SynReceived) => return Direction::Incoming,
        Some(State::Closed) | None => return Direction::Unknown,
        Some(state) => state,
    };
    if info.state != socket.state || info.unacknowledged_packets > 0 {
        return Direction::Unknown;
    }
    let fin = u64::from(has_finished(state) && info.not_sent_bytes == 0);
    match Control::of(socket, info).sent.and_then(|sent| sent.checked_sub(fin)) {
        Some(0) => Direction::Incoming,
        Some(1) => Direction::Outgoing,
        _ => Direction::Unknown,
    }
}

/// Which end opened a connection that has ended unseen, as far as its numbers tell: a SYN and a FIN are two.
pub(super) fn direction_of_ended(socket: &Socket, info: &TcpInfo) -> Direction {
    match Control::of(socket, info).sent {
        Some(0) => Direction::Incoming,
        Some(2) => Direction::Outgoing,
        // A SYN or a FIN. What never received an acknowledgement was never answered.
        Some(_) if info.bytes_acked == 0 && info.bytes_received == 0 => Direction::Outgoing,
        _ => Direction::Unknown,
    }
}

/// Of SYN and FIN this end has sent one.
pub(super) fn sent_syn_or_fin(socket: &Socket, info: &TcpInfo) -> bool {
    Control::of(socket, info).sent == Some(1)
}

/// True when the FIN of this end was acknowledged: so the connection did not end by a reset. Where that is not known, when all
/// was.
pub(super) fn own_fin_is_acknowledged(socket: &Socket, info: &TcpInfo, direction: Direction) -> bool {
    let syn = u64::from(direction == Direction::Outgoing);
    Control::of(socket, info)
        .acknowledged
        .map_or(socket.unacknowledged == 0, |acknowledged| acknowledged > syn)
}

/// The FIN of the other end is in what was received, by the state of the socket.
pub(super) fn fin_is_in(state: State) -> bool {
    matches!(state, State::CloseWait | State::LastAck | State::Closing)
}

/// `fin`: the FIN of the other end is in what was received.
pub(super) fn counters(
    socket: &Socket,
    info: &TcpInfo,
    direction: Direction,
    state: State,
    fin: bool,
) -> RawCounters {
    RawCounters {
        sent_bytes: payload_sent(socket, info, direction, state),
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
    use crate::polling::message::fixtures;

    fn socket(state: u8, unread: u32, unacknowledged: u32, info: TcpInfo) -> Socket {
        Socket { unread, unacknowledged, info: Some(info), ..fixtures::socket("10.0.0.1:80", state) }
    }

    fn info(acked: u64, sent: u64) -> TcpInfo {
        TcpInfo { bytes_acked: acked, bytes_sent: Some(sent), ..TcpInfo::default() }
    }

    #[test]
    fn the_end_that_connected_counts_its_syn() {
        let told = |state, unacknowledged, info| {
            let info = TcpInfo { state, ..info };
            direction(&socket(state, 0, unacknowledged, info), &info)
        };
        assert_eq!(told(1, 0, info(18, 17)), Direction::Outgoing);
        assert_eq!(told(1, 0, info(17, 17)), Direction::Incoming);
        assert_eq!(told(2, 1, info(0, 0)), Direction::Outgoing);
        assert_eq!(told(5, 0, info(18, 17)), Direction::Incoming, "that is the FIN");
        let fin_waits = TcpInfo { not_sent_bytes: 1, ..info(18, 17) };
        assert_eq!(told(4, 1, fin_waits), Direction::Outgoing);
        let waits = TcpInfo { not_sent_bytes: 5, ..info(17, 17) };
        assert_eq!(told(1, 5, waits), Direction::Incoming, "what is not sent does not count");
    }

    #[test]
    fn nothing_follows_from_numbers_that_the_kernel_may_have_read_at_two_times() {
        let established = TcpInfo { state: 1, ..info(18, 17) };
        let under_way = TcpInfo { unacknowledged_packets: 1, ..established };
        assert_eq!(direction(&socket(1, 0, 0, under_way), &under_way), Direction::Unknown);
        // Its FIN was in the queue, and the state was read before.
        let closed_between = TcpInfo { state: 9, ..info(17, 17) };
        assert_eq!(direction(&socket(8, 0, 1, closed_between), &closed_between), Direction::Unknown);
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
        let bytes = |fin| {
            let ended = socket(7, 0, 0, received);
            counters(&ended, &received, Direction::Outgoing, State::Closed, fin).received_bytes
        };
        assert_eq!((bytes(true), bytes(false)), (17, 18));
        let passive = socket(7, 0, 0, info(6, 5));
        assert!(own_fin_is_acknowledged(&passive, &info(6, 5), Direction::Incoming));
        assert!(!own_fin_is_acknowledged(&passive, &info(6, 5), Direction::Outgoing), "that is the SYN");
    }

    #[test]
    fn what_the_own_queue_dropped_is_counted_once_and_tells_no_direction() {
        // The kernel counts 100 bytes twice, and they are no retransmission.
        let dropped = TcpInfo { state: 1, ..info(1001, 1100) };
        let established = socket(1, 0, 0, dropped);
        assert_eq!(direction(&established, &dropped), Direction::Unknown);
        let sent = |direction, state| payload_sent(&established, &dropped, direction, state);
        assert_eq!(sent(Direction::Outgoing, State::Established), 1000);
        assert_eq!(sent(Direction::Incoming, State::Established), 1001);
        assert_eq!(sent(Direction::Outgoing, State::Closed), 999, "SYN and FIN");
    }
}
