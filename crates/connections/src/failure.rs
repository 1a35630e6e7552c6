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
    /// The network or host could not be reached.
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
    /// at that moment (0 for none). An orderly close passes through `FIN_WAIT`, `LAST_ACK` or `CLOSING`
    /// without an error, and is no failure.
    #[must_use]
    pub fn classify(before: State, errno: u16) -> Option<Self> {
        let kind = match (errno, before) {
            (ECONNREFUSED, _) => FailureKind::Refused,
            (ECONNRESET | EPIPE, _) => FailureKind::Reset,
            (ETIMEDOUT, _) => FailureKind::TimedOut,
            (ENETUNREACH | EHOSTUNREACH | EHOSTDOWN, _) => FailureKind::Unreachable,
            (ECONNABORTED, _) => FailureKind::Aborted,
            (0, State::SynSent) => FailureKind::Abandoned,
            (0, State::SynReceived | State::Established | State::CloseWait) => FailureKind::Aborted,
            (0, _) => return None,
            (_, State::SynSent) => FailureKind::Unreachable,
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

    #[test]
    fn an_orderly_close_is_no_failure() {
        for before in [State::FinWait1, State::FinWait2, State::LastAck, State::Closing] {
            assert_eq!(Failure::classify(before, 0), None);
        }
    }

    #[test]
    fn each_way_to_fail_has_its_kind() {
        let kind = |before, errno| Failure::classify(before, errno).map(|failure| failure.kind);
        assert_eq!(kind(State::SynSent, 111), Some(FailureKind::Refused));
        assert_eq!(kind(State::Established, 104), Some(FailureKind::Reset));
        assert_eq!(kind(State::CloseWait, 32), Some(FailureKind::Reset));
        assert_eq!(kind(State::Established, 110), Some(FailureKind::TimedOut));
        assert_eq!(kind(State::SynSent, 113), Some(FailureKind::Unreachable));
        assert_eq!(kind(State::Established, 0), Some(FailureKind::Aborted));
        assert_eq!(kind(State::Established, 103), Some(FailureKind::Aborted));
        assert_eq!(kind(State::SynSent, 0), Some(FailureKind::Abandoned));
    }
}
