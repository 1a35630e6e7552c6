//! Messages of name servers as the kernel side copied them.
//!
//! The bytes are untrusted twice: the record is checked here, the message in it by whoever reads it.

use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};

use connections::{KernelTime, Payload, Protocol, Tuple};

use crate::bpf::udp_types::payload_record;
use crate::inbox::Intake;
use crate::plain::from_bytes;
use crate::record::{Malformed, id};

const IPPROTO_TCP: u8 = 6;
const IPPROTO_UDP: u8 = 17;

/// Takes in records and gives messages.
#[derive(Debug, Default)]
pub(crate) struct PayloadInbox {
    payloads: Vec<Payload>,
    malformed: u64,
}

impl Intake for PayloadInbox {
    type Event = Payload;

    fn take_in(&mut self, bytes: &[u8]) {
        match decode(bytes) {
            Ok(payload) => self.payloads.push(payload),
            Err(Malformed) => self.malformed += 1,
        }
    }

    fn take(&mut self) -> Vec<Payload> {
        std::mem::take(&mut self.payloads)
    }

    fn take_malformed(&mut self) -> u64 {
        std::mem::take(&mut self.malformed)
    }
}

/// Decodes one record. There is room behind it for more bytes than were copied: records are of a few sizes.
fn decode(bytes: &[u8]) -> Result<Payload, Malformed> {
    let (record, behind) = bytes.split_at_checked(size_of::<payload_record>()).ok_or(Malformed)?;
    let record: payload_record = from_bytes(record).ok_or(Malformed)?;
    let copied = usize::try_from(record.copied_bytes).map_err(|_| Malformed)?;
    let bytes = behind.get(..copied).ok_or(Malformed)?.to_vec();
    if record.copied_bytes > record.whole_bytes {
        return Err(Malformed);
    }
    let protocol = match record.protocol {
        IPPROTO_TCP => Protocol::Tcp,
        IPPROTO_UDP => Protocol::Udp,
        _ => return Err(Malformed),
    };
    let local = end(record.local_address, record.local_port, record.scope_id);
    let remote = end(record.remote_address, record.remote_port, record.scope_id);
    Ok(Payload {
        connection: (record.claimed_at_ns != 0).then(|| id(record.cookie, record.claimed_at_ns)),
        tuple: Tuple::canonical(protocol, record.netns, local, remote),
        sender_pid: record.sender,
        sent: record.sent != 0,
        at: KernelTime(record.at_ns),
        bytes,
        whole_bytes: record.whole_bytes,
        tcp_sequence: (protocol == Protocol::Tcp).then_some(record.tcp_sequence),
    })
}

/// IPv4 comes mapped into IPv6, which a canonical tuple undoes.
fn end(address: [u8; 16], port: u16, scope_id: u32) -> SocketAddr {
    SocketAddr::V6(SocketAddrV6::new(Ipv6Addr::from(address), port, 0, scope_id))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(change: impl FnOnce(&mut payload_record), behind: &[u8]) -> Vec<u8> {
        let mut record = payload_record {
            cookie: 7,
            claimed_at_ns: 70,
            at_ns: 90,
            local_address: Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, 0x0a00, 1]).octets(),
            remote_address: Ipv6Addr::from([0, 0, 0, 0, 0, 0xffff, 0x0a00, 2]).octets(),
            local_port: 4000,
            remote_port: 53,
            sender: 12,
            sent: 1,
            protocol: IPPROTO_UDP,
            whole_bytes: 5,
            copied_bytes: 3,
            tcp_sequence: 9,
            ..payload_record::default()
        };
        change(&mut record);
        [crate::plain::to_bytes(&record), behind].concat()
    }

    #[test]
    fn a_message_has_the_bytes_that_were_copied_and_not_those_behind_them() {
        let payload = decode(&bytes(|_| (), b"abcrest")).expect("valid");
        assert_eq!((payload.bytes.as_slice(), payload.whole_bytes), (b"abc".as_slice(), 5));
        assert_eq!(payload.connection, Some(id(7, 70)));
        assert_eq!(payload.tuple.local.to_string(), "10.0.0.1:4000");
        assert_eq!(payload.tuple.remote.to_string(), "10.0.0.2:53");
        assert_eq!((payload.sender_pid, payload.sent, payload.at), (12, true, KernelTime(90)));
        assert_eq!(payload.tcp_sequence, None, "a datagram has none");
    }

    #[test]
    fn a_message_of_no_connection_names_none() {
        let payload = decode(&bytes(|record| record.claimed_at_ns = 0, b"abc")).expect("valid");
        assert_eq!(payload.connection, None);
    }

    #[test]
    fn a_segment_has_its_sequence_number() {
        let payload = decode(&bytes(|record| record.protocol = IPPROTO_TCP, b"abc")).expect("valid");
        assert_eq!((payload.tcp_sequence, payload.tuple.protocol), (Some(9), Protocol::Tcp));
    }

    #[test]
    fn lengths_that_cannot_be_are_refused() {
        let refused = |bytes: &[u8]| decode(bytes).is_err();
        assert!(refused(&[]));
        assert!(refused(&bytes(|_| (), b"ab")), "fewer bytes than it says");
        assert!(refused(bytes(|_| (), b"").get(1..).expect("not empty")));
        assert!(refused(&bytes(|record| record.copied_bytes = u32::MAX, b"abc")));
        assert!(refused(&bytes(|record| record.whole_bytes = 2, b"abc")), "more copied than there were");
        assert!(refused(&bytes(|record| record.protocol = 1, b"abc")));
    }

    #[test]
    fn what_cannot_be_decoded_is_counted() {
        let mut inbox = PayloadInbox::default();
        inbox.take_in(b"short");
        inbox.take_in(&bytes(|_| (), b"abc"));
        assert_eq!((inbox.take().len(), inbox.take_malformed(), inbox.take_malformed()), (1, 1, 0));
    }
}
