//! Comparing with and without Sockeye in one run: without, with, without, with, ..., without.
//!
//! Every reading with it is compared with the mean of its two neighbours without it, so that a steady drift
//! of the machine cancels out. In the same way every reading without it is compared with its neighbours
//! without it: that difference has no cause but the noise, and says how much the other one means.

use std::thread::sleep;
use std::time::Duration;

use crate::sample::Sample;
use crate::tracer::Tracer;

/// After loading and unloading the kernel still frees memory in the background.
const SETTLE: Duration = Duration::from_millis(100);

/// One kind of work, with and without Sockeye.
#[derive(Debug)]
pub struct Comparison {
    /// Readings without it.
    pub without: Sample,
    /// Readings with it.
    pub with: Sample,
    /// Of each pair: what it adds.
    pub added: Sample,
    /// Of each pair: how many times as much it takes.
    pub ratio: Sample,
    /// What the noise adds: readings without it against one another.
    pub noise: Sample,
}

impl Comparison {
    /// The difference of the two fastest readings, which are the least disturbed ones.
    pub fn fastest_added(&self) -> f64 {
        self.with.min() - self.without.min()
    }
}

/// Takes `rounds` pairs of readings, after one that is discarded.
pub fn compare(rounds: u32, mut read: impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<Comparison> {
    read()?;
    with_sockeye(&mut read)?;
    let mut without = vec![read()?];
    let mut with = Vec::new();
    // Two at least: the noise needs three readings without it.
    for _ in 0..rounds.max(2) {
        with.push(with_sockeye(&mut read)?);
        without.push(read()?);
    }
    let neighbours: Vec<f64> = without.windows(2).map(|pair| f64::midpoint(pair[0], pair[1])).collect();
    let pairs = || with.iter().zip(&neighbours);
    Ok(Comparison {
        added: Sample::new(pairs().map(|(with, without)| with - without).collect()),
        ratio: Sample::new(pairs().map(|(with, without)| with / without).collect()),
        noise: Sample::new(
            without.windows(3).map(|three| three[1] - f64::midpoint(three[0], three[2])).collect(),
        ),
        without: Sample::new(without),
        with: Sample::new(with),
    })
}

/// One reading while the programs are attached, and only then.
fn with_sockeye(read: &mut impl FnMut() -> anyhow::Result<f64>) -> anyhow::Result<f64> {
    let tracer = Tracer::start()?;
    sleep(SETTLE);
    let reading = read()?;
    tracer.stop()?;
    sleep(SETTLE);
    Ok(reading)
}
