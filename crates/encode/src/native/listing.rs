//! What lives now, told to no client in particular: those connections that somebody asked for.

use std::cell::Cell;
use std::io;

use connections::{Annotate, Criteria, WallOffset};
use deltas::Delta;
use prost::Message;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use super::proto;
use super::{CLOCK, CONNECTIONS, END, Fields, Form, unix_ns, write_line};
use crate::annotated::{Unpacked, annotated};

/// What to list.
#[derive(Clone, Copy)]
pub struct Listing<'a> {
    /// All that lives, as the delta of no client.
    pub delta: &'a Delta,
    /// Distance of the kernel's clock to the wall clock, for all times of this listing.
    pub wall: WallOffset,
    /// Names this run of the tracer.
    pub instance: &'a str,
    /// What the connections must be like.
    pub criteria: &'a Criteria,
    /// What of each is told; what says what is news to a client never is.
    pub fields: Fields,
    /// How many are told at most.
    pub limit: Option<u64>,
    /// Who knows what is behind connections.
    pub context: &'a dyn Annotate,
}

/// Writes the listing, one connection at a time.
///
/// `out` gets many small writes and should have a buffer.
///
/// # Errors
/// Those of `out`; nothing else can fail. What was written before shows that its end is missing.
pub fn write_listing(out: &mut impl io::Write, listing: &Listing<'_>, form: Form) -> io::Result<()> {
    let head = listing.head();
    match form {
        Form::Json => {
            let (matched, told) = (&Cell::new(0), &Cell::new(0));
            let connections = Listed { listing, matched, told };
            Ok(serde_json::to_writer(out, &ListingJson { head, connections, matched, told })?)
        }
        Form::Lines => {
            write_line(out, "listing", &head)?;
            let end = listing.each(|connection| write_line(out, "connection", connection))?;
            write_line(out, "end", &end)
        }
        Form::Protobuf => {
            out.write_all(&head.encode_to_vec())?;
            let mut bytes = Vec::new();
            let end = listing.each(|connection| {
                bytes.clear();
                prost::encoding::message::encode(CONNECTIONS, connection, &mut bytes);
                out.write_all(&bytes)
            })?;
            bytes.clear();
            prost::encoding::message::encode(END, &end, &mut bytes);
            out.write_all(&bytes)
        }
    }
}

impl Listing<'_> {
    fn head(&self) -> proto::Listing {
        let to = self.delta.to;
        proto::Listing {
            instance: self.instance.to_owned(),
            at_unix_ns: unix_ns(to, self.wall),
            clock: Some(proto::ListingClock { name: CLOCK.to_owned(), at_ns: to.0 }),
            connections: Vec::new(),
            end: None,
        }
    }

    /// Tells those that match, up to the limit, and gives how many there are.
    fn each<E>(
        &self,
        mut tell: impl FnMut(&proto::Connection) -> Result<(), E>,
    ) -> Result<proto::ListingEnd, E> {
        let fields = self.fields.of_listing();
        let matched = Cell::new(0);
        let within_limit = || self.limit.is_none_or(|limit| matched.get() <= limit);
        let matching = self.delta.changes.iter().filter(|change| self.criteria.hold_for(&change.connection));
        let counted = matching.inspect(|_| matched.set(matched.get() + 1)).filter(|_| within_limit());
        let mut told = 0;
        let context = if fields.need_context() { self.context } else { &() };
        for (record, annotation) in annotated(counted.map(Unpacked::One), context) {
            let Unpacked::One(change) = record else { continue };
            told += 1;
            let mut connection = proto::Connection::of_change(&change, self.wall);
            connection.annotate(&annotation);
            fields.keep(&mut connection);
            tell(&connection)?;
        }
        Ok(proto::ListingEnd { matched: matched.get(), told })
    }
}

#[derive(Serialize)]
struct ListingJson<'a> {
    #[serde(flatten)]
    head: proto::Listing,
    connections: Listed<'a>,
    // What is known when the connections are written.
    #[serde(serialize_with = "counted")]
    matched: &'a Cell<u64>,
    #[serde(serialize_with = "counted")]
    told: &'a Cell<u64>,
}

/// The connections, each made when its turn comes.
struct Listed<'a> {
    listing: &'a Listing<'a>,
    matched: &'a Cell<u64>,
    told: &'a Cell<u64>,
}

impl Serialize for Listed<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        let end = self.listing.each(|connection| list.serialize_element(connection))?;
        self.matched.set(end.matched);
        self.told.set(end.told);
        list.end()
    }
}

fn counted<S: Serializer>(count: &&Cell<u64>, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u64(count.get())
}
