//! What an audit takes: the tracer with one audit after the other, beside the tracer without any.
//!
//! The processor time is that of all threads of the tracer, so that comparing is in it and not only reading. What an audit
//! takes of a core follows from how often there is one.

use std::thread::sleep;
use std::time::Duration;

use anyhow::Context;

use crate::cpu_time::process_ns;
use crate::held::Held;
use crate::namespace::NetNs;
use crate::table::{Limit, Values};
use crate::tracer::Tracer;

const WINDOW: Duration = Duration::from_secs(10);
/// Between two audits of the window.
const INTERVAL_MS: u32 = 50;
/// Between two audits by default.
const DEFAULT_INTERVAL_NS: f64 = 60e9;
const MOST_PERCENT: f64 = 0.2;

pub fn measure(world: &NetNs, connections: &[u32]) -> anyhow::Result<Values> {
    let connections = *connections.first().context("how many connections?")?;
    let held = Held::open(world, connections)?;
    let mut table = Values::default();
    let (without, _) = window(0)?;
    let (with, audits) = window(INTERVAL_MS)?;
    let (without_again, _) = window(0)?;
    let idle = f64::midpoint(without, without_again);
    let each = (with - idle) / audits as f64;
    let what = |what: &str| format!("{connections} idle: {what}");
    table.add(what("audits in 10 s"), "", audits as f64, Limit::AtLeast(5.0));
    table.add(what("an audit, CPU of all threads"), "ms", each / 1e6, Limit::None);
    let percent = each / DEFAULT_INTERVAL_NS * 100.0;
    table.add(what("an audit each minute"), "% of a core", percent, Limit::AtMost(MOST_PERCENT));
    drop(held);
    Ok(table)
}

/// Processor time of a window, and how many audits ended in it.
fn window(interval_ms: u32) -> anyhow::Result<(f64, u64)> {
    let tracer = Tracer::start_auditing(interval_ms)?;
    let client = tracer.client()?;
    let audits = || -> anyhow::Result<u64> {
        let delta = client.poll()?;
        let audits = delta.coverage.audit.map_or(0, |audit| audit.audits);
        client.acknowledge(delta)?;
        Ok(audits)
    };
    // The first passes tell everything, and owners are looked for.
    audits()?;
    sleep(Duration::from_secs(2));
    let before = audits()?;
    let began = process_ns();
    sleep(WINDOW);
    let spent = process_ns() - began;
    let ended = audits()? - before;
    tracer.stop()?;
    Ok((spent, ended))
}
