//! Datagrams of connection tracking with any bytes, as the sockets that hear of translations could get them.
//!
//! Owns how bytes become a datagram, and what reading one must not do: panic, go on without end, or take a message that is
//! cut for a whole one.

#![no_main]

use context::{Heard, read_conntrack};
use libfuzzer_sys::fuzz_target;

const HEADER: usize = 16;

fuzz_target!(|input: &[u8]| {
    read(input);
    let Some((&kind, attributes)) = input.split_first() else { return };
    // A message that says its length rightly, so that what is in it is looked at.
    let message = message(kind, attributes);
    let heard = read(&message);
    assert!(heard.len() == 1, "one message: {heard:?}");
    for cut in HEADER..message.len() {
        let heard = read(&message[..cut]);
        assert!(heard == [Heard::Malformed], "cut at {cut}: {heard:?}");
    }
});

fn read(datagram: &[u8]) -> Vec<Heard> {
    let mut all = Vec::new();
    read_conntrack(1, datagram, |heard| all.push(heard));
    assert!(all.len() <= datagram.len() / HEADER + 1, "{} messages", all.len());
    all
}

/// A message of connection tracking of one of three kinds with these attributes.
fn message(kind: u8, attributes: &[u8]) -> Vec<u8> {
    let attributes = &attributes[..attributes.len().min(4096)];
    let length = u32::try_from(HEADER + 4 + attributes.len()).expect("it is short");
    let kind = 1 << 8 | [0, 2, 5][usize::from(kind % 3)];
    let mut message = Vec::from(length.to_ne_bytes());
    message.extend(u16::to_ne_bytes(kind));
    message.resize(HEADER + 4, 0);
    message.extend(attributes);
    message
}
