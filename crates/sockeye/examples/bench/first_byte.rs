//! From a request for many connections to the first byte of the answer's body and to its last, of the real daemon.
//!
//! The pass over the connections begins after the request and is in it. How long that takes alone is told by asking
//! for the listeners: their answer waits for a pass as a poll does, and is small.

use std::time::Duration;

use anyhow::ensure;

use crate::daemon::Daemon;
use crate::held::Held;
use crate::namespace::NetNs;
use crate::request::Timed;
use crate::sample::Sample;
use crate::table::{Limit, Values};

/// Both ends count.
const CONNECTIONS: u32 = 100_000;

/// With fewer the worst one says little.
const LEAST_ROUNDS: u32 = 7;

const FIRST_BYTE_MS: f64 = 150.0;

const LISTENERS: &str = "/v1/listeners";
const FRESH: &str = "/v1/clients/fresh";
const FRESH_POLL: &str = "/v1/clients/fresh/connections";
const TOLD: &str = "/v1/clients/told";
const TOLD_POLL: &str = "/v1/clients/told/connections";
const REFERENCE_FRESH: &str = "/v1/clients/reference-fresh";
const REFERENCE_FRESH_POLL: &str = "/network_tracer/connections?client_id=reference-fresh";
const REFERENCE_TOLD_POLL: &str = "/network_tracer/connections?client_id=reference-told";

pub fn measure(world: &NetNs, rounds: u32) -> anyhow::Result<Values> {
    let daemon = Daemon::start()?;
    let mut run = Run { held: Held::open(world, CONNECTIONS)?, daemon, netns: world.inode()? };
    run.ask("PUT", TOLD)?.expect("201")?;
    // Does not count: buffers grow to their size. Owners may be guesses for minutes, in which a pass has more to do.
    run.round()?;
    let rounds = (0..rounds.max(LEAST_ROUNDS)).map(|_| run.round()).collect::<anyhow::Result<Vec<_>>>()?;
    let mut table = Values::default();
    for (kind, (what, limit)) in KINDS.iter().enumerate() {
        tell(&rounds, kind, what, *limit, &mut table);
    }
    Ok(table)
}

/// What a round measures, in its order.
const KINDS: [(&str, Limit); 8] = [
    ("a pass, all rest, listeners told", Limit::None),
    ("a pass, all have news, listeners told", Limit::None),
    ("native, a fresh client", Limit::AtMost(FIRST_BYTE_MS)),
    ("native, all have news", Limit::AtMost(FIRST_BYTE_MS)),
    ("native, all rest", Limit::AtMost(FIRST_BYTE_MS)),
    ("reference, a fresh client", Limit::AtMost(FIRST_BYTE_MS)),
    ("reference, all have news", Limit::AtMost(FIRST_BYTE_MS)),
    ("reference, all rest", Limit::AtMost(FIRST_BYTE_MS)),
];

/// To the first byte and to the last, in ms, and the size in MiB.
struct Reading {
    first_ms: f64,
    last_ms: f64,
    mib: f64,
}

struct Run {
    held: Held,
    daemon: Daemon,
    netns: u32,
}

impl Run {
    /// One reading of each kind.
    fn round(&mut self) -> anyhow::Result<[Reading; KINDS.len()]> {
        let pass_at_rest = self.read(LISTENERS, None)?;
        self.held.talk()?;
        let pass_with_news = self.read(LISTENERS, None)?;
        self.ask("PUT", FRESH)?.expect("201")?;
        let fresh = self.read(FRESH_POLL, Some(true))?;
        self.ask("DELETE", FRESH)?.expect("204")?;
        self.held.talk()?;
        let news = self.read(TOLD_POLL, Some(true))?;
        let rest = self.read(TOLD_POLL, Some(false))?;
        let reference_fresh = self.read(REFERENCE_FRESH_POLL, Some(true))?;
        self.ask("DELETE", REFERENCE_FRESH)?.expect("204")?;
        self.held.talk()?;
        let reference_news = self.read(REFERENCE_TOLD_POLL, Some(true))?;
        let reference_rest = self.read(REFERENCE_TOLD_POLL, Some(false))?;
        Ok([pass_at_rest, pass_with_news, fresh, news, rest, reference_fresh, reference_news, reference_rest])
    }

    /// An answer that tells all connections, or hardly any; without `tells_all` it is of something else.
    fn read(&self, path: &str, tells_all: Option<bool>) -> anyhow::Result<Reading> {
        let answer = self.ask("GET", path)?.expect("200")?;
        if let Some(tells_all) = tells_all {
            let part = match path.starts_with("/v1/") {
                true => format!("\"netns\":{},", self.netns),
                false => format!("\"netNS\":{},", self.netns),
            };
            let told = answer.count(&part);
            let all = told >= CONNECTIONS as usize;
            ensure!(all == tells_all, "{path} told {told} of {CONNECTIONS}");
        }
        let ms = |duration: Duration| duration.as_secs_f64() * 1e3;
        let mib = answer.body.len() as f64 / f64::from(1 << 20);
        Ok(Reading { first_ms: ms(answer.first_byte), last_ms: ms(answer.last_byte), mib })
    }

    fn ask(&self, method: &str, path: &str) -> anyhow::Result<Timed> {
        self.daemon.time(method, path)
    }
}

fn tell(rounds: &[[Reading; KINDS.len()]], kind: usize, what: &str, limit: Limit, table: &mut Values) {
    let sample =
        |number: fn(&Reading) -> f64| Sample::new(rounds.iter().map(|round| number(&round[kind])).collect());
    let name = |to: &str| format!("{CONNECTIONS} live: {what}: {to}");
    table.add_sample(name("to the first byte"), "ms", &sample(|reading| reading.first_ms), limit);
    table.add_sample(name("to the last byte"), "ms", &sample(|reading| reading.last_ms), Limit::None);
    table.add_sample(name("size"), "MiB", &sample(|reading| reading.mib), Limit::None);
}
