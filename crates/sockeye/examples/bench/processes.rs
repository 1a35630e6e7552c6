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
use crate::table::{Comparisons, Limit};

/// 2000 in a reading, beside those that warm up.
const PER_PIECE: u32 = 10;

const PROGRAM: &str = "/bin/true";

pub fn measure(world: &NetNs, rounds: u32) -> anyhow::Result<Comparisons> {
    let compared = pairs::compare(rounds, &contenders::of_processes(), || {
        driver::least_ns(world, PER_PIECE, || Ok(thread_ns() + children_ns()?), run)
    })?;
    let mut table = Comparisons::default();
    let work = format!("fork + exec of {PROGRAM} + exit");
    let toll = pairs::median_above(&compared, SOCKEYE, WITHOUT_PROCESSES)?;
    table.note(format!("{work}: ns that following processes adds"), toll, Limit::None);
    table.add(&work, "ns", compared);
    Ok(table)
}

fn run() -> anyhow::Result<()> {
    let ended = Command::new(PROGRAM).status()?;
    ensure!(ended.success(), "{PROGRAM} failed");
    Ok(())
}
