//! Why a connection ended other than by an orderly close.

use crate::state::State;

/// A connection's failure. How long the connection lived tells when it struck.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Failure {
    /// What happened.
    pub kind: FailureKind,
    /// The kernel's error number of the socket; absent where the kernel set none.
    pub errno: Option<u16>,
}

/// What ended a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailureKind {
    /// The other end answered the connect with a reset.
    Refused,
    /// The other end reset the connection.
    Reset,
    /// No answer in time: connect, retransmission, keepalive or user time-out.
    TimedOut,
    /// The network or host could not be reached, or the connect failed on this host before it sent anything.
    Unreachable,
    /// This end reset the connection: unread data or `SO_LINGER` 0 at close, or killed by an administrator.
    Aborted,
    /// Closed by this end before the connect was answered.
    Abandoned,
}

const EPIPE: u16 = 32;
const ENETUNREACH: u16 = 101;
const ECONNABORTED: u16 = 103;
const ECONNRESET: u16 = 104;
const ETIMEDOUT: u16 = 110;
const ECONNREFUSED: u16 = 111;
const EHOSTDOWN: u16 = 112;
const EHOSTUNREACH: u16 = 113;

impl Failure {
    /// Classifies the transition to `CLOSE`: `before` is the state that was left, `errno` the socket's error
    /// at that moment (0 for none), `sent_packets` how many segments it ever sent. An orderly close passes
    /// through `FIN_WAIT`, `LAST_ACK` or `CLOSING` without an error, and is no failure. UDP leaves [`State::Open`], with
    /// an error only where a host said that datagrams do not arrive.
    #[must_use]
    pub fn classify(before: State, errno: u16, sent_packets: u32) -> Option<Self> {
        let kind = match (errno, before) {
            (ECONNREFUSED, _) => FailureKind::Refused,
            (ECONNRESET | EPIPE, _) => FailureKind::Reset,
            (ETIMEDOUT, _) => FailureKind::TimedOut,
            (ENETUNREACH | EHOSTUNREACH | EHOSTDOWN, _) => FailureKind::Unreachable,
            (ECONNABORTED, _) => FailureKind::Aborted,
            // No port was left, or no route any more: connect() told its caller why, the socket never knew.
            (0, State::SynSent) if sent_packets == 0 => FailureKind::Unreachable,
            (0, State::SynSent) => FailureKind::Abandoned,
            (0, State::SynReceived | State::Established | State::CloseWait) => FailureKind::Aborted,
            (0, _) => return None,
            (_, State::Open | State::SynSent) => FailureKind::Unreachable,
            (_, _) => FailureKind::Aborted,
        };
        Some(Self { kind, errno: (errno != 0).then_some(errno) })
    }

    /// The kernel's name of the error number, such as `ECONNREFUSED`; absent for rare ones.
    #[must_use]
    pub fn errno_name(&self) -> Option<&'static str> {
        match self.errno? {
            EPIPE => Some("EPIPE"),
            ENETUNREACH => Some("ENETUNREACH"),
            ECONNABORTED => Some("ECONNABORTED"),
            ECONNRESET => Some("ECONNRESET"),
            ETIMEDOUT => Some("ETIMEDOUT"),
            ECONNREFUSED => Some("ECONNREFUSED"),
            EHOSTDOWN => Some("EHOSTDOWN"),
            EHOSTUNREACH => Some("EHOSTUNREACH"),
            _ => None,
        }
    }
}

impl FailureKind {
    /// The name in `snake_case`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            FailureKind::Refused => "refused",
            FailureKind::Reset => "reset",
            FailureKind::TimedOut => "timed_out",
            FailureKind::Unreachable => "unreachable",
            FailureKind::Aborted => "aborted",
            FailureKind::Abandoned => "abandoned",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STATES: [State; 10] = [
        State::Open,
        State::SynSent,
        State::SynReceived,
        State::Established,
        State::FinWait1,
        State::FinWait2,
        State::CloseWait,
        State::LastAck,
        State::Closing,
        State::Closed,
    ];

    fn kind(before: State, errno: u16) -> Option<FailureKind> {
        let failure = Failure::classify(before, errno, 1)?;
        assert_eq!(failure.errno, (errno != 0).then_some(errno));
        Some(failure.kind)
    }

    #[test]
    fn an_orderly_close_is_no_failure() {
        for before in [State::Open, State::FinWait1, State::FinWait2, State::LastAck, State::Closing] {
            assert_eq!(Failure::classify(before, 0, 1), None);
        }
    }

    #[test]
    fn an_error_number_tells_the_kind_in_every_state() {
        let kinds = [
            (ECONNREFUSED, FailureKind::Refused),
            (ECONNRESET, FailureKind::Reset),
            (EPIPE, FailureKind::Reset),
            (ETIMEDOUT, FailureKind::TimedOut),
            (ENETUNREACH, FailureKind::Unreachable),
            (EHOSTUNREACH, FailureKind::Unreachable),
            (EHOSTDOWN, FailureKind::Unreachable),
            (ECONNABORTED, FailureKind::Aborted),
        ];
        for (errno, expected) in kinds {
            for before in STATES {
                assert_eq!(kind(before, errno), Some(expected), "{before:?}");
            }
        }
    }

    #[test]
    fn a_rare_error_is_told_by_whether_the_connection_was_open() {
        const EACCES: u16 = 13;
        for before in STATES {
            let expected = match before {
                State::Open | State::SynSent => FailureKind::Unreachable,
                _ => FailureKind::Aborted,
            };
            assert_eq!(kind(before, EACCES), Some(expected), "{before:?}");
        }
    }

    #[test]
    fn an_end_without_error_or_close_came_from_this_end() {
        assert_eq!(kind(State::SynSent, 0), Some(FailureKind::Abandoned));
        for before in [State::SynReceived, State::Established, State::CloseWait] {
            assert_eq!(kind(before, 0), Some(FailureKind::Aborted));
        }
    }

    #[test]
    fn a_connect_that_sent_nothing_reached_nobody() {
        let failure = |errno| Failure::classify(State::SynSent, errno, 0);
        assert_eq!(failure(0), Some(Failure { kind: FailureKind::Unreachable, errno: None }));
        assert_eq!(
            failure(ECONNABORTED),
            Some(Failure { kind: FailureKind::Aborted, errno: Some(ECONNABORTED) })
        );
        assert_eq!(Failure::classify(State::FinWait2, 0, 0), None, "only while connecting");
    }

    #[test]
    fn the_error_numbers_that_tell_a_kind_have_names() {
        let name = |errno| Failure { kind: FailureKind::Aborted, errno }.errno_name();
        assert_eq!(name(Some(104)), Some("ECONNRESET"));
        assert_eq!((name(None), name(Some(13))), (None, None));
    }
}
