//! Messages of 64 bytes, there and back, over one connection on loopback.
//!
//! The connection is the same in every reading, so that pairs differ in the tracer alone.

use std::thread::sleep;
use std::time::Duration;

use crate::contenders::{self, SOCKEYE, WITHOUT_UDP};
use crate::driver;
use crate::loopback::Connection;
use crate::namespace::NetNs;
use crate::pairs;
use crate::program_runs::RunCounting;
use crate::table::{Comparisons, Limit};
use crate::tracer::Tracer;

const MESSAGE_BYTES: usize = 64;
const ROUND_TRIPS_PER_PIECE: u32 = 100;
const MESSAGES_PER_ROUND_TRIP: f64 = 2.0;

/// The runs of the programs are counted in so many windows of so many messages.
const WINDOWS: u32 = 10;
const ROUND_TRIPS_PER_WINDOW: u32 = 5_000;
const FIRST_PASS: Duration = Duration::from_millis(500);

pub fn measure(world: &NetNs, rounds: u32) -> anyhow::Result<Comparisons> {
    let mut connection = world.inside(Connection::open)?;
    let compared = pairs::compare(rounds, &contenders::all(world)?, || {
        driver::cpu_ns(world, ROUND_TRIPS_PER_PIECE, || connection.round_trip(&mut [7; MESSAGE_BYTES]))
    })?;
    let mut table = Comparisons::default();
    let toll = pairs::median_above(&compared, SOCKEYE, WITHOUT_UDP)? / MESSAGES_PER_ROUND_TRIP;
    table.add("TCP, 64 bytes there and back", "ns", compared);
    table.note("ns that UDP adds to a TCP message", toll, Limit::None);
    // Other sockets of the host may open and close meanwhile, and programs run for them. If one ran for
    // messages, it would run in every window.
    let without_udp = runs_by_window(Tracer::start_without_udp()?, &mut connection)?;
    note_runs(&mut table, WITHOUT_UDP, &without_udp, Limit::AtMost(0.0));
    // Where the kernel lets UDP be counted at the packets of all protocols only, programs run for messages.
    let with_udp = runs_by_window(Tracer::start()?, &mut connection)?;
    note_runs(&mut table, SOCKEYE, &with_udp, Limit::None);
    Ok(table)
}

fn note_runs(table: &mut Comparisons, contender: &str, runs: &[u64], limit: Limit) {
    let least = runs.iter().copied().min().unwrap_or(0);
    let messages = MESSAGES_PER_ROUND_TRIP * f64::from(ROUND_TRIPS_PER_WINDOW);
    let total: u64 = runs.iter().sum();
    table.note(
        format!(
            "{contender}: runs of our programs while {messages} messages passed, least of {WINDOWS} windows \
             ({total} in all)"
        ),
        least as f64,
        limit,
    );
}

/// How often its programs ran in each window.
fn runs_by_window(tracer: Tracer, connection: &mut Connection) -> anyhow::Result<Vec<u64>> {
    // The collector makes its first pass at once, and a program of ours runs for that.
    sleep(FIRST_PASS);
    let counting = RunCounting::start(tracer.programs())?;
    let mut runs = Vec::new();
    for _ in 0..WINDOWS {
        let before = counting.runs()?;
        for _ in 0..ROUND_TRIPS_PER_WINDOW {
            connection.round_trip(&mut [7; MESSAGE_BYTES])?;
        }
        runs.push(counting.runs()? - before);
    }
    drop(counting);
    tracer.stop()?;
    Ok(runs)
}
