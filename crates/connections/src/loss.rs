//! What was lost, by cause.

/// An amount that was lost.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Loss {
    /// Connections of which something was lost.
    pub connections: u64,
    /// Payload bytes, both ways, that were not told.
    pub bytes: u64,
}

/// All losses, by cause, as totals since tracing began.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Losses {
    /// Connections in roll-ups of the kernel side that cannot be told, because an older connection is in them
    /// of which it is not known what was before tracing. Both it and the others are counted.
    pub ring_full: Loss,
    /// Connections that left the kernel without a final record: what they carried after their last reading
    /// is unknown, so `bytes` stays 0.
    pub close_not_seen: Loss,
    /// Closed connections that a client did not fetch before the log was full.
    pub closed_log_full: Loss,
}

impl Loss {
    /// The difference to an earlier total.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            connections: self.connections.saturating_sub(earlier.connections),
            bytes: self.bytes.saturating_sub(earlier.bytes),
        }
    }

    /// The sum with another loss.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            connections: self.connections.saturating_add(other.connections),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    /// Adds one connection and its bytes.
    pub fn add(&mut self, bytes: u64) {
        *self = self.plus(Self { connections: 1, bytes });
    }
}

impl Losses {
    /// Every cause with its name and amount.
    #[must_use]
    pub fn by_cause(&self) -> [(&'static str, Loss); 3] {
        let Self { ring_full, close_not_seen, closed_log_full } = *self;
        [("ring_full", ring_full), ("close_not_seen", close_not_seen), ("closed_log_full", closed_log_full)]
    }

    /// The difference to earlier totals.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            ring_full: self.ring_full.since(earlier.ring_full),
            close_not_seen: self.close_not_seen.since(earlier.close_not_seen),
            closed_log_full: self.closed_log_full.since(earlier.closed_log_full),
        }
    }
}
