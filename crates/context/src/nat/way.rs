//! One direction of a tracked connection, and the two that make a translation: as compact as the table keeps them.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, SocketAddr};

use connections::{Nat, Protocol};

use crate::address_bits;
use crate::batch::Question;

/// Where packets of one direction come from and go to. IPv4 addresses are mapped into IPv6; scopes are not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Way {
    pub(crate) source: [u8; 16],
    pub(crate) destination: [u8; 16],
    pub(crate) source_port: u16,
    pub(crate) destination_port: u16,
}

/// A tracked connection: its first direction, and the other one, whose packets are translated back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Translation {
    pub(crate) protocol: Protocol,
    /// Number of the zone of connection tracking, 0 where there are none.
    pub(crate) zone: u16,
    pub(crate) original: Way,
    pub(crate) reply: Way,
}

impl Way {
    /// The way of what the local end of the connection sends.
    pub(crate) fn leaving(question: &Question<'_>) -> Self {
        Self {
            source: question.local.to_be_bytes(),
            destination: question.remote.to_be_bytes(),
            source_port: question.local_port,
            destination_port: question.remote_port,
        }
    }

    pub(crate) fn source(&self) -> SocketAddr {
        SocketAddr::new(address(self.source), self.source_port)
    }

    pub(crate) fn destination(&self) -> SocketAddr {
        SocketAddr::new(address(self.destination), self.destination_port)
    }

    /// What the end knows that sends this way back.
    pub(crate) fn arriving(&self) -> Nat {
        Nat { remote: self.source(), local: self.destination() }
    }

    fn is_reverse_of(&self, other: &Self) -> bool {
        (self.source, self.source_port) == (other.destination, other.destination_port)
            && (self.destination, self.destination_port) == (other.source, other.source_port)
    }
}

/// In few words: arrays would be hashed byte by byte.
impl Hash for Way {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(u128::from_be_bytes(self.source));
        state.write_u128(u128::from_be_bytes(self.destination));
        state.write_u32(u32::from(self.source_port) << 16 | u32::from(self.destination_port));
    }
}

impl Translation {
    /// False when what comes back is what one would expect.
    pub(crate) fn translates(&self) -> bool {
        !self.reply.is_reverse_of(&self.original)
    }
}

fn address(octets: [u8; 16]) -> IpAddr {
    address_bits::address(u128::from_be_bytes(octets))
}
