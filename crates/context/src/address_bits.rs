//! Addresses as keys: as a number, which is smaller, hashed and compared faster than an address of either family.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// The upper bits of an IPv4 address that is mapped into IPv6.
const MAPPED: u128 = 0xffff << 32;

/// The bits of an address, IPv4 mapped into IPv6. Scopes are not in them.
pub(crate) fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(v4) => MAPPED | u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

/// True of the bits of an IPv4 address.
pub(crate) fn is_ipv4(bits: u128) -> bool {
    bits >> 32 == MAPPED >> 32
}

/// True of the bits of `224.0.0.0/4` and `ff00::/8`.
pub(crate) fn is_multicast(bits: u128) -> bool {
    bits >> 28 == MAPPED >> 28 | 0xe || bits >> 120 == 0xff
}

/// True of the bits of `0.0.0.0` and `::`.
pub(crate) fn is_unspecified(bits: u128) -> bool {
    bits == 0 || bits == MAPPED
}

/// True of the bits of `127.0.0.0/8` and `::1`.
pub(crate) fn is_loopback(bits: u128) -> bool {
    bits == 1 || bits >> 24 == MAPPED >> 24 | 127
}

/// True of a connection between the addresses with these bits when nothing of it leaves its network namespace:
/// [`connections::Tuple::stays_inside`].
pub(crate) fn stays_inside(local: u128, remote: u128) -> bool {
    local == remote && !is_unspecified(remote) || is_loopback(local) && is_loopback(remote)
}

/// The address with these bits; a mapped one is IPv4.
pub(crate) fn address(bits: u128) -> IpAddr {
    match u32::try_from(bits ^ MAPPED) {
        Ok(v4) => Ipv4Addr::from_bits(v4).into(),
        Err(_) => Ipv6Addr::from_bits(bits).into(),
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use connections::{Protocol, Tuple};

    use super::*;

    #[test]
    fn bits_say_what_the_address_says() {
        for text in [
            "0.0.0.0",
            "::",
            "127.0.0.1",
            "127.9.9.9",
            "::1",
            "128.0.0.1",
            "126.255.255.255",
            "::2",
            "0.0.0.1",
            "224.0.0.1",
            "239.255.255.255",
            "223.255.255.255",
            "240.0.0.0",
            "ff02::1",
            "fe80::1",
        ] {
            let ip: IpAddr = text.parse().expect("a test address");
            let known = (is_unspecified(bits(ip)), is_loopback(bits(ip)), address(bits(ip)));
            assert_eq!(known, (ip.is_unspecified(), ip.is_loopback(), ip), "{text}");
            assert_eq!(
                (is_ipv4(bits(ip)), is_multicast(bits(ip))),
                (ip.is_ipv4(), ip.is_multicast()),
                "{text}"
            );
        }
        let ends = ["0.0.0.0", "127.0.0.1", "127.0.0.2", "10.0.0.1", "::1", "::", "fd00::1"];
        let ends = ends.map(|text| SocketAddr::new(text.parse().expect("a test address"), 1));
        for (local, remote) in ends.iter().flat_map(|local| ends.map(|remote| (*local, remote))) {
            let tuple = Tuple::canonical(Protocol::Tcp, 1, local, remote);
            assert_eq!(stays_inside(bits(local.ip()), bits(remote.ip())), tuple.stays_inside(), "{tuple:?}");
        }
        let mapped: Ipv6Addr = "::ffff:10.0.0.1".parse().expect("a test address");
        assert_eq!(bits(mapped.into()), bits(mapped.to_canonical()), "the same address");
    }
}
