//! Questions to rtnetlink, and what is read of its answers.
//!
//! Of an answer only the attributes are looked at that are needed: those of other kernels may have any length. Nothing is
//! trusted: odd bytes are no answer.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use connections::{Interface, InterfaceName};
use netlink_packet_core::{
    NLM_F_REQUEST, NLMSG_ALIGNTO, NLMSG_ERROR, NetlinkBuffer, NetlinkMessage, NlaBuffer, NlasIterator,
};
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::route::{RouteAddress, RouteAttribute, RouteMessage};
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};

const RTM_NEWLINK: u16 = 16;
const RTM_NEWROUTE: u16 = 24;

/// Length of `struct rtmsg`, and where its type is.
const ROUTE_HEADER: usize = 12;
const ROUTE_TYPE: usize = 7;
/// The types of routes by which packets leave or arrive; those that follow refuse them.
const RTN_UNICAST: u8 = 1;
const RTN_MULTICAST: u8 = 5;

const RTA_OIF: u16 = 4;
const RTA_GATEWAY: u16 = 5;
const RTA_VIA: u16 = 18;

/// Length of `struct ifinfomsg`, and where its type and its index are.
const LINK_HEADER: usize = 16;
const LINK_TYPE: std::ops::Range<usize> = 2..4;
const LINK_INDEX: std::ops::Range<usize> = 4..8;
const ARPHRD_ETHER: u16 = 1;

const IFLA_ADDRESS: u16 = 1;
const IFLA_IFNAME: u16 = 3;

/// What the kernel says of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Hop {
    pub(super) gateway: Option<IpAddr>,
    /// Number of the interface.
    pub(super) interface: u32,
}

/// What the kernel says to a question: that, or that there is none, or what nobody can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer<T> {
    Is(T),
    None,
    Unreadable,
}

/// Asks by which way a packet would leave. A scope of 0 is none.
pub(super) fn route_question(
    sequence: u32,
    source: Option<IpAddr>,
    destination: IpAddr,
    scope: u32,
) -> Vec<u8> {
    let mut message = RouteMessage::default();
    message.header.address_family = match destination {
        IpAddr::V4(_) => AddressFamily::Inet,
        IpAddr::V6(_) => AddressFamily::Inet6,
    };
    message.header.destination_prefix_length = bits(destination);
    message.attributes.push(RouteAttribute::Destination(address(destination)));
    if let Some(source) = source {
        message.header.source_prefix_length = bits(source);
        message.attributes.push(RouteAttribute::Source(address(source)));
    }
    if scope != 0 {
        message.attributes.push(RouteAttribute::Oif(scope));
    }
    question(sequence, RouteNetlinkMessage::GetRoute(message))
}

/// Asks for the interface with this number.
pub(super) fn interface_question(sequence: u32, index: u32) -> Vec<u8> {
    let mut message = LinkMessage::default();
    message.header.index = index;
    question(sequence, RouteNetlinkMessage::GetLink(message))
}

fn question(sequence: u32, message: RouteNetlinkMessage) -> Vec<u8> {
    let mut message = NetlinkMessage::from(message);
    message.header.flags = NLM_F_REQUEST;
    message.header.sequence_number = sequence;
    message.finalize();
    let mut bytes = vec![0; message.buffer_len()];
    message.serialize(&mut bytes);
    bytes
}

/// The answer to the question of this number; `None` where it is not among these messages.
pub(super) fn route_answer(bytes: &[u8], sequence: u32) -> Option<Answer<Hop>> {
    answer(bytes, sequence, RTM_NEWROUTE, hop)
}

/// As [`route_answer`].
pub(super) fn interface_answer(bytes: &[u8], sequence: u32) -> Option<Answer<Interface>> {
    answer(bytes, sequence, RTM_NEWLINK, |payload| match interface(payload) {
        Some(interface) => Answer::Is(interface),
        None => Answer::Unreadable,
    })
}

fn answer<T>(
    bytes: &[u8],
    sequence: u32,
    expected: u16,
    read: impl FnOnce(&[u8]) -> Answer<T>,
) -> Option<Answer<T>> {
    let mut rest = bytes;
    while let Ok(message) = NetlinkBuffer::new_checked(rest) {
        if message.sequence_number() == sequence {
            return Some(match message.message_type() {
                kind if kind == expected => read(message.payload()),
                NLMSG_ERROR => Answer::None,
                _ => Answer::Unreadable,
            });
        }
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
        rest = rest.get(length.checked_next_multiple_of(NLMSG_ALIGNTO.into())?..)?;
    }
    None
}

