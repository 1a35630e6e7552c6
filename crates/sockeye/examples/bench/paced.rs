//! Work at a steady rate, and what the daemon takes meanwhile.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;
use serde_json::Value;

use crate::daemon::Daemon;
use crate::namespace::NetNs;

/// So much of it in a second, which is what must be kept up with, and for how long.
pub const PER_SECOND: u32 = 5000;
const SECONDS: u32 = 10;
/// What the daemon may take more of a core than without what is measured.
pub const MOST_PERCENT: f64 = 10.0;
/// So much is due at once.
const PIECE: u32 = 50;
/// After it, until what waits was read.
const REST: Duration = Duration::from_secs(2);

/// What came of it.
pub struct Paced {
    pub per_second: f64,
    /// Of a core, user and system time of all threads of the daemon.
    pub percent: f64,
    /// The counters of its status after and before.
    counters: [Value; 2],
}

impl Paced {
    /// Starts a daemon with these settings beside its defaults, and lets `work` be done in the namespace, by numbers.
    pub fn run(
        world: &NetNs,
        settings: &[(&str, &str)],
        work: &mut (impl FnMut(u32) -> anyhow::Result<()> + Send),
    ) -> anyhow::Result<Self> {
        let daemon = Daemon::start_with(settings)?;
        sleep(REST);
        let before = counters(&daemon)?;
        let (began, cpu) = (Instant::now(), daemon.cpu_time()?);
        world.inside(|| {
            for number in 0..PER_SECOND * SECONDS {
                if number % PIECE == 0 {
                    let due = began + Duration::from_secs(1) / PER_SECOND * number;
                    sleep(due.saturating_duration_since(Instant::now()));
                }
                work(number)?;
            }
            Ok(())
        })?;
        let taken = began.elapsed().as_secs_f64();
        sleep(REST);
        let cpu = daemon.cpu_time()?.saturating_sub(cpu);
        Ok(Self {
            per_second: f64::from(PER_SECOND * SECONDS) / taken,
            percent: cpu.as_secs_f64() / taken * 100.0,
            counters: [counters(&daemon)?, before],
        })
    }

    /// By how much a counter has grown, for each time that the work was done.
    pub fn grown(&self, name: &str) -> anyhow::Result<f64> {
        let [after, before] = &self.counters;
        let read = |counters: &Value| counters[name].as_f64().with_context(|| format!("no counter {name}"));
        Ok((read(after)? - read(before)?) / f64::from(PER_SECOND * SECONDS))
    }
}

fn counters(daemon: &Daemon) -> anyhow::Result<Value> {
    let answer = daemon.get("/v1/status")?;
    let body = answer.bytes.windows(4).position(|end| end == b"\r\n\r\n").context("an answer has a head")?;
    let status: Value = serde_json::from_slice(&answer.bytes[body + 4..])?;
    Ok(status["counters"].clone())
}
