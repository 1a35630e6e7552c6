//! Who talks to whom: protocol, both ends, and the network namespace in which the addresses hold.

use std::net::{IpAddr, SocketAddr};

/// The transport protocol of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Protocol {
    /// TCP over IPv4 or IPv6.
    Tcp,
    /// UDP over IPv4 or IPv6: all datagrams between a socket and one other end.
    Udp,
}

impl Protocol {
    /// The name in lower case.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Tcp => "tcp",
            Protocol::Udp => "udp",
        }
    }
}

/// The ends of a connection, seen from this host.
///
/// An IPv4-mapped IPv6 address is stored as IPv4. A link-local IPv6 address keeps the interface index that
/// gives it meaning as its scope id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tuple {
    /// Transport protocol.
    pub protocol: Protocol,
    /// Inode number of the network namespace of the socket.
    pub netns: u32,
    /// The end on this host.
    pub local: SocketAddr,
    /// The other end.
    pub remote: SocketAddr,
}

impl Tuple {
    /// Builds a tuple in its canonical form: mapped addresses become IPv4, and a scope stays only where the
    /// address is link-local.
    #[must_use]
    pub fn canonical(protocol: Protocol, netns: u32, local: SocketAddr, remote: SocketAddr) -> Self {
        Self { protocol, netns, local: canonical_end(local), remote: canonical_end(remote) }
    }

    /// True when the addresses alone say that nothing of the connection leaves its network namespace.
    #[must_use]
    pub fn stays_inside(&self) -> bool {
        let (local, remote) = (self.local.ip(), self.remote.ip());
        let loopback = local.is_loopback() && remote.is_loopback();
        loopback || (local == remote && !remote.is_unspecified())
    }

    /// True when both ends are IPv4.
    #[must_use]
    pub fn is_ipv4(&self) -> bool {
        self.local.is_ipv4() && self.remote.is_ipv4()
    }
}

fn canonical_end(end: SocketAddr) -> SocketAddr {
    let SocketAddr::V6(mut v6) = end else { return end };
    if let Some(v4) = v6.ip().to_ipv4_mapped() {
        return SocketAddr::new(IpAddr::V4(v4), v6.port());
    }
    if !v6.ip().is_unicast_link_local() {
        v6.set_scope_id(0);
    }
    SocketAddr::V6(v6)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tuple(local: &str, remote: &str) -> Tuple {
        let parse = |text: &str| text.parse().expect("a test address");
        Tuple::canonical(Protocol::Tcp, 1, parse(local), parse(remote))
    }

    #[test]
    fn ipv4_mapped_addresses_become_ipv4() {
        let mapped = tuple("[::ffff:10.0.0.1]:80", "[::ffff:10.0.0.2]:4000");
        assert_eq!(mapped, tuple("10.0.0.1:80", "10.0.0.2:4000"));
        assert!(mapped.is_ipv4());
    }

    #[test]
    fn only_link_local_addresses_keep_their_scope() {
        let scoped = tuple("[fe80::1%3]:80", "[2001:db8::1%3]:81");
        assert_eq!(scoped.local.to_string(), "[fe80::1%3]:80");
        assert_eq!(scoped.remote.to_string(), "[2001:db8::1]:81");
    }

    #[test]
    fn loopback_and_equal_addresses_stay_inside() {
        for (local, remote, inside) in [
            ("127.0.0.1:1", "127.0.0.53:53", true),
            ("[::1]:1", "[::1]:2", true),
            ("10.0.0.1:1", "10.0.0.1:2", true),
            ("127.0.0.1:1", "10.0.0.1:2", false),
            ("0.0.0.0:1", "0.0.0.0:2", false),
        ] {
            assert_eq!(tuple(local, remote).stays_inside(), inside, "{local} {remote}");
        }
    }
}