fn hop(payload: &[u8]) -> Answer<Hop> {
    match payload.get(ROUTE_TYPE) {
        Some(RTN_UNICAST..=RTN_MULTICAST) => {}
        Some(_) => return Answer::None,
        None => return Answer::Unreadable,
    }
    let (mut gateway, mut interface) = (None, None);
    for attribute in attributes(payload, ROUTE_HEADER) {
        match attribute.kind() {
            RTA_OIF => interface = u32_of(attribute.value()),
            RTA_GATEWAY => gateway = ip(attribute.value()),
            // Of IPv4 over a router of IPv6: two bytes of family before the address.
            RTA_VIA => gateway = attribute.value().get(2..).and_then(ip),
            _ => {}
        }
    }
    match interface {
        Some(interface) => Answer::Is(Hop { gateway, interface }),
        None => Answer::Unreadable,
    }
}

fn interface(payload: &[u8]) -> Option<Interface> {
    let link_type = u16::from_ne_bytes(payload.get(LINK_TYPE)?.try_into().ok()?);
    let index = u32_of(payload.get(LINK_INDEX)?)?;
    let (mut name, mut hardware_address) = (None, None);
    for attribute in attributes(payload, LINK_HEADER) {
        match attribute.kind() {
            IFLA_IFNAME => name = InterfaceName::of(attribute.value()),
            IFLA_ADDRESS if link_type == ARPHRD_ETHER => {
                hardware_address = attribute.value().try_into().ok();
            }
            _ => {}
        }
    }
    Some(Interface { index, name: name?, hardware_address })
}

fn attributes(payload: &[u8], header: usize) -> impl Iterator<Item = NlaBuffer<&[u8]>> {
    NlasIterator::new(payload.get(header..).unwrap_or_default()).map_while(Result::ok)
}

fn ip(value: &[u8]) -> Option<IpAddr> {
    let v4 = <[u8; 4]>::try_from(value).map(|bytes| Ipv4Addr::from(bytes).into());
    v4.or_else(|_| <[u8; 16]>::try_from(value).map(|bytes| Ipv6Addr::from(bytes).into())).ok()
}

fn u32_of(value: &[u8]) -> Option<u32> {
    value.try_into().ok().map(u32::from_ne_bytes)
}

fn address(ip: IpAddr) -> RouteAddress {
    match ip {
        IpAddr::V4(v4) => RouteAddress::Inet(v4),
        IpAddr::V6(v6) => RouteAddress::Inet6(v6),
    }
}

fn bits(ip: IpAddr) -> u8 {
    if ip.is_ipv4() { 32 } else { 128 }
}

#[cfg(test)]
mod tests {
    use netlink_packet_core::ErrorMessage;
    use netlink_packet_core::NetlinkPayload;
    use netlink_packet_route::link::{LinkAttribute, LinkLayerType};
    use netlink_packet_route::route::{RouteType, RouteVia};
    use proptest::prelude::*;

    use super::*;

    /// As a kernel writes it.
    fn message(sequence: u32, payload: impl Into<NetlinkPayload<RouteNetlinkMessage>>) -> Vec<u8> {
        let mut message = NetlinkMessage::new(netlink_packet_core::NetlinkHeader::default(), payload.into());
        message.header.sequence_number = sequence;
        message.finalize();
        let mut bytes = vec![0; message.buffer_len()];
        message.serialize(&mut bytes);
        bytes
    }

    fn route(kind: RouteType, attributes: Vec<RouteAttribute>) -> Vec<u8> {
        let mut route = RouteMessage::default();
        (route.header.kind, route.attributes) = (kind, attributes);
        message(7, RouteNetlinkMessage::NewRoute(route))
    }

    fn link(layer: LinkLayerType, attributes: Vec<LinkAttribute>) -> Vec<u8> {
        let mut link = LinkMessage::default();
        (link.header.index, link.header.link_layer_type, link.attributes) = (3, layer, attributes);
        message(7, RouteNetlinkMessage::NewLink(link))
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("a test address")
    }

