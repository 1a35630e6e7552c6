//! What the kernel knows about a connection beyond its counters, by protocol: the newest reading, never a sum.

use crate::tcp::TcpFacts;

/// Facts of the last reading.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Facts {
    /// Of TCP.
    Tcp(TcpFacts),
    /// Of UDP.
    Udp(UdpFacts),
}

/// Facts of UDP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct UdpFacts {
    /// False where nothing counts datagrams: then bytes and packets stay 0 without meaning it.
    pub counted: bool,
    /// Datagrams that the receive queue of the socket refused since it was opened, of all its peers. They count as
    /// received all the same.
    pub drops: u64,
    /// True when both ends have sent, and the one that began has sent again.
    pub assured: bool,
}

impl Default for UdpFacts {
    fn default() -> Self {
        Self { counted: true, drops: 0, assured: false }
    }
}

/// Which counters of a connection mean something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counted {
    /// Bytes and packets.
    pub traffic: bool,
    /// Those of TCP alone.
    pub tcp: bool,
    /// Of those the retransmission time-outs and the recoveries from them.
    pub rtos: bool,
}

impl Facts {
    /// Which counters mean something.
    #[must_use]
    pub fn counted(&self) -> Counted {
        match self {
            Facts::Tcp(facts) => Counted { traffic: true, tcp: true, rtos: facts.counts_rtos },
            Facts::Udp(facts) => Counted { traffic: facts.counted, tcp: false, rtos: false },
        }
    }

    /// Those of TCP; absent for other protocols.
    #[must_use]
    pub fn tcp(&self) -> Option<TcpFacts> {
        match self {
            Facts::Tcp(facts) => Some(*facts),
            Facts::Udp(_) => None,
        }
    }

    /// Those of UDP; absent for other protocols.
    #[must_use]
    pub fn udp(&self) -> Option<UdpFacts> {
        match self {
            Facts::Udp(facts) => Some(*facts),
            Facts::Tcp(_) => None,
        }
    }

    /// The facts after a further reading. What only grows stays where the reading could not tell it any more, because
    /// the socket is gone.
    pub(crate) fn renewed(self, newer: Self) -> Self {
        match (self, newer) {
            (Facts::Udp(known), Facts::Udp(newer)) => Facts::Udp(UdpFacts {
                counted: known.counted || newer.counted,
                drops: known.drops.max(newer.drops),
                assured: known.assured || newer.assured,
            }),
            (_, newer) => newer,
        }
    }
}
