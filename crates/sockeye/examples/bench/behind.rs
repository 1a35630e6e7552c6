//! What it takes to tell with connections who is behind them: of connections of which all is known, with caches that know it.
//!
//! The connections and the context are those of `acquainted`, the answer is one of `deltas`. Each is measured in turn with
//! nobody who knows anything, so that what comes of the other connections and of the machine is in both.

use std::hint::black_box;

use anyhow::ensure;
use connections::{Annotate, Connection, WallOffset};
use context::Context;
use encode::native::{self, Fields};
use encode::{Answer, reference};
use sockeye::config::Config;

use crate::acquainted;
use crate::cpu_time::thread_ns;
use crate::deltas::{CONNECTIONS, Readings};
use crate::encoding::Counting;
use crate::namespace::NetNs;
use crate::sample::Sample;
use crate::table::{Limit, Values};

/// As many as an answer asks about at once.
const BATCH: usize = 64;
/// Longer than any measurement.
const TIMEOUT_SECONDS: u32 = 3600;
const ANNOTATED_NS_MAX: f64 = 150.0;
const WAYS: [&str; 5] =
    ["annotated", "native, protobuf", "native, JSON", "reference, protobuf", "reference, JSON"];

pub fn measure(world: &NetNs, rounds: u32) -> anyhow::Result<Values> {
    let netns = world.inode()?;
    acquainted::prepare(world, CONNECTIONS, TIMEOUT_SECONDS)?;
    let mut readings =
        Readings::new(CONNECTIONS, move |number, bytes| acquainted::observation(netns, number, bytes))?;
    readings.read(0)?;
    let (delta, _ticket) = readings.make()?;
    let connections: Vec<Connection> = delta.changes.iter().map(|change| change.connection).collect();
    ensure!(connections.len() == CONNECTIONS as usize, "the answer has {} connections", connections.len());
    let (context, lookups) =
        sockeye::context::start(Config::default().context_settings(), collect::CgroupPaths::open().ok());
    acquainted::acquaint(&context, lookups, &connections)?;

    let mut taken_ns = [const { [const { Vec::new() }; 2] }; WAYS.len()];
    // In turn, so that all meet the same machine; the first round fills memory that the others find.
    for round in 0..=rounds {
        for (way, taken_ns) in taken_ns.iter_mut().enumerate() {
            for (context, taken_ns) in [None, Some(&*context)].into_iter().zip(taken_ns) {
                let taken = taken(way, &delta, &connections, context)?;
                taken_ns.extend((round > 0).then_some(taken));
            }
        }
    }
    let mut table = Values::default();
    for (way, [without, with]) in WAYS.into_iter().zip(taken_ns) {
        let limit = if way == WAYS[0] { Limit::AtMost(ANNOTATED_NS_MAX) } else { Limit::None };
        let added = with.iter().zip(&without).map(|(with, without)| with - without).collect();
        for (what, readings, limit) in [
            ("nothing is known", without, Limit::None),
            ("all is known", with, Limit::None),
            ("added", added, limit),
        ] {
            table.add_sample(format!("{way}, {what}, per connection"), "ns", &Sample::new(readings), limit);
        }
    }
    Ok(table)
}

/// Processor time of this thread for each connection.
fn taken(
    way: usize,
    delta: &deltas::Delta,
    connections: &[Connection],
    context: Option<&Context>,
) -> anyhow::Result<f64> {
    let begin = thread_ns();
    let annotator: Box<dyn Annotate> = match context {
        Some(context) => Box::new(context.annotator()),
        None => Box::new(()),
    };
    let wall = WallOffset(1_795_341_595_000_000_001);
    let answer = Answer { delta, wall, instance: "bench", degradations: &[], context: &*annotator };
    let mut out = Counting(0);
    match way {
        // Copied, because an answer has just unpacked them when it asks.
        0 => connections.chunks(BATCH).map(<[Connection]>::to_vec).for_each(|batch| {
            black_box(annotator.annotate(&mut black_box(batch).iter()));
        }),
        1 => native::write_delta(&mut out, &answer, native::Form::Protobuf, Fields::ALL)?,
        2 => native::write_delta(&mut out, &answer, native::Form::Json, Fields::ALL)?,
        3 => reference::write_connections(&mut out, &answer, reference::Form::Protobuf)?,
        _ => reference::write_connections(&mut out, &answer, reference::Form::Json)?,
    }
    Ok((thread_ns() - begin) / connections.len() as f64)
}
