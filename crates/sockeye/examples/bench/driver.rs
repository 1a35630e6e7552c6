//! The thread that does the traced work: both ends of every connection, pinned to one CPU.
//!
//! It is measured by its own CPU time, in which other processes do not count. The kernel's receive path runs
//! inside the sending call on loopback, so it does count, and so does every program that runs there. What
//! cannot be kept out is what others leave behind in the caches.

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};

use crate::cpu_time::thread_ns;
use crate::namespace::NetNs;
use crate::sample::Sample;

/// A reading is made of so many pieces of work, after one that warms up and does not count.
///
/// What disturbs the thread only ever makes it slower: a virtual CPU can lose a quarter of its speed while its
/// neighbour works. So the reading is what the fastest tenth of the pieces stays below: many short pieces find
/// the quiet moments on a busy machine, and programs that run for every message are in every piece.
const PIECES: u32 = 200;

/// Does `work` again and again in the namespace; answers the nanoseconds of CPU time that one takes.
pub fn cpu_ns(
    world: &NetNs,
    per_piece: u32,
    work: impl FnMut() -> anyhow::Result<()> + Send,
) -> anyhow::Result<f64> {
    least_ns(world, per_piece, || Ok(thread_ns()), work)
}

/// The same by a clock that counts more than this thread, in nanoseconds.
pub fn least_ns(
    world: &NetNs,
    per_piece: u32,
    clock: fn() -> anyhow::Result<f64>,
    mut work: impl FnMut() -> anyhow::Result<()> + Send,
) -> anyhow::Result<f64> {
    world.inside(|| {
        pin()?;
        let mut readings = Vec::new();
        for _ in 0..=PIECES {
            let before = clock()?;
            for _ in 0..per_piece {
                work()?;
            }
            readings.push((clock()? - before) / f64::from(per_piece));
        }
        Ok(Sample::new(readings.split_off(1)).low_tenth())
    })
}

/// Pins this thread to the last CPU that it may use: interrupts tend to be on the first.
fn pin() -> anyhow::Result<()> {
    let allowed = sched_getaffinity(None)?;
    let last = (0..CpuSet::MAX_CPU).rev().find(|cpu| allowed.is_set(*cpu)).unwrap_or(0);
    let mut only = CpuSet::new();
    only.set(last);
    Ok(sched_setaffinity(None, &only)?)
}
