//! Our own JSON form of a delta.
//!
//! Facts that are unknown are absent, never 0. All integers are JSON numbers: a reader that keeps them as
//! 64-bit floats (JavaScript) is exact up to 2^53, which is 9 petabytes of one connection, and cgroup ids are
//! inode numbers far below it.

mod connection;
mod counters;
mod coverage;
mod listeners;
mod rollup;
mod tcp;
mod udp;

use std::io;

use connections::WallOffset;
use deltas::{Delta, Record};
use serde::ser::SerializeSeq;
use serde::{Serialize, Serializer};

use crate::answer::Answer;
use crate::wall_time::WallTime;
use connection::ConnectionWire;
use coverage::CoverageWire;
use rollup::RollUpWire;

pub use listeners::ListenersView;

/// Writes the delta as one JSON object, the connections last and one at a time.
///
/// `out` gets many small writes and should have a buffer.
///
/// # Errors
/// Those of `out`; nothing else can fail. What was written before is then an incomplete object.
pub fn write_delta(out: &mut impl io::Write, answer: &Answer<'_>) -> io::Result<()> {
    Ok(serde_json::to_writer(out, &DeltaWire::new(answer))?)
}

#[derive(Serialize)]
struct DeltaWire<'a> {
    client: &'a str,
    instance: &'a str,
    sequence: u64,
    acknowledged: u64,
    from: WallTime,
    to: WallTime,
    coverage: CoverageWire<'a>,
    connections: Connections<'a>,
}

impl<'a> DeltaWire<'a> {
    fn new(answer: &Answer<'a>) -> Self {
        let Answer { delta, wall, instance, degradations } = *answer;
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
            share: _,
        } = delta;
        Self {
            client: client.as_str(),
            instance,
            sequence: *sequence,
            acknowledged: *acknowledged,
            from: WallTime::of(*from, wall),
            to: WallTime::of(*to, wall),
            coverage: CoverageWire::new(coverage, degradations, wall),
            connections: Connections { delta, wall },
        }
    }
}

/// What the delta tells, each record turned into its wire form when its turn comes.
struct Connections<'a> {
    delta: &'a Delta,
    wall: WallOffset,
}

impl Serialize for Connections<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut sequence = serializer.serialize_seq(None)?;
        for record in self.delta.records() {
            match record {
                Record::One(change) => {
                    sequence.serialize_element(&ConnectionWire::new(&change.change(), self.wall))?;
                }
                Record::Several(id, rollup) => {
                    sequence.serialize_element(&RollUpWire::new(id, &rollup, self.wall))?;
                }
            }
        }
        sequence.end()
    }
}
