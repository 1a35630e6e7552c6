//! What the daemon itself takes: memory and CPU time while nothing happens, and one answer.

use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

use crate::daemon::{Daemon, TICK};
use crate::held::Held;
use crate::namespace::NetNs;
use crate::table::{Limit, Values};

const EMPTY_WINDOW: Duration = Duration::from_secs(10);

/// The collector makes a pass every 60 s although nobody polls, and what it costs is part of the idle cost:
/// one is inside this window, wherever it begins.
const IDLE_WINDOW: Duration = Duration::from_secs(61);

const EMPTY_RESIDENT_MIB: f64 = 30.0;
const RESIDENT_MIB: f64 = 64.0;
const CPU_PERCENT: f64 = 0.5;

pub fn measure(world: &NetNs, connections: &[u32]) -> anyhow::Result<Values> {
    let connections = *connections.first().context("how many connections?")?;
    let mut table = Values::default();
    let daemon = Daemon::start()?;
    let cpu = cpu_percent(&daemon, EMPTY_WINDOW)?;
    table.add(cpu_name("no connections", EMPTY_WINDOW), "% of a core", cpu, Limit::None);
    let resident = daemon.memory_mib("VmRSS")?;
    table.add("no connections: resident", "MiB", resident, Limit::AtMost(EMPTY_RESIDENT_MIB));
    table.add("of that anonymous (heap, stacks)", "MiB", daemon.memory_mib("RssAnon")?, Limit::None);
    table.add("BPF maps, in the kernel", "MiB", daemon.map_mib()?, Limit::None);

    let held = Held::open(world, connections)?;
    let cpu = cpu_percent(&daemon, IDLE_WINDOW)?;
    let idle = format!("{connections} idle, no poll");
    table.add(cpu_name(&idle, IDLE_WINDOW), "% of a core", cpu, Limit::AtMost(CPU_PERCENT));
    let resident = daemon.memory_mib("VmRSS")?;
    table.add(format!("{idle}: resident"), "MiB", resident, Limit::AtMost(RESIDENT_MIB));

    let registered = daemon.put("/v1/clients/bench")?;
    ensure!(registered.status == "201", "registering: {}", registered.status);
    let poll = daemon.get("/v1/clients/bench/connections")?;
    ensure!(poll.status == "200", "polling: {}", poll.status);
    let told = count(&poll.bytes, format!("\"netns\":{},", world.inode()?).as_bytes());
    ensure!(told >= connections as usize, "the poll told {told} connections of {connections}");
    let ms = poll.duration.as_secs_f64() * 1e3;
    table.add(format!("first poll, {told} told: to the last byte"), "ms", ms, Limit::None);
    let mib = poll.bytes.len() as f64 / f64::from(1 << 20);
    table.add("first poll: size of the answer", "MiB", mib, Limit::None);
    let resident = daemon.memory_mib("VmRSS")?;
    table.add("after it: resident", "MiB", resident, Limit::AtMost(RESIDENT_MIB));
    let poll = daemon.get("/v1/clients/bench/connections")?;
    let ms = poll.duration.as_secs_f64() * 1e3;
    table.add("second poll, nothing new: to the last byte", "ms", ms, Limit::None);
    drop(held);
    Ok(table)
}

/// The share of one core that the daemon takes, user and system time.
fn cpu_percent(daemon: &Daemon, window: Duration) -> anyhow::Result<f64> {
    let (begin, before) = (Instant::now(), daemon.cpu_time()?);
    sleep(window);
    let used = daemon.cpu_time()?.saturating_sub(before);
    Ok(used.as_secs_f64() / begin.elapsed().as_secs_f64() * 100.0)
}

/// Names the window, and the step in which the kernel counts within it.
fn cpu_name(what: &str, window: Duration) -> String {
    let step = TICK.as_secs_f64() / window.as_secs_f64() * 100.0;
    format!("{what}: CPU over {} s, in steps of {step:.2}", window.as_secs())
}

fn count(text: &[u8], part: &[u8]) -> usize {
    text.windows(part.len()).filter(|window| *window == part).count()
}
