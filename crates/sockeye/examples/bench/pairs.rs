//! Comparing contenders with their absence in one run: without, with A, without, with B, without, with A, ...
//!
//! Every reading with one is compared with the mean of its two neighbours without any, so that a steady drift
//! of the machine cancels out. In the same way every reading without any is compared with its neighbours
//! of the same kind: that difference has no cause but the noise, and says how much the others mean.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Context;

use crate::contender::Contender;
use crate::sample::Sample;

/// After loading and unloading the kernel still frees memory in the background.
const SETTLE: Duration = Duration::from_millis(100);

/// One kind of work, without any contender and with one.
#[derive(Debug)]
pub struct Comparison {
    /// Who.
    pub contender: &'static str,
    /// Readings without any.
    pub without: Sample,
    /// Readings with it.
    pub with: Sample,
    /// Of each pair: what it adds.
    pub added: Sample,
    /// Of each pair: how many times as much it takes.
    pub ratio: Sample,
    /// What the noise adds: readings without any against one another.
    pub noise: Sample,
}

impl Comparison {
    /// The difference of the two fastest readings, which are the least disturbed ones.
    pub fn fastest_added(&self) -> f64 {
        self.with.min() - self.without.min()
    }
}

/// Takes `rounds` pairs of readings of each contender, after one of each that is discarded.
pub fn compare(
    rounds: u32,
    contenders: &[Box<dyn Contender>],
    mut read: impl FnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<Vec<Comparison>> {
    read()?;
    for contender in contenders {
        read_with(contender.as_ref(), &mut read)?;
    }
    let mut without = vec![read()?];
    let mut with = vec![Vec::new(); contenders.len()];
    // Two at least: the noise needs three readings without any.
    for _ in 0..rounds.max(2) {
        for (contender, readings) in contenders.iter().zip(&mut with) {
            readings.push(read_with(contender.as_ref(), &mut read)?);
            without.push(read()?);
        }
    }
    let neighbours: Vec<f64> = without.windows(2).map(|pair| f64::midpoint(pair[0], pair[1])).collect();
    let of_contender = |(index, with): (usize, Vec<f64>)| {
        let pairs = || with.iter().zip(neighbours.iter().skip(index).step_by(contenders.len()));
        Comparison {
            contender: contenders[index].name(),
            added: Sample::new(pairs().map(|(with, without)| with - without).collect()),
            ratio: Sample::new(pairs().map(|(with, without)| with / without).collect()),
            noise: noise(&without),
            without: Sample::new(without.clone()),
            with: Sample::new(with),
        }
    };
    Ok(with.into_iter().enumerate().map(of_contender).collect())
}

/// How much more one contender adds than another one, of the medians.
pub fn median_above(compared: &[Comparison], contender: &str, base: &str) -> anyhow::Result<f64> {
    let added = |name: &str| {
        let found = compared.iter().find(|comparison| comparison.contender == name);
        found.map(|comparison| comparison.added.median()).with_context(|| format!("{name} takes no part"))
    };
    Ok(added(contender)? - added(base)?)
}

fn noise(without: &[f64]) -> Sample {
    let differences = without.windows(3).map(|three| three[1] - f64::midpoint(three[0], three[2]));
    Sample::new(differences.collect())
}

/// One reading while the programs are attached, and only then.
fn read_with(
    contender: &dyn Contender,
    read: &mut impl FnMut() -> anyhow::Result<f64>,
) -> anyhow::Result<f64> {
    let attached = contender.attach()?;
    sleep(SETTLE);
    let reading = read()?;
    attached.detach()?;
    sleep(SETTLE);
    Ok(reading)
}
