//! What is taken from one message: its question, how it was answered, and the addresses that the name asked for has.
//!
//! Decoding is the business of the crate `domain`, which follows pointers of compressed names backwards only and a bounded
//! number of times, and copies nothing. Here it is bounded how many records are looked at.

use std::net::IpAddr;

use domain::base::iana::{Class, Opcode, Rtype};
use domain::base::message::RecordSection;
use domain::base::{Message, ParsedName, ParsedRecord};
use domain::rdata::{A, Aaaa, Cname};

/// Records of a message that are looked at, at most. An answer that fits into a datagram of 4096 bytes has at most 340.
const RECORDS_MAX: usize = 512;

/// Names that a chain of aliases leads through, at most. Resolvers give up at 8 to 16.
const CHAIN_MAX: usize = 16;

type Name<'a> = ParsedName<&'a [u8]>;

/// A standard query with one question of the class IN, or the answer to one.
pub(super) struct Read<'a> {
    message: &'a Message<[u8]>,
    /// The number by which an answer belongs to its query.
    pub(super) id: u16,
    /// True for an answer.
    pub(super) is_answer: bool,
    /// True when not all of it was there, or its sender says that it left something out.
    pub(super) cut: bool,
    /// The name that is asked for.
    pub(super) name: Name<'a>,
    /// The type of record that is asked for.
    pub(super) query_type: u16,
}

/// Why a message is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Refusal {
    /// It cannot be read as far as its question.
    Malformed,
    /// It is another operation, or does not have one question of the class IN.
    Other,
}

/// What an answer says beside its question.
pub(super) struct Answer<'a> {
    /// Its response code, with the extended bits where they were there.
    pub(super) rcode: u16,
    /// What the name is an alias of in the end, where it is one.
    pub(super) canonical: Option<Name<'a>>,
    /// True when its records cannot be read, and it was whole.
    pub(super) malformed: bool,
    /// True when it had more records than are looked at.
    pub(super) cut: bool,
}

/// Reads a message as far as its question. `whole` is false when there was more of it than these bytes.
pub(super) fn read(bytes: &[u8], whole: bool) -> Result<Read<'_>, Refusal> {
    let message = Message::from_slice(bytes).map_err(|_| Refusal::Malformed)?;
    let header = message.header();
    if header.opcode() != Opcode::QUERY || message.header_counts().qdcount() != 1 {
        return Err(Refusal::Other);
    }
    let question = message.first_question().ok_or(Refusal::Malformed)?;
    if question.qclass() != Class::IN {
        return Err(Refusal::Other);
    }
    Ok(Read {
        message,
        id: header.id(),
        is_answer: header.qr(),
        cut: !whole || header.tc(),
        name: *question.qname(),
        query_type: question.qtype().to_int(),
    })
}

impl<'a> Read<'a> {
    /// Reads the records of an answer, and adds to `addresses` those of the name that was asked for, each with the seconds
    /// for which it may be kept: the least along the chain.
    pub(super) fn answer(&self, addresses: &mut Vec<(IpAddr, u32)>) -> Answer<'a> {
        let header = self.message.header();
        let mut answer =
            Answer { rcode: header.rcode().to_int().into(), canonical: None, malformed: false, cut: false };
        let mut chain = Chain::default();
        let broken = self.walk(&mut answer, &mut chain).is_err();
        answer.malformed = broken && !self.cut;
        if answer.rcode != 0 || answer.malformed {
            return answer;
        }
        let (canonical, ttl_seconds) = chain.end(self.name);
        if canonical != self.name {
            answer.canonical = Some(canonical);
        }
        let records = self.message.answer().into_iter().flatten().take(RECORDS_MAX).map_while(Result::ok);
        let named = records.filter(|record| record.class() == Class::IN && record.owner() == canonical);
        addresses.extend(
            named.filter_map(|record| Some((address(&record)?, record.ttl().as_secs().min(ttl_seconds)))),
        );
        answer
    }

    /// Goes through the records of all sections: aliases in the first, the extended bits of the code in the last.
    fn walk(&self, answer: &mut Answer<'a>, chain: &mut Chain<'a>) -> Result<(), Unreadable> {
        let mut left = RECORDS_MAX;
        let mut section: Option<RecordSection<'a, [u8]>> =
            Some(self.message.answer().map_err(|_| Unreadable)?);
        let mut is_first = true;
        while let Some(mut records) = section {
            for record in records.by_ref() {
                let record = record.map_err(|_| Unreadable)?;
                if left == 0 {
                    answer.cut = true;
                    return Ok(());
                }
                left -= 1;
                if record.rtype() == Rtype::OPT {
                    let high = u16::try_from(record.ttl().as_secs() >> 24).expect("8 bits fit");
                    answer.rcode = high << 4 | answer.rcode & 0xf;
                } else if is_first && record.class() == Class::IN {
                    chain.add(&record);
                }
            }
            is_first = false;
            section = records.next_section().map_err(|_| Unreadable)?;
        }
        Ok(())
    }
}

/// There is no record where the message says that there is one.
struct Unreadable;

fn address(record: &ParsedRecord<'_, [u8]>) -> Option<IpAddr> {
    match record.rtype() {
        Rtype::A => Some(IpAddr::V4(record.to_record::<A>().ok()??.data().addr())),
        Rtype::AAAA => Some(IpAddr::V6(record.to_record::<Aaaa>().ok()??.data().addr()).to_canonical()),
        _ => None,
    }
}

/// The aliases of one message.
#[derive(Default)]
struct Chain<'a> {
    aliases: [Option<Alias<'a>>; CHAIN_MAX],
    count: usize,
}

#[derive(Clone, Copy)]
struct Alias<'a> {
    of: Name<'a>,
    name: Name<'a>,
    ttl_seconds: u32,
}

impl<'a> Chain<'a> {
    fn add(&mut self, record: &ParsedRecord<'a, [u8]>) {
        if record.rtype() != Rtype::CNAME || self.count == CHAIN_MAX {
            return;
        }
        if let Ok(Some(alias)) = record.to_record::<Cname<Name<'a>>>() {
            let of = *alias.data().cname();
            self.aliases[self.count] =
                Some(Alias { of, name: record.owner(), ttl_seconds: record.ttl().as_secs() });
            self.count += 1;
        }
    }

    /// Where the chain that begins with this name ends, and for how many seconds it holds at most. Of a circle, some name
    /// on it.
    fn end(&self, name: Name<'a>) -> (Name<'a>, u32) {
        let mut reached = (name, u32::MAX);
        for _ in 0..self.count {
            let next = self.aliases.iter().flatten().find(|alias| alias.name == reached.0);
            let Some(next) = next else { break };
            reached = (next.of, reached.1.min(next.ttl_seconds));
        }
        reached
    }
}
