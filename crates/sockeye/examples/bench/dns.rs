//! Messages of the domain name system: a query for the address of a name, and its answer.

use std::net::Ipv4Addr;

const HEADER_BYTES: usize = 12;
/// A query that wants recursion, and the answer to it without an error.
const QUERY: u16 = 0x0100;
const ANSWER: u16 = 0x8180;
const TYPE_A: u16 = 1;
const CLASS_IN: u16 = 1;
/// The name of the question, by where it is.
const SAME_NAME: u16 = 0xc00c;
const TTL_SECONDS: u32 = 300;

/// A query for the IPv4 addresses of a name.
pub fn query(id: u16, name: &str) -> Vec<u8> {
    let mut message = header(id, QUERY, 0);
    for label in name.split('.').chain([""]) {
        message.push(u8::try_from(label.len()).expect("names of measurements are short"));
        message.extend(label.as_bytes());
    }
    [TYPE_A, CLASS_IN].into_iter().for_each(|word| message.extend(word.to_be_bytes()));
    message
}

/// What a name server says to this query.
pub fn answer(query: &[u8], address: Ipv4Addr) -> Vec<u8> {
    let id = query.first_chunk().map_or(0, |id| u16::from_be_bytes(*id));
    let mut message = header(id, ANSWER, 1);
    message.extend(query.get(HEADER_BYTES..).unwrap_or_default());
    [SAME_NAME, TYPE_A, CLASS_IN].into_iter().for_each(|word| message.extend(word.to_be_bytes()));
    message.extend(TTL_SECONDS.to_be_bytes());
    message.extend(4_u16.to_be_bytes());
    message.extend(address.octets());
    message
}

fn header(id: u16, flags: u16, answers: u16) -> Vec<u8> {
    [id, flags, 1, answers, 0, 0].into_iter().flat_map(u16::to_be_bytes).collect()
}
