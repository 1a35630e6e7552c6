//! Passes over the live connections: from the request of a poll to its answer, encoding and HTTP left out.
//!
//! By the clock, which other processes disturb, and in CPU time of all threads of the tracer, which they
//! disturb less. The bench itself sleeps meanwhile.

use std::time::Instant;

use anyhow::ensure;
use rustix::time::{ClockId, clock_gettime};

use crate::arguments::Arguments;
use crate::held::Held;
use crate::namespace::NetNs;
use crate::sample::Sample;
use crate::table::{Limit, Values};
use crate::tracer::{Client, Tracer};

pub fn measure(world: &NetNs, arguments: &Arguments) -> anyhow::Result<Values> {
    let mut table = Values::default();
    let tracer = Tracer::start()?;
    let client = tracer.client()?;
    client.acknowledge(client.poll()?)?;
    let empty = Passes::make(&client, arguments.rounds)?;
    table.add_sample("no connections: pass", "ms", &ms(&empty.clock_ns), Limit::None);
    table.add_sample("no connections: pass, CPU", "ms", &ms(&empty.cpu_ns), Limit::None);

    let held = Held::open(world, arguments.connections)?;
    let begin = Instant::now();
    let first = client.poll()?;
    let first_ms = begin.elapsed().as_secs_f64() * 1e3;
    let netns = world.inode()?;
    let told = first.changes.iter().filter(|change| change.connection.tuple.netns == netns).count();
    ensure!(told >= arguments.connections as usize, "told {told} of {}", arguments.connections);
    client.acknowledge(first)?;
    let passes = Passes::make(&client, arguments.rounds)?;
    let live = u32::try_from(told)?;
    table.add(
        format!("{live} live: first pass, everything new, owners looked for"),
        "ms",
        first_ms,
        Limit::None,
    );
    table.add_sample(format!("{live} live: pass"), "ms", &ms(&passes.clock_ns), Limit::None);
    for (what, readings) in [("pass", &passes.clock_ns), ("pass, CPU", &passes.cpu_ns)] {
        let each = Sample::new(readings.iter().map(|ns| ns / f64::from(live)).collect());
        table.add_sample(format!("{live} live: {what}, per connection"), "ns", &each, Limit::None);
    }
    drop(held);
    tracer.stop()?;
    Ok(table)
}

/// Passes that find nothing new.
struct Passes {
    clock_ns: Vec<f64>,
    cpu_ns: Vec<f64>,
}

impl Passes {
    fn make(client: &Client<'_>, rounds: u32) -> anyhow::Result<Self> {
        let mut passes = Self { clock_ns: Vec::new(), cpu_ns: Vec::new() };
        for _ in 0..rounds.max(1) {
            let (begin, cpu_before) = (Instant::now(), process_ns());
            let delta = client.poll()?;
            passes.clock_ns.push(begin.elapsed().as_secs_f64() * 1e9);
            passes.cpu_ns.push(process_ns() - cpu_before);
            client.acknowledge(delta)?;
        }
        Ok(passes)
    }
}

fn ms(readings: &[f64]) -> Sample {
    Sample::new(readings.iter().map(|ns| ns / 1e6).collect())
}

/// CPU time of all threads of this process.
fn process_ns() -> f64 {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    time.tv_sec as f64 * 1e9 + time.tv_nsec as f64
}
