//! Processes that execute and end: what following them adds to the life of one.
//!
//! The time is that of the thread that starts them and of the processes themselves. They run where that thread is
//! pinned, one after the other.

use std::process::Command;

use anyhow::ensure;

use crate::contenders::{self, SOCKEYE, WITHOUT_PROCESSES};
use crate::cpu_time::{children_ns, thread_ns};
use crate::driver;
use crate::namespace::NetNs;
use crate::pairs;
use crate::program_runs::RunCounting;
use crate::sample::Sample;
use crate::table::{Comparisons, Limit};
use crate::tracer::Tracer;

/// 2000 in a reading, beside those that warm up.
const PER_PIECE: u32 = 10;

/// The programs' own time is counted in so many windows of so many processes.
const WINDOWS: u32 = 10;
const PER_WINDOW: u32 = 200;

const PROGRAM: &str = "/bin/true";

pub fn measure(world: &NetNs, rounds: u32) -> anyhow::Result<Comparisons> {
    let compared = pairs::compare(rounds, &contenders::of_processes(), || {
        driver::least_ns(world, PER_PIECE, || Ok(thread_ns() + children_ns()?), run)
    })?;
    let mut table = Comparisons::default();
    let work = format!("fork + exec of {PROGRAM} + exit");
    let toll = pairs::median_above(&compared, SOCKEYE, WITHOUT_PROCESSES)?;
    table.note(format!("{work}: ns that following processes adds"), toll, Limit::None);
    table.note(format!("{work}: ns that its programs run"), program_ns()?, Limit::None);
    table.add(&work, "ns", compared);
    Ok(table)
}

/// How long the programs for fork, exec and exit run, one of each, in nanoseconds: the least of several windows.
fn program_ns() -> anyhow::Result<f64> {
    let tracer = Tracer::start()?;
    let counting = RunCounting::start(tracer.process_programs())?;
    let mut windows = Vec::new();
    for _ in 0..WINDOWS {
        let before = counting.runs_and_ns()?;
        for _ in 0..PER_WINDOW {
            run()?;
        }
        let after = counting.runs_and_ns()?;
        // Processes of others count like those of this bench.
        let mut sum = 0.0;
        for (after, before) in after.iter().zip(&before) {
            let (runs, ns) = (after.0 - before.0, after.1 - before.1);
            ensure!(
                runs >= PER_WINDOW.into(),
                "the counting of program runs was switched off by somebody else"
            );
            sum += ns as f64 / runs as f64;
        }
        windows.push(sum);
    }
    drop(counting);
    tracer.stop()?;
    Ok(Sample::new(windows).min())
}

fn run() -> anyhow::Result<()> {
    let ended = Command::new(PROGRAM).status()?;
    ensure!(ended.success(), "{PROGRAM} failed");
    Ok(())
}
