//! What the bytes of an input mean: a sequence of packets. Every input means something.
//!
//! A packet begins with a byte of flags, one for the socket and the time, and one for the length of what follows. An answer
//! begins with the head and the question of the query before it, as most answers do: it would take long to guess that.

use std::net::SocketAddr;

use connections::{KernelTime, Payload, Protocol, Tuple};

/// The packet is of TCP.
const TCP: u8 = 1;
/// The socket got it.
const GOT: u8 = 2;
/// It is the answer to the last query, and its bytes are the records.
const ANSWER: u8 = 4;
/// Of TCP: its length precedes it.
const FRAMED: u8 = 8;
/// Not all of it was copied.
const CUT: u8 = 16;
/// Of TCP: it does not follow the segment before, but begins a few bytes earlier or later.
const MOVED: u8 = 32;
/// A query for a name whose first letter is the first byte.
const QUERY: u8 = 64;
/// Both ends have the port of a name server.
const SERVERS: u8 = 128;

/// The packets of an input.
pub(crate) fn read(bytes: &[u8]) -> Vec<Payload> {
    let mut packets = Packets::default();
    let mut rest = bytes;
    while let [flags, place, length, after @ ..] = rest {
        let (data, after) = after.split_at(after.len().min(usize::from(*length)));
        packets.add(*flags, *place, data);
        rest = after;
    }
    packets.all
}

#[derive(Default)]
struct Packets {
    all: Vec<Payload>,
    query: Vec<u8>,
    milliseconds: u64,
    /// What follows on either side, of the one and the other direction.
    next: [u32; 2],
}

impl Packets {
    fn add(&mut self, flags: u8, place: u8, data: &[u8]) {
        let is = |flag| flags & flag != 0;
        let mut bytes = data.to_vec();
        if is(QUERY) {
            let letter = data.first().copied().unwrap_or(b'a');
            let head = [
                0,
                place & 1,
                1,
                0,
                0,
                1,
                0,
                0,
                0,
                0,
                0,
                0,
                1,
                letter,
                4,
                b't',
                b'e',
                b's',
                b't',
                0,
                0,
                1,
                0,
                1,
            ];
            bytes = head.to_vec();
            self.query = head.to_vec();
        } else if is(ANSWER) && self.query.len() > 12 {
            bytes.clone_from(&self.query);
            bytes[2] |= 0x80;
            bytes[7] = place & 7;
            bytes.extend(data);
        }
        if is(TCP) && is(FRAMED) {
            let length = u16::try_from(bytes.len()).unwrap_or(u16::MAX).to_be_bytes();
            bytes.splice(0..0, length);
        }
        let whole_bytes = u32::try_from(bytes.len()).expect("few") + u32::from(is(CUT)) * u32::from(place);
        self.milliseconds += u64::from(place) * u64::from(place);
        let local = SocketAddr::from(([10, 0, 0, 1], if is(SERVERS) { 53 } else { u16::from(place >> 6) }));
        let protocol = if is(TCP) { Protocol::Tcp } else { Protocol::Udp };
        let next = &mut self.next[usize::from(is(GOT))];
        let sequence = if is(MOVED) { next.wrapping_add(u32::from(place)).wrapping_sub(30) } else { *next };
        *next = sequence.wrapping_add(whole_bytes);
        self.all.push(Payload {
            connection: None,
            tuple: Tuple { protocol, netns: 1, local, remote: ([10, 0, 0, 53], 53).into() },
            sender_pid: if is(GOT) { 0 } else { u32::from(place & 3) },
            sent: !is(GOT),
            at: KernelTime(self.milliseconds * 1_000_000),
            bytes,
            whole_bytes,
            tcp_sequence: is(TCP).then_some(sequence),
        });
    }
}
