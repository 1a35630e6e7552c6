//! By what routes are looked for, and what the kernel is asked of it.
//!
//! Owns which questions have no answer, and which are alike to the kernel. Remembers nothing.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use connections::Tuple;

use crate::address_bits::{address, bits, is_ipv4, is_loopback, is_multicast, is_unspecified};
use crate::batch::Question;

/// What is looked for, and what the kernel is asked for it. Addresses are bits, IPv4 mapped into IPv6. The source is unspecified
/// where it is not known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) source: u128,
    pub(super) destination: u128,
    pub(super) netns: u32,
    /// The link that link-local addresses are of, otherwise 0.
    pub(super) scope: u32,
}

impl Key {
    /// To no address.
    pub(super) const NOWHERE: Self = Self { source: 0, destination: 0, netns: 0, scope: 0 };

    /// From one end to the other.
    pub(super) fn of(netns: u32, source: SocketAddr, destination: SocketAddr) -> Self {
        let scope = scope(&source, &destination);
        Self { netns, scope, source: bits(source.ip()), destination: bits(destination.ip()) }
    }

    /// [`of`](Self::of) a connection, from its local to its remote end.
    pub(super) fn to_remote(question: &Question<'_>) -> Self {
        let Question { netns, local: source, remote: destination, .. } = *question;
        let Tuple { local, remote, .. } = &question.connection.tuple;
        Self { netns, scope: scope(local, remote), source, destination }
    }

    /// What the kernel is asked for it. `None` where there can be no answer: an address is none, or of another family, or of a
    /// link that is not known.
    pub(super) fn asked(self) -> Option<Self> {
        let Self { source: from, destination: to, netns, scope } = self;
        if is_unspecified(to) || is_ipv4(from) != is_ipv4(to) {
            return None;
        }
        if is_loopback(to) {
            let any = bits(Ipv4Addr::LOCALHOST.into());
            return Some(Self { netns, scope: 0, source: any, destination: any });
        }
        let scope = match address(to) {
            IpAddr::V6(v6) if v6.is_unicast_link_local() || v6.is_multicast() => {
                Some(scope).filter(|scope| *scope != 0)?
            }
            _ => 0,
        };
        // What was sent to a group is answered from an address that the kernel chooses.
        let from = if is_multicast(from) { unspecified(to) } else { from };
        Some(Self { netns, scope, source: from, destination: to })
    }
}

/// In few words: it would be hashed number by number.
impl Hash for Key {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from(self.netns) << 32 | u64::from(self.scope));
        state.write_u128(self.source);
        state.write_u128(self.destination);
    }
}

fn unspecified(like: u128) -> u128 {
    bits(if is_ipv4(like) { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() })
}

/// The link that the destination is of, which is known from either end.
fn scope(source: &SocketAddr, destination: &SocketAddr) -> u32 {
    match (source, destination) {
        (_, SocketAddr::V6(to)) if to.scope_id() != 0 => to.scope_id(),
        (SocketAddr::V6(from), SocketAddr::V6(_)) => from.scope_id(),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use connections::{Connection, Direction, Protocol};

    use super::*;
    use crate::fixtures::connection;

    #[test]
    fn a_connection_asks_for_the_way_between_its_ends() {
        let ends =
            ["0.0.0.0:1", "10.0.0.1:1", "127.0.0.1:1", "[2001:db8::1]:1", "[fe80::1%3]:1", "[ff02::1]:1"];
        let ends = ends.map(|text| text.parse().expect("a test address"));
        for (local, remote) in ends.iter().flat_map(|local| ends.map(|remote| (*local, remote))) {
            let tuple = Tuple::canonical(Protocol::Udp, 7, local, remote);
            let connection =
                Connection { tuple, ..connection(7, "10.0.0.1:1", "10.0.0.2:1", Direction::Unknown, None) };
            assert_eq!(Key::to_remote(&Question::of(&connection)), Key::of(7, tuple.local, tuple.remote));
        }
    }

    #[test]
    fn what_has_no_answer_is_not_asked_and_all_of_the_loopback_interface_is_alike() {
        let asked = |source: &str, destination: &str| {
            let [source, destination] =
                [source, destination].map(|text| text.parse().expect("a test address"));
            let Key { source, destination, scope, .. } = Key::of(7, source, destination).asked()?;
            Some((address(source).to_string(), address(destination).to_string(), scope))
        };
        let answer =
            |source: &str, destination: &str, scope| Some((source.into(), destination.into(), scope));
        for (source, destination) in [
            ("10.0.0.1:1", "0.0.0.0:1"),
            ("[2001:db8::1]:1", "[::]:1"),
            ("10.0.0.1:1", "[2001:db8::1]:1"),
            ("[fe80::1]:1", "[fe80::2]:1"),
        ] {
            assert_eq!(asked(source, destination), None, "{source} {destination}");
        }
        for (source, destination) in [("127.0.0.1:1", "127.3.4.5:1"), ("[::1]:1", "[::1]:1")] {
            assert_eq!(asked(source, destination), answer("127.0.0.1", "127.0.0.1", 0), "{destination}");
        }
        assert_eq!(asked("[fe80::1%3]:1", "[fe80::2]:1"), answer("fe80::1", "fe80::2", 3));
        assert_eq!(asked("[fe80::1%3]:1", "[fe80::2%4]:1"), answer("fe80::1", "fe80::2", 4));
        assert_eq!(asked("[fe80::1%3]:1", "[2001:db8::1]:1"), answer("fe80::1", "2001:db8::1", 0));
        assert_eq!(asked("224.0.0.1:1", "10.0.0.1:1"), answer("0.0.0.0", "10.0.0.1", 0));
        assert_eq!(asked("[ff02::1%3]:1", "[fe80::2]:1"), answer("::", "fe80::2", 3));
    }
}
