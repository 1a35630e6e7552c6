//! A name of a connection that both of its hosts compute alike, whatever translates addresses between them.

use std::fmt;

use crate::direction::Direction;

/// The two initial sequence numbers of a connection: the opener's in the upper half.
///
/// Address translation and load balancers that forward packets keep sequence numbers; proxies end the
/// connection and SYN proxies change them. 64 random bits: among a million connections that live at once, two
/// share an id with a probability of 3 in 100 million.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GlobalId(pub u64);

impl GlobalId {
    /// The id from this end's and the other end's initial sequence number; absent while it is unknown which
    /// end opened the connection.
    #[must_use]
    pub fn of(direction: Direction, local_isn: u32, remote_isn: u32) -> Option<Self> {
        let (opener, acceptor) = match direction {
            Direction::Outgoing => (local_isn, remote_isn),
            Direction::Incoming => (remote_isn, local_isn),
            Direction::Unknown => return None,
        };
        Some(Self(u64::from(opener) << 32 | u64::from(acceptor)))
    }
}

impl fmt::Display for GlobalId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_ends_compute_the_same_id() {
        let opener = GlobalId::of(Direction::Outgoing, 1, 2);
        assert_eq!(opener, GlobalId::of(Direction::Incoming, 2, 1));
        assert_eq!(opener.map(|id| id.to_string()).as_deref(), Some("0000000100000002"));
        assert_eq!(GlobalId::of(Direction::Unknown, 1, 2), None);
    }
}