    #[test]
    fn a_route_has_an_interface_and_perhaps_a_gateway_of_any_family() {
        let is = |gateway: Option<&str>| Some(Answer::Is(Hop { gateway: gateway.map(ip), interface: 2 }));
        let oif = || RouteAttribute::Oif(2);
        assert_eq!(route_answer(&route(RouteType::Unicast, vec![oif()]), 7), is(None));
        let gateway = RouteAttribute::Gateway(address(ip("10.0.0.1")));
        assert_eq!(route_answer(&route(RouteType::Unicast, vec![gateway, oif()]), 7), is(Some("10.0.0.1")));
        let via = RouteAttribute::Via(RouteVia::Inet6("fd00::1".parse().expect("an address")));
        assert_eq!(route_answer(&route(RouteType::Unicast, vec![oif(), via]), 7), is(Some("fd00::1")));
    }

    #[test]
    fn a_route_that_refuses_is_none_and_one_without_an_interface_cannot_be_read() {
        let oif = || vec![RouteAttribute::Oif(2)];
        for kind in [RouteType::BlackHole, RouteType::Unreachable, RouteType::Prohibit, RouteType::Throw] {
            assert_eq!(route_answer(&route(kind, oif()), 7), Some(Answer::None));
        }
        assert_eq!(route_answer(&route(RouteType::Unicast, vec![]), 7), Some(Answer::Unreadable));
        let refused = message(7, NetlinkPayload::Error(ErrorMessage::default()));
        assert_eq!(route_answer(&refused, 7), Some(Answer::None));
        assert_eq!(route_answer(&link(LinkLayerType::Ether, vec![]), 7), Some(Answer::Unreadable));
    }

    #[test]
    fn an_answer_is_found_behind_others_and_by_its_number_alone() {
        let other = message(6, RouteNetlinkMessage::NewRoute(RouteMessage::default()));
        let both = [other.clone(), route(RouteType::Unicast, vec![RouteAttribute::Oif(2)])].concat();
        assert_eq!(route_answer(&both, 7), Some(Answer::Is(Hop { gateway: None, interface: 2 })));
        assert_eq!(route_answer(&other, 7), None);
    }

    #[test]
    fn only_interfaces_of_ethernet_have_a_hardware_address() {
        let address = LinkAttribute::Address(vec![2, 0, 0, 0, 0, 7]);
        let attributes = vec![LinkAttribute::IfName("cable".into()), address];
        let read = |layer| match interface_answer(&link(layer, attributes.clone()), 7) {
            Some(Answer::Is(interface)) => interface,
            other => panic!("{other:?}"),
        };
        let ethernet = read(LinkLayerType::Ether);
        assert_eq!((ethernet.index, &*ethernet.name.text()), (3, "cable"));
        assert_eq!(ethernet.hardware_address, Some([2, 0, 0, 0, 0, 7]));
        assert_eq!(read(LinkLayerType::Loopback).hardware_address, None);
    }

    #[test]
    fn an_interface_without_a_name_or_with_one_that_is_too_long_cannot_be_read() {
        for attributes in [vec![], vec![LinkAttribute::IfName("sixteen-bytes-it".into())]] {
            let answer = interface_answer(&link(LinkLayerType::Ether, attributes), 7);
            assert_eq!(answer, Some(Answer::Unreadable));
        }
    }

    proptest! {
        #[test]
        fn arbitrary_bytes_are_read_or_not_but_never_panic(
            bytes in proptest::collection::vec(any::<u8>(), 0..200),
            sequence in any::<u32>(),
        ) {
            let _ = (route_answer(&bytes, sequence), interface_answer(&bytes, sequence));
            let _ = (hop(&bytes), interface(&bytes));
        }

        #[test]
        fn answers_with_wrong_bytes_or_without_an_end_never_panic(
            changes in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            end in any::<prop::sample::Index>(),
        ) {
            let attributes = vec![RouteAttribute::Oif(2), RouteAttribute::Gateway(address(ip("fd00::1")))];
            let name = LinkAttribute::IfName("cable".into());
            for mut bytes in [route(RouteType::Unicast, attributes), link(LinkLayerType::Ether, vec![name])] {
                for (place, byte) in &changes {
                    let place = place.index(bytes.len());
                    bytes[place] = *byte;
                }
                bytes.truncate(end.index(bytes.len() + 1));
                let _ = (route_answer(&bytes, 7), interface_answer(&bytes, 7));
            }
        }
    }
}
