//! Which end of a connection opened it.

/// Which end opened the connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Direction {
    /// Not known.
    Unknown,
    /// The other end connected to this one.
    Incoming,
    /// This end connected.
    Outgoing,
}

impl Direction {
    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Direction::Unknown => "unknown",
            Direction::Incoming => "incoming",
            Direction::Outgoing => "outgoing",
        }
    }
}
