//! What happens to the host and to the clients, one step at a time.

#[derive(Debug, Clone, Copy)]
pub(crate) enum Step {
    /// Traffic on the connection of a socket; begins one if there is none. No reading sees it yet.
    Grow {
        socket: usize,
        sent: u32,
        received: u32,
    },
    /// If there is no connection on a socket, one is found that is older than the tracer.
    Adopt {
        socket: usize,
        sent: u32,
    },
    /// The other end closes its half; of UDP, its host says that nobody listens.
    HalfClose(usize),
    /// A reading.
    Read(usize),
    /// A reading that says less than the one before.
    Backwards(usize),
    /// A reading of the connection that ended last on a socket.
    Late(usize),
    /// A pass that does not read this socket.
    Miss(usize),
    /// The kernel side adds connections up.
    RollUp {
        connections: u8,
        sent: u32,
    },
    /// The connection ends with a final record.
    Close(usize),
    /// Traffic on every socket, and a reading of it.
    Fill {
        sent: u32,
    },
    /// The connections of all sockets end.
    Clear,
    /// Connections come and go on one socket, one after the other; the last one stays.
    Crowd {
        socket: usize,
        connections: u8,
    },
    /// The connection ends without one: three passes in a row read all others.
    Vanish(usize),
    Register {
        reader: usize,
        asks: bool,
    },
    Remove(usize),
    /// A poll begins; no pass answers it yet.
    Begin {
        reader: usize,
        after: After,
    },
    /// A poll begins, and is answered.
    Poll {
        reader: usize,
        after: After,
    },
    /// The poll in flight is answered.
    Answer(usize),
    /// The poll in flight ends.
    End {
        reader: usize,
        delivered: bool,
    },
    /// Old tickets come again.
    Replay {
        reader: usize,
        delivered: bool,
    },
    Wait(u64),
}

/// What a poll says that its client has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum After {
    /// Nothing: it acknowledges itself.
    Itself,
    Pending,
    Acknowledged,
    /// This number, whatever it is.
    Number(u64),
}

impl Step {
    /// The client that takes this step; absent for what happens to the host.
    pub(crate) fn reader(self) -> Option<usize> {
        match self {
            Step::Register { reader, .. } | Step::Remove(reader) | Step::Answer(reader) => Some(reader),
            Step::Begin { reader, .. } | Step::Poll { reader, .. } => Some(reader),
            Step::End { reader, .. } | Step::Replay { reader, .. } => Some(reader),
            Step::Grow { .. } | Step::HalfClose(_) | Step::Read(_) | Step::Backwards(_) => None,
            Step::Late(_) | Step::Miss(_) | Step::RollUp { .. } => None,
            Step::Close(_) | Step::Vanish(_) | Step::Wait(_) => None,
            Step::Adopt { .. } | Step::Fill { .. } | Step::Clear | Step::Crowd { .. } => None,
        }
    }
}
