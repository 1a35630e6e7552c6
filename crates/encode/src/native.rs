//! Our own dialect: what a client is told, and what is live, as JSON, as lines of JSON and as protobuf.
//!
//! All three are written from the same messages, which are generated from `proto/sockeye_v1.proto`: what one form has, the
//! others have. Facts that are unknown are absent, never 0. In JSON all integers are numbers: a reader that keeps them as
//! 64-bit floats (JavaScript) is exact up to 2^53, which is 9 petabytes of one connection, and cgroup ids are
//! inode numbers far below it.

mod connection;
mod context;
mod counters;
mod coverage;
mod criteria;
mod fields;
mod json;
mod listeners;
mod listing;
mod proto;
mod rollup;
mod tcp;
mod udp;

use std::io;

use connections::{KernelTime, WallOffset};
use deltas::Delta;
use prost::Message;
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::annotated::{Unpacked, annotated};
use crate::answer::Answer;
use crate::lookups::Untold;

pub use criteria::{CRITERIA_ALLOWED, InvalidCriterion, read_criterion};
pub use fields::{Fields, UnknownField};
pub use listeners::ListenersView;
pub use listing::{Listing, write_listing};

/// How an answer is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// One JSON object, the connections in a list.
    Json,
    /// Lines of JSON: the head, each connection, and the end, which says how many there were.
    Lines,
    /// The messages of `proto/sockeye_v1.proto`, with an end that says how many connections there were.
    Protobuf,
}

/// The kernel's clock, as answers call it.
const CLOCK: &str = "monotonic";

/// Numbers of the fields of `Answer` and `Listing` that are written one by one.
const CONNECTIONS: u32 = 9;
const END: u32 = 10;
const LOOKUPS: u32 = 11;

/// Writes the delta, the connections last and one at a time, of each the `fields`.
///
/// `out` gets many small writes and should have a buffer.
///
/// # Errors
/// Those of `out`; nothing else can fail. What was written before shows that its end is missing.
pub fn write_delta(
    out: &mut impl io::Write,
    answer: &Answer<'_>,
    form: Form,
    fields: Fields,
) -> io::Result<()> {
    let head = head(answer);
    let untold = Untold::of(answer.delta);
    let told = Told { answer, fields, untold: &untold };
    let rest = Rest { untold: &untold, wanted: fields.tell_lookups() };
    match form {
        Form::Json => Ok(serde_json::to_writer(out, &AnswerJson { head, connections: told, lookups: rest })?),
        Form::Lines => {
            write_line(out, "answer", &head)?;
            let connections = told.each(|connection| write_line(out, "connection", connection))?;
            rest.each(|lookups| write_line(out, "lookups", lookups))?;
            write_line(out, "end", &proto::End { connections })
        }
        Form::Protobuf => {
            out.write_all(&head.encode_to_vec())?;
            let mut bytes = Vec::new();
            let connections = told.each(|connection| {
                bytes.clear();
                prost::encoding::message::encode(CONNECTIONS, connection, &mut bytes);
                out.write_all(&bytes)
            })?;
            rest.each(|lookups| {
                bytes.clear();
                prost::encoding::message::encode(LOOKUPS, lookups, &mut bytes);
                out.write_all(&bytes)
            })?;
            bytes.clear();
            prost::encoding::message::encode(END, &proto::End { connections }, &mut bytes);
            out.write_all(&bytes)
        }
    }
}

fn head(answer: &Answer<'_>) -> proto::Answer {
    let Answer { delta, wall, instance, degradations, context: _ } = *answer;
    // How it is told is in its records.
    let Delta {
        client,
        sequence,
        acknowledged,
        from,
        to,
        coverage,
        view: _,
        changes: _,
        roll_ups: _,
        lookups: _,
        share: _,
    } = delta;
    proto::Answer {
        client: client.as_str().to_owned(),
        instance: instance.to_owned(),
        sequence: *sequence,
        acknowledged: *acknowledged,
        from_unix_ns: unix_ns(*from, wall),
        to_unix_ns: unix_ns(*to, wall),
        clock: Some(proto::Clock { name: CLOCK.to_owned(), from_ns: from.0, to_ns: to.0 }),
        coverage: Some(proto::Coverage::new(coverage, degradations, wall)),
        connections: Vec::new(),
        lookups: Vec::new(),
        end: None,
    }
}

/// The wall clock at a time of the kernel's, in nanoseconds since the Unix epoch. Beyond the years 1677 and 2262 it is the
/// last time that can be said.
fn unix_ns(time: KernelTime, wall: WallOffset) -> i64 {
    let unix_ns = wall.unix_nanoseconds(time);
    i64::try_from(unix_ns).unwrap_or(if unix_ns < 0 { i64::MIN } else { i64::MAX })
}

/// One line: an object with one field, whose name says what it is.
fn write_line(out: &mut impl io::Write, name: &str, value: &impl Serialize) -> io::Result<()> {
    write!(out, "{{\"{name}\":")?;
    serde_json::to_writer(&mut *out, value)?;
    out.write_all(b"}\n")
}

#[derive(Serialize)]
struct AnswerJson<'a> {
    #[serde(flatten)]
    head: proto::Answer,
    connections: Told<'a>,
    // What is left when the connections are written.
    lookups: Rest<'a>,
}

/// What the delta tells, each record turned into its message when its turn comes.
struct Told<'a> {
    answer: &'a Answer<'a>,
    fields: Fields,
    untold: &'a Untold<'a>,
}

impl Told<'_> {
    /// Tells all, and gives how many there were.
    fn each<E>(&self, mut tell: impl FnMut(&proto::Connection) -> Result<(), E>) -> Result<u64, E> {
        let mut connections = 0;
        let Answer { delta, wall, context, .. } = *self.answer;
        let context = if self.fields.need_context() { context } else { &() };
        for (record, annotation) in annotated(delta.records().map(Unpacked::from), context) {
            let mut connection = match record {
                Unpacked::One(change) => {
                    let id = change.connection.id;
                    let lookups = self.untold.of_connection(id);
                    let mut connection = proto::Connection::of_change(&change, wall);
                    connection.lookups = lookups.map(proto::Lookups::of_connection).collect();
                    self.untold.note_told(id);
                    connection
                }
                Unpacked::Several(id, rollup, _) => proto::Connection::of_roll_up(id, &rollup, wall),
            };
            connection.annotate(&annotation);
            self.fields.keep(&mut connection);
            tell(&connection)?;
            connections += 1;
        }
        Ok(connections)
    }
}

impl Serialize for Told<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        self.each(|connection| list.serialize_element(connection))?;
        list.end()
    }
}

/// What came of lookups through connections that were not told, for who wants lookups told.
struct Rest<'a> {
    untold: &'a Untold<'a>,
    wanted: bool,
}

impl Rest<'_> {
    fn each<E>(&self, mut tell: impl FnMut(&proto::Lookups) -> Result<(), E>) -> Result<(), E> {
        let rest = self.untold.rest().filter(|_| self.wanted);
        rest.map(proto::Lookups::alone).try_for_each(|lookups| tell(&lookups))
    }
}

impl Serialize for Rest<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut list = serializer.serialize_seq(None)?;
        self.each(|lookups| list.serialize_element(lookups))?;
        list.end()
    }
}
