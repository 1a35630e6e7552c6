//! What the kernel says of connection tracking, read from the bytes of a datagram. Every length is checked; what cannot be
//! understood is told as such and never guessed.

use connections::Protocol;
use netlink_packet_core::{NetlinkBuffer, NlaBuffer, NlasIterator};

use super::way::{Translation, Way};

/// Bits of the status that say that the source or the destination is translated.
pub(crate) const SOURCE_NAT: u32 = 1 << 4;
/// See [`SOURCE_NAT`].
pub(crate) const DESTINATION_NAT: u32 = 1 << 5;

pub(crate) const CTA_STATUS: u16 = 3;
pub(crate) const CTA_STATUS_MASK: u16 = 26;
/// The subsystem of connection tracking, in the high byte of a message's type.
pub(crate) const SUBSYSTEM: u16 = 1 << 8;
pub(crate) const GET: u16 = 1;
pub(crate) const GET_STATISTICS: u16 = 5;
/// `nfgenmsg`: family, version, and a number that is not used here.
pub(crate) const GENERAL_BYTES: usize = 4;
/// `nlmsghdr`.
pub(crate) const HEADER_BYTES: usize = 16;

const NEW: u16 = 0;
const DELETE: u16 = 2;
const ERROR: u16 = 2;
const DONE: u16 = 3;
/// The flag of a dump that was disturbed: it may lack entries.
const DISTURBED: u16 = 16;

/// One message of the kernel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Message {
    /// A tracked connection is there, with its status; an event, or an entry of a dump.
    There(Translation, u32),
    /// A tracked connection is gone.
    Gone(Translation, u32),
    /// How many connections are tracked in the namespace.
    Tracked(u32),
    /// The dump is complete; or it is over and may lack something.
    Done { disturbed: bool },
    /// The request was refused, with this error number; 0 is an acknowledgement.
    Refused(i32),
    /// A protocol without ports, or a message of another kind.
    Foreign,
    /// It is shorter than it says, or lacks what it must have.
    Malformed,
}

/// Reads all messages of a datagram.
pub(crate) fn read(mut datagram: &[u8], mut each: impl FnMut(Message)) {
    while !datagram.is_empty() {
        let Ok(message) = NetlinkBuffer::new_checked(datagram) else { return each(Message::Malformed) };
        let length = usize::try_from(message.length()).unwrap_or(usize::MAX);
        let disturbed = message.flags() & DISTURBED != 0;
        let payload = datagram.get(HEADER_BYTES..length).unwrap_or_default();
        each(one(message.message_type(), disturbed, payload).unwrap_or(Message::Malformed));
        // Messages begin at multiples of 4. The length is at least that of the header.
        datagram = datagram.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
}

fn one(kind: u16, disturbed: bool, payload: &[u8]) -> Option<Message> {
    const THERE: u16 = SUBSYSTEM | NEW;
    const GONE: u16 = SUBSYSTEM | DELETE;
    const STATISTICS: u16 = SUBSYSTEM | GET_STATISTICS;
    match kind {
        DONE => {
            // An error in the middle of a dump is told with its end.
            let failed = payload.first_chunk().is_some_and(|code| i32::from_ne_bytes(*code) < 0);
            Some(Message::Done { disturbed: disturbed || failed })
        }
        ERROR => {
            let code = payload.first_chunk()?;
            Some(Message::Refused(i32::from_ne_bytes(*code).checked_neg()?))
        }
        THERE | GONE => {
            let Some((translation, status)) = tracked(payload.get(GENERAL_BYTES..)?)? else {
                return Some(Message::Foreign);
            };
            Some(if kind == GONE {
                Message::Gone(translation, status)
            } else {
                Message::There(translation, status)
            })
        }
        STATISTICS => Some(Message::Tracked(number_of_tracked(payload.get(GENERAL_BYTES..)?)?)),
        _ => Some(Message::Foreign),
    }
}

/// The tracked connection and its status; the inner `None` is another protocol than ours.
fn tracked(attributes: &[u8]) -> Option<Option<(Translation, u32)>> {
    const ORIGINAL: u16 = 1;
    const REPLY: u16 = 2;
    const ZONE: u16 = 18;
    let (mut original, mut reply, mut status, mut zone) = (None, None, 0, 0);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.ok()?;
        match attribute.kind() {
            ORIGINAL => original = Some(direction(attribute.value())?),
            REPLY => reply = Some(direction(attribute.value())?),
            CTA_STATUS => status = u32::from_be_bytes(bytes(&attribute)?),
            ZONE => zone = u16::from_be_bytes(bytes(&attribute)?),
            _ => {}
        }
    }
    let (Some((protocol, original)), Some((_, reply))) = (original?, reply?) else { return Some(None) };
    Some(Some((Translation { protocol, zone, original, reply }, status)))
}

