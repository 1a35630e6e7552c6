//! Messages of connection tracking as another implementation writes them, and bytes that nobody has written.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use context::{Heard, TrackedConnection, read_conntrack};
use netlink_packet_core::{DefaultNla, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_netfilter::conntrack::{
    ConntrackAttribute, ConntrackMessage, IPTuple, ProtoTuple, Protocol, Status, Tuple,
};
use netlink_packet_netfilter::{NetfilterHeader, NetfilterMessage, NetfilterProtoFamily};
use proptest::prelude::*;

const NETNS: u32 = 9;

/// A tracked connection of any protocol.
#[derive(Debug, Clone)]
struct Tracked {
    gone: bool,
    protocol: u8,
    zone: Option<u16>,
    original: (SocketAddr, SocketAddr),
    reply: (SocketAddr, SocketAddr),
    /// Attributes that mean nothing to us.
    others: Vec<(u16, Vec<u8>)>,
}

impl Tracked {
    /// The message as the other implementation writes it.
    fn message(&self) -> Vec<u8> {
        let way = |(source, destination): (SocketAddr, SocketAddr)| {
            vec![
                Tuple::Ip(vec![
                    IPTuple::SourceAddress(source.ip()),
                    IPTuple::DestinationAddress(destination.ip()),
                ]),
                Tuple::Proto(vec![
                    ProtoTuple::Protocol(Protocol::from(self.protocol)),
                    ProtoTuple::SourcePort(source.port()),
                    ProtoTuple::DestinationPort(destination.port()),
                ]),
            ]
        };
        let other =
            |(kind, value): &(u16, Vec<u8>)| ConntrackAttribute::Other(DefaultNla::new(*kind, value.clone()));
        let zone = |zone: u16| ConntrackAttribute::Other(DefaultNla::new(18, zone.to_be_bytes().to_vec()));
        let mut attributes = vec![ConntrackAttribute::CtaTupleOrig(way(self.original))];
        attributes.extend(self.others.iter().map(other));
        attributes.push(ConntrackAttribute::CtaTupleReply(way(self.reply)));
        attributes.extend(self.zone.map(zone));
        attributes.push(ConntrackAttribute::CtaStatus(Status::SrcNat | Status::Confirmed));
        let inner =
            if self.gone { ConntrackMessage::Delete(attributes) } else { ConntrackMessage::New(attributes) };
        let header = NetfilterHeader::new(NetfilterProtoFamily::IPv4, 0, 0);
        let payload = NetlinkPayload::from(NetfilterMessage::new(header, inner));
        let mut message = NetlinkMessage::new(NetlinkHeader::default(), payload);
        message.finalize();
        let mut bytes = vec![0; message.buffer_len().next_multiple_of(4)];
        message.serialize(&mut bytes[..message.buffer_len()]);
        bytes
    }

    /// What is to be heard of it.
    fn heard(&self) -> Heard {
        let protocol = match self.protocol {
            6 => connections::Protocol::Tcp,
            17 => connections::Protocol::Udp,
            _ => return Heard::Other,
        };
        let tracked = TrackedConnection {
            netns: NETNS,
            protocol,
            zone: self.zone.unwrap_or(0),
            original: self.original,
            reply: self.reply,
            translated: self.reply != (self.original.1, self.original.0),
            began: None,
            ended: None,
        };
        if self.gone { Heard::Gone(tracked) } else { Heard::There(tracked) }
    }
}

fn ends() -> impl Strategy<Value = (SocketAddr, SocketAddr)> {
    let v4 = any::<([u8; 4], [u8; 4])>().prop_map(|(source, destination)| {
        (IpAddr::V4(Ipv4Addr::from(source)), IpAddr::V4(Ipv4Addr::from(destination)))
    });
    // Never mapped: those are IPv4 in another form.
    let v6 = any::<([u8; 15], [u8; 15])>().prop_map(|(source, destination)| {
        let address = |rest: [u8; 15]| {
            let mut octets = [0xfd; 16];
            octets[1..].copy_from_slice(&rest);
            IpAddr::V6(Ipv6Addr::from(octets))
        };
        (address(source), address(destination))
    });
    (prop_oneof![v4, v6], any::<(u16, u16)>()).prop_map(|((source, destination), (from, to))| {
        (SocketAddr::new(source, from), SocketAddr::new(destination, to))
    })
}

fn tracked() -> impl Strategy<Value = Tracked> {
    let protocol = prop_oneof![3 => Just(6), 3 => Just(17), 1 => any::<u8>()];
    let others = prop::collection::vec((100..200_u16, prop::collection::vec(any::<u8>(), 0..9)), 0..3);
    (any::<bool>(), protocol, any::<Option<u16>>(), ends(), ends(), any::<bool>(), others).prop_map(
        |(gone, protocol, zone, original, reply, same, others)| {
            let reply = if same { (original.1, original.0) } else { reply };
            Tracked { gone, protocol, zone, original, reply, others }
        },
    )
}

fn heard(datagram: &[u8]) -> Vec<Heard> {
    let mut all = Vec::new();
    read_conntrack(NETNS, datagram, |heard| all.push(heard));
    all
}

proptest! {
    #[test]
    fn what_another_implementation_writes_is_read_back(all in prop::collection::vec(tracked(), 0..5)) {
        let datagram: Vec<u8> = all.iter().flat_map(Tracked::message).collect();
        let expected: Vec<Heard> = all.iter().map(Tracked::heard).collect();
        prop_assert_eq!(heard(&datagram), expected);
    }

    #[test]
    fn a_message_that_is_cut_is_malformed(one in tracked(), at in any::<prop::sample::Index>()) {
        let message = one.message();
        let cut = &message[..at.index(message.len() - 4).max(1)];
        prop_assert_eq!(heard(cut), [Heard::Malformed]);
    }

    #[test]
    fn bytes_that_are_changed_are_read_to_their_end(
        all in prop::collection::vec(tracked(), 1..4),
        changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..9),
    ) {
        let mut datagram: Vec<u8> = all.iter().flat_map(Tracked::message).collect();
        for (place, byte) in changes {
            let place = place.index(datagram.len());
            datagram[place] = byte;
        }
        prop_assert!(heard(&datagram).len() <= datagram.len() / 16 + 1);
    }

    #[test]
    fn any_bytes_are_read_to_their_end(datagram in prop::collection::vec(any::<u8>(), 0..512)) {
        prop_assert!(heard(&datagram).len() <= datagram.len() / 16 + 1);
    }
}
