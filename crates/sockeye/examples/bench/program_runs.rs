//! How often the kernel ran programs of ours, and for how long.
//!
//! The kernel counts only while it is told to, for all programs of the host, and counting itself costs: so
//! never while time is measured. A bench that is killed while it counts leaves the counting on.

use anyhow::{Context, ensure};
use libbpf_rs::query::ProgInfoIter;

const SWITCH: &str = "/proc/sys/kernel/bpf_stats_enabled";

/// The kernel counts while this lives.
pub struct RunCounting {
    programs: Vec<u32>,
    before: String,
}

impl RunCounting {
    pub fn start(programs: Vec<u32>) -> anyhow::Result<Self> {
        let before = std::fs::read_to_string(SWITCH).context("the kernel cannot count program runs")?;
        std::fs::write(SWITCH, "1").context("cannot switch the counting of program runs on")?;
        Ok(Self { programs, before })
    }

    /// Runs of all these programs together.
    pub fn runs(&self) -> anyhow::Result<u64> {
        Ok(self.runs_and_ns()?.iter().map(|(runs, _)| runs).sum())
    }

    /// Of each program, in the order of their ids: its runs, and how long these took in nanoseconds. The counting itself
    /// takes about 50 ns of each run.
    pub fn runs_and_ns(&self) -> anyhow::Result<Vec<(u64, u64)>> {
        let ours: Vec<(u64, u64)> = ProgInfoIter::default()
            .filter(|program| self.programs.contains(&program.id))
            .map(|program| (program.run_cnt, program.run_time_ns))
            .collect();
        ensure!(ours.len() == self.programs.len(), "the kernel does not list all of these programs");
        Ok(ours)
    }
}

impl Drop for RunCounting {
    fn drop(&mut self) {
        let _ = std::fs::write(SWITCH, &self.before);
    }
}