fn number_of_tracked(attributes: &[u8]) -> Option<u32> {
    const GLOBAL_ENTRIES: u16 = 1;
    let mut attributes = NlasIterator::new(attributes).filter_map(Result::ok);
    attributes
        .find(|attribute| attribute.kind() == GLOBAL_ENTRIES)
        .and_then(|entries| bytes(&entries))
        .map(u32::from_be_bytes)
}

/// The inner `None` is another protocol than ours.
#[allow(clippy::option_option, reason = "malformed and foreign are two things")]
fn direction(attributes: &[u8]) -> Option<Option<(Protocol, Way)>> {
    const ADDRESSES: u16 = 1;
    const PROTOCOL: u16 = 2;
    let mut way = Way::default();
    let (mut addresses, mut protocol) = (false, None);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.ok()?;
        match attribute.kind() {
            ADDRESSES => {
                read_addresses(attribute.value(), &mut way)?;
                addresses = true;
            }
            PROTOCOL => match read_protocol(attribute.value(), &mut way)? {
                Some(known) => protocol = Some(known),
                None => return Some(None),
            },
            _ => {}
        }
    }
    addresses.then_some(())?;
    Some(Some((protocol?, way)))
}

fn read_addresses(attributes: &[u8], way: &mut Way) -> Option<()> {
    const SOURCE_V4: u16 = 1;
    const DESTINATION_V4: u16 = 2;
    const SOURCE_V6: u16 = 3;
    const DESTINATION_V6: u16 = 4;
    let (mut source, mut destination) = (None, None);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.ok()?;
        match attribute.kind() {
            SOURCE_V4 => source = Some(mapped(bytes(&attribute)?)),
            DESTINATION_V4 => destination = Some(mapped(bytes(&attribute)?)),
            SOURCE_V6 => source = Some(bytes(&attribute)?),
            DESTINATION_V6 => destination = Some(bytes(&attribute)?),
            _ => {}
        }
    }
    (way.source, way.destination) = (source?, destination?);
    Some(())
}

/// The inner `None` is another protocol than ours.
fn read_protocol(attributes: &[u8], way: &mut Way) -> Option<Option<Protocol>> {
    const NUMBER: u16 = 1;
    const SOURCE_PORT: u16 = 2;
    const DESTINATION_PORT: u16 = 3;
    let (mut number, mut source, mut destination) = (None, None, None);
    for attribute in NlasIterator::new(attributes) {
        let attribute = attribute.ok()?;
        match attribute.kind() {
            NUMBER => number = Some(bytes::<1>(&attribute)?[0]),
            SOURCE_PORT => source = Some(u16::from_be_bytes(bytes(&attribute)?)),
            DESTINATION_PORT => destination = Some(u16::from_be_bytes(bytes(&attribute)?)),
            _ => {}
        }
    }
    let protocol = match number? {
        6 => Protocol::Tcp,
        17 => Protocol::Udp,
        _ => return Some(None),
    };
    (way.source_port, way.destination_port) = (source?, destination?);
    Some(Some(protocol))
}

fn mapped(v4: [u8; 4]) -> [u8; 16] {
    std::net::Ipv4Addr::from(v4).to_ipv6_mapped().octets()
}

/// The value, if it is at least that long: the kernel may append.
fn bytes<const N: usize>(attribute: &NlaBuffer<&[u8]>) -> Option<[u8; N]> {
    attribute.value().first_chunk().copied()
}
