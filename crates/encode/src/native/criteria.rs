//! Which connections somebody wants listed, as text says it: the parameters of a listing, one after the other.
//!
//! What they mean for a connection is the business of `connections::Criteria`.

use std::net::IpAddr;
use std::ops::RangeInclusive;
use std::str::FromStr;

use connections::{ContainerId, Criteria, Direction, Protocol, State};
use ipnet::IpNet;

/// Why a parameter says nothing about connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum InvalidCriterion {
    /// There is none of this name.
    Unknown,
    /// The value is not one of those that it may have.
    Value {
        /// What it may be.
        allowed: String,
    },
}

/// The names of all criteria.
pub const CRITERIA_ALLOWED: &str = "protocol, state, direction, netns, pid, uid, command, container, port, local_port, remote_port, \
                                    cidr, local and remote";

const PROTOCOLS: [Protocol; 2] = [Protocol::Tcp, Protocol::Udp];
const DIRECTIONS: [Direction; 3] = [Direction::Unknown, Direction::Incoming, Direction::Outgoing];
/// What is live is not closed.
const STATES: [State; 9] = [
    State::Open,
    State::SynSent,
    State::SynReceived,
    State::Established,
    State::FinWait1,
    State::FinWait2,
    State::CloseWait,
    State::LastAck,
    State::Closing,
];

/// Adds to `criteria` what the parameter says.
///
/// # Errors
/// [`InvalidCriterion`].
pub fn read_criterion(name: &str, value: &str, criteria: &mut Criteria) -> Result<(), InvalidCriterion> {
    match name {
        "protocol" => criteria.protocol = Some(named(value, &PROTOCOLS, Protocol::name)?),
        "state" => criteria.state = Some(named(value, &STATES, State::name)?),
        "direction" => criteria.direction = Some(named(value, &DIRECTIONS, Direction::name)?),
        "netns" => criteria.netns = Some(number(value)?),
        "pid" => criteria.pid = Some(number(value)?),
        "uid" => criteria.uid = Some(number(value)?),
        "container" => criteria.container = Some(container(value)?),
        "command" => criteria.command = Some(value.to_owned()),
        "port" => criteria.port = Some(ports(value)?),
        "local_port" => criteria.local_port = Some(ports(value)?),
        "remote_port" => criteria.remote_port = Some(ports(value)?),
        "cidr" => criteria.address = Some(range(value)?),
        "local" => criteria.local = Some(range(value)?),
        "remote" => criteria.remote = Some(range(value)?),
        _ => return Err(InvalidCriterion::Unknown),
    }
    Ok(())
}

fn named<T: Copy>(value: &str, all: &[T], name: fn(T) -> &'static str) -> Result<T, InvalidCriterion> {
    all.iter().copied().find(|one| name(*one) == value).ok_or_else(|| {
        let names: Vec<_> = all.iter().map(|one| name(*one)).collect();
        InvalidCriterion::Value { allowed: names.join(", ") }
    })
}

fn number(value: &str) -> Result<u32, InvalidCriterion> {
    digits(value)
        .ok_or_else(|| InvalidCriterion::Value { allowed: format!("a decimal number up to {}", u32::MAX) })
}

fn container(value: &str) -> Result<ContainerId, InvalidCriterion> {
    ContainerId::parse(value)
        .ok_or_else(|| InvalidCriterion::Value { allowed: "a container id of 64 hexadecimal digits".into() })
}

/// One port, or a range of them.
fn ports(value: &str) -> Result<RangeInclusive<u16>, InvalidCriterion> {
    let (first, last) = value.split_once('-').unwrap_or((value, value));
    let range = digits(first).zip(digits(last)).filter(|(first, last)| first <= last);
    range.map(|(first, last)| first..=last).ok_or_else(|| InvalidCriterion::Value {
        allowed: "a port from 0 to 65535, or a range such as 8000-9000".into(),
    })
}

/// One address, or a range of them. Addresses of IPv6 that stand for one of IPv4 are that one.
fn range(value: &str) -> Result<IpNet, InvalidCriterion> {
    let address = || value.parse().ok().map(|address: IpAddr| IpNet::from(address.to_canonical()));
    let range = value.parse().ok().map(canonical).or_else(address);
    range.ok_or_else(|| InvalidCriterion::Value {
        allowed: "an address, or a range of them such as 10.0.0.0/8 or fd00::/8".into(),
    })
}

