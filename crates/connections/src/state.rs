//! The state of a connection, for TCP as the kernel names it.

/// State of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum State {
    /// A UDP connection that has not ended: UDP has no states.
    Open,
    /// `SYN_SENT`: connecting.
    SynSent,
    /// `SYN_RECV`: being accepted.
    SynReceived,
    /// Both ends can send.
    Established,
    /// Closed by this end; the close is not acknowledged yet.
    FinWait1,
    /// Closed by this end; the other can still send.
    FinWait2,
    /// Closed by the other end; this one can still send.
    CloseWait,
    /// Closed by the other end, then by this one.
    LastAck,
    /// Both closed at once.
    Closing,
    /// Ended. What the kernel keeps in `TIME_WAIT` is ended too: its socket is gone.
    Closed,
}

impl State {
    /// The name in `snake_case`, as the kernel's documentation has it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Open => "open",
            State::SynSent => "syn_sent",
            State::SynReceived => "syn_received",
            State::Established => "established",
            State::FinWait1 => "fin_wait1",
            State::FinWait2 => "fin_wait2",
            State::CloseWait => "close_wait",
            State::LastAck => "last_ack",
            State::Closing => "closing",
            State::Closed => "closed",
        }
    }
}
