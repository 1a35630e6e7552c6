//! Polls of one healthy client: alone, and beside idle HTTP connections and clients that read a byte per second.
//!
//! Windows alternate, alone, beside, alone, beside, in one run of one daemon. What the others do stands in `idle_http`
//! and `slow_reader`.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{Scope, ScopedJoinHandle, scope, sleep};
use std::time::{Duration, Instant};

use anyhow::{anyhow, ensure};

use crate::daemon::Daemon;
use crate::held::Held;
use crate::idle_http::{self, IdleCount};
use crate::namespace::NetNs;
use crate::sample::Sample;
use crate::slow_reader::{SlowCount, read_slowly};
use crate::table::{Limit, Values};

/// Both ends count; every slow reader is told all of them.
const CONNECTIONS: u32 = 20_000;
const IDLE: u32 = 200;
const SLOW: u32 = 50;

/// Of each kind.
const WINDOWS: u32 = 2;
const WINDOW: Duration = Duration::from_secs(15);
/// Between two polls of the healthy client.
const PAUSE: Duration = Duration::from_millis(100);
/// All slow readers have asked by then, and those that got an answer are slow.
const SETTLING: Duration = Duration::from_secs(5);

/// B's median may be so many times A's.
const SLOWDOWN: f64 = 1.2;
const MEMORY_MIB: f64 = 256.0;

/// Nothing is new for this one, and it is told hardly anything.
const SMALL: &str = "/v1/clients/small/connections";
/// This one never acknowledges, so that each of its answers tells everything.
const LARGE: &str = "/v1/clients/large/connections?after=0";

pub fn measure(world: &NetNs) -> anyhow::Result<Values> {
    let daemon = Daemon::start()?;
    let held = Held::open(world, CONNECTIONS)?;
    for client in ["small", "large"] {
        daemon.time("PUT", &format!("/v1/clients/{client}"))?.expect("201")?;
    }
    // Does not count: owners are looked for, and buffers grow to their size.
    Polls::default().add_window(&daemon)?;
    let base_mib = daemon.memory_mib("VmRSS")?;
    let (mut alone, mut beside) = (Polls::default(), Polls::default());
    let mut load = Load::default();
    for _ in 0..WINDOWS {
        alone.add_window(&daemon)?;
        load.add(with_load(daemon.socket(), || {
            sleep(SETTLING);
            beside.add_window(&daemon)
        })?);
    }
    drop(held);
    let mut table = Values::default();
    alone.tell("alone", &mut table);
    beside.tell("beside", &mut table);
    tell_ratio("small answer", &alone.small_ms, &beside.small_ms, &mut table);
    tell_ratio("large answer", &alone.large_ms, &beside.large_ms, &mut table);
    let refused = f64::from(alone.refused + beside.refused);
    table.add("polls of the healthy client that were refused", "", refused, Limit::AtMost(0.0));
    table.add("resident before", "MiB", base_mib, Limit::None);
    let added = beside.most_resident_mib.max(alone.most_resident_mib) - base_mib;
    table.add("resident, most above that", "MiB", added, Limit::AtMost(MEMORY_MIB));
    load.tell(&mut table);
    Ok(table)
}

/// Polls of the healthy client.
#[derive(Default)]
struct Polls {
    small_ms: Vec<f64>,
    large_ms: Vec<f64>,
    refused: u32,
    most_resident_mib: f64,
}

impl Polls {
    /// Small and large in turn, for one window.
    fn add_window(&mut self, daemon: &Daemon) -> anyhow::Result<()> {
        let begin = Instant::now();
        while begin.elapsed() < WINDOW {
            for (path, large) in [(SMALL, false), (LARGE, true)] {
                let answer = daemon.time("GET", path)?;
                self.most_resident_mib = self.most_resident_mib.max(daemon.memory_mib("VmRSS")?);
                sleep(PAUSE);
                if answer.status != "200" {
                    self.refused += 1;
                    continue;
                }
                let told = answer.count("\"netns\":");
                ensure!(!large || told >= CONNECTIONS as usize, "told {told} of {CONNECTIONS}");
                let readings = if large { &mut self.large_ms } else { &mut self.small_ms };
                readings.push(answer.last_byte.as_secs_f64() * 1e3);
            }
        }
        Ok(())
    }

    fn tell(&self, beside: &str, table: &mut Values) {
        for (what, readings) in [("small answer", &self.small_ms), ("large answer", &self.large_ms)] {
            let sample = Sample::new(readings.clone());
            table.add_sample(format!("{what}, {beside}"), "ms", &sample, Limit::None);
            let name = format!("{what}, {beside}: 90th percentile of {}", readings.len());
            table.add(name, "ms", sample.high_tenth(), Limit::None);
        }
    }
}

fn tell_ratio(what: &str, alone: &[f64], beside: &[f64], table: &mut Values) {
    let median = |readings: &[f64]| Sample::new(readings.to_vec()).median();
    let ratio = median(beside) / median(alone);
    table.add(format!("{what}, medians, beside over alone"), "x", ratio, Limit::AtMost(SLOWDOWN));
}

/// What became of the others.
#[derive(Default)]
struct Load {
    idle: IdleCount,
    slow: SlowCount,
}

impl Load {
    fn add(&mut self, other: Self) {
        let Self { idle, slow } = other;
        self.idle.renewed += idle.renewed;
        self.idle.found_closed += idle.found_closed;
        self.slow.add(slow);
    }

    fn tell(&self, table: &mut Values) {
        for (what, count) in [
            ("idle HTTP connections replaced", self.idle.renewed),
            ("of them closed by the daemon before", self.idle.found_closed),
            ("slow readers: answers begun", self.slow.begun),
            ("slow readers: answers cut", self.slow.cut),
            ("slow readers: polls refused", self.slow.refused),
        ] {
            table.add(what, "", count as f64, Limit::None);
        }
    }
}

/// Does `work` beside the idle connections and the slow readers.
fn with_load(socket: &Path, work: impl FnOnce() -> anyhow::Result<()>) -> anyhow::Result<Load> {
    let stop = &AtomicBool::new(false);
    scope(|threads| {
        let idle = threads.spawn(move || idle_http::keep(socket, IDLE, stop));
        let slow: Vec<_> = (0..SLOW).map(|number| start_slow(threads, socket, number, stop)).collect();
        let worked = work();
        stop.store(true, Ordering::Relaxed);
        let mut load = Load { idle: joined(idle)?, slow: SlowCount::default() };
        for reader in slow {
            load.slow.add(joined(reader)?);
        }
        worked.map(|()| load)
    })
}

type Started<'scope, T> = ScopedJoinHandle<'scope, anyhow::Result<T>>;

fn start_slow<'scope>(
    threads: &'scope Scope<'scope, '_>,
    socket: &'scope Path,
    number: u32,
    stop: &'scope AtomicBool,
) -> Started<'scope, SlowCount> {
    threads.spawn(move || read_slowly(socket, &format!("slow-{number}"), stop))
}

fn joined<T>(thread: Started<'_, T>) -> anyhow::Result<T> {
    thread.join().map_err(|_| anyhow!("a thread of the load panicked"))?
}