/// A range of mapped addresses is one of IPv4.
fn canonical(range: IpNet) -> IpNet {
    let IpNet::V6(v6) = range else { return range };
    let v4 = v6.addr().to_ipv4_mapped().zip(v6.prefix_len().checked_sub(96));
    v4.and_then(|(address, prefix)| IpNet::new(address.into(), prefix).ok()).unwrap_or(range)
}

/// Decimal digits and nothing else: no sign, no blank.
fn digits<T: FromStr>(text: &str) -> Option<T> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(name: &str, value: &str) -> Result<Criteria, InvalidCriterion> {
        let mut criteria = Criteria::default();
        read_criterion(name, value, &mut criteria).map(|()| criteria)
    }

    #[test]
    fn every_criterion_is_read_and_named_in_what_is_allowed() {
        let (none, id) = (Criteria::default(), "0123456789abcdef".repeat(4));
        for (name, value, criteria) in [
            ("protocol", "udp", Criteria { protocol: Some(Protocol::Udp), ..none.clone() }),
            ("state", "close_wait", Criteria { state: Some(State::CloseWait), ..none.clone() }),
            ("direction", "incoming", Criteria { direction: Some(Direction::Incoming), ..none.clone() }),
            ("netns", "4026531840", Criteria { netns: Some(4_026_531_840), ..none.clone() }),
            ("pid", "0", Criteria { pid: Some(0), ..none.clone() }),
            ("uid", "1000", Criteria { uid: Some(1000), ..none.clone() }),
            ("command", "a b", Criteria { command: Some("a b".into()), ..none.clone() }),
            ("container", &id, Criteria { container: ContainerId::parse(&id), ..none.clone() }),
            ("port", "443", Criteria { port: Some(443..=443), ..none.clone() }),
            ("local_port", "8000-9000", Criteria { local_port: Some(8000..=9000), ..none.clone() }),
            ("remote_port", "0-65535", Criteria { remote_port: Some(0..=65_535), ..none.clone() }),
            ("cidr", "10.0.0.0/8", Criteria { address: "10.0.0.0/8".parse().ok(), ..none.clone() }),
            ("local", "::ffff:10.0.0.1", Criteria { local: "10.0.0.1/32".parse().ok(), ..none.clone() }),
            ("cidr", "::ffff:10.0.0.0/104", Criteria { address: "10.0.0.0/8".parse().ok(), ..none.clone() }),
            ("cidr", "::/0", Criteria { address: "::/0".parse().ok(), ..none.clone() }),
            ("remote", "fe80::1", Criteria { remote: "fe80::1/128".parse().ok(), ..none }),
        ] {
            assert_eq!(read(name, value), Ok(criteria), "{name}={value}");
            assert!(CRITERIA_ALLOWED.contains(name), "{name}");
        }
    }

    #[test]
    fn what_means_nothing_is_refused_with_what_is_allowed() {
        assert_eq!(read("Port", "1"), Err(InvalidCriterion::Unknown));
        for (name, values, allowed) in [
            ("protocol", &["TCP", "", "icmp"][..], "tcp, udp"),
            ("container", &["", "0123456789ab"], "a container id of 64 hexadecimal digits"),
            ("direction", &["in"], "unknown, incoming, outgoing"),
            ("pid", &["-1", "+1", "", "4294967296", "1 "], "a decimal number up to 4294967295"),
            (
                "port",
                &["65536", "9-8", "1-", "-1", "", "1-2-3"],
                "a port from 0 to 65535, or a range such as 8000-9000",
            ),
            (
                "cidr",
                &["10.0.0.0/33", "10.0.0", "", "a", "::/129", "fe80::1%3"],
                "an address, or a range of them such as 10.0.0.0/8 or fd00::/8",
            ),
        ] {
            for value in values {
                let refused = InvalidCriterion::Value { allowed: allowed.into() };
                assert_eq!(read(name, value), Err(refused), "{name}={value}");
            }
        }
        assert!(matches!(read("state", "closed"), Err(InvalidCriterion::Value { .. })));
    }
}
