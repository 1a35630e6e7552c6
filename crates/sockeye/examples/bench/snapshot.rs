//! Passes over the live connections: from the request of a poll to its answer, encoding and HTTP left out,
//! beside what else there is to read connections with.
//!
//! By the clock, which other processes disturb, and in CPU time, which they disturb less: of all threads of
//! the tracer, of the thread that dumps `inet_diag`, of the process ss. The readings alternate.

use std::collections::HashSet;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::ensure;
use connections::{ConnectionId, OwnerSource};
use deltas::Delta;

use crate::arguments::Arguments;
use crate::cpu_time::{children_ns, process_ns, thread_ns, threads_ns};
use crate::held::Held;
use crate::inet_diag::InetDiag;
use crate::namespace::NetNs;
use crate::sample::Sample;
use crate::socket_statistics;
use crate::table::{Limit, Values};
use crate::tracer::{COLLECT, Client, Tracer};

/// What a pass may take per connection, where there are so many that its fixed price does not count.
const PASS_NS: f64 = 400.0;
const MANY: u32 = 100_000;

/// ss is slow with many connections: it sits out when its readings took so long together.
const SS_BUDGET_NS: f64 = 20e9;

/// And with more than this one reading alone takes minutes.
const SS_MOST: u32 = 200_000;

/// A search for owners is not repeated for 1000 times as long as it took: for minutes, when one was made while the
/// connections were being opened.
const OWNERS_DEADLINE: Duration = Duration::from_secs(600);
const OWNERS_PAUSE: Duration = Duration::from_millis(250);

pub fn measure(world: &NetNs, arguments: &Arguments) -> anyhow::Result<Values> {
    let mut table = Values::default();
    let rounds = arguments.rounds.max(1);
    measure_empty(rounds, &mut table)?;
    for connections in &arguments.connections {
        measure_held(world, *connections, rounds, &mut table)?;
    }
    Ok(table)
}

fn measure_empty(rounds: u32, table: &mut Values) -> anyhow::Result<()> {
    let tracer = Tracer::start()?;
    let client = tracer.client()?;
    client.acknowledge(client.poll()?)?;
    let mut passes = Readings::default();
    for _ in 0..rounds {
        passes.add_pass(&client)?;
    }
    table.add_sample("no connections: pass", "ms", &scaled(&passes.clock_ns, 1e6), Limit::None);
    table.add_sample("no connections: pass, CPU", "ms", &scaled(&passes.cpu_ns, 1e6), Limit::None);
    tracer.stop()
}

fn measure_held(world: &NetNs, connections: u32, rounds: u32, table: &mut Values) -> anyhow::Result<()> {
    let tracer = Tracer::start_for(connections)?;
    let client = tracer.client()?;
    client.acknowledge(client.poll()?)?;
    let mut held = Held::open(world, connections)?;
    let begin = Instant::now();
    let first = client.poll()?;
    let first_ms = begin.elapsed().as_secs_f64() * 1e3;
    let mut settled = Settled::new(world.inode()?);
    let live = settled.take_in(&first);
    ensure!(live >= connections as usize, "told {live} of {connections}");
    client.acknowledge(first)?;
    settled.wait_for(live, &client)?;
    let live = u32::try_from(live)?;
    let first = format!("{live} live: first pass, everything new, owners looked for");
    table.add(first, "ms", first_ms, Limit::None);
    let mut changed = Readings::default();
    for _ in 0..rounds {
        held.talk()?;
        changed.add_news(&client, live)?;
    }
    let readings = Alternation::make(world, &client, live, rounds)?;
    // Before the connections close: nobody needs to be told of that.
    tracer.stop()?;
    drop(held);
    readings.tell(live, table);
    changed.tell("pass in which all have news, which are told", live, Limit::None, table);
    Ok(())
}

/// Which connections of the namespace have an owner that is no guess.
struct Settled {
    netns: u32,
    ids: HashSet<ConnectionId>,
}

impl Settled {
    fn new(netns: u32) -> Self {
        Self { netns, ids: HashSet::new() }
    }

    /// Answers how many connections of the namespace were told.
    fn take_in(&mut self, delta: &Delta) -> usize {
        let told = || delta.changes.iter().map(|change| change.connection);
        let told = || told().filter(|connection| connection.tuple.netns == self.netns);
        let sure = told()
            .filter(|connection| connection.owner.is_some_and(|owner| owner.source != OwnerSource::Listener));
        let sure: Vec<ConnectionId> = sure.map(|connection| connection.id).collect();
        let count = told().count();
        self.ids.extend(sure);
        count
    }

    /// Polls until so many are settled: only then a pass has the least to do.
    fn wait_for(&mut self, connections: usize, client: &Client<'_>) -> anyhow::Result<()> {
        let begin = Instant::now();
        while self.ids.len() < connections {
            let settled = self.ids.len();
            ensure!(begin.elapsed() < OWNERS_DEADLINE, "{settled} of {connections} owners are known");
            sleep(OWNERS_PAUSE);
            let delta = client.poll()?;
            self.take_in(&delta);
            client.acknowledge(delta)?;
        }
        Ok(())
    }
}

/// Readings of one kind.
#[derive(Default)]
struct Readings {
    clock_ns: Vec<f64>,
    cpu_ns: Vec<f64>,
}

impl Readings {
    /// Does `work` and notes what it took by the clock and by `cpu`.
    fn add<T>(
        &mut self,
        cpu: impl Fn() -> anyhow::Result<f64>,
        work: impl FnOnce() -> anyhow::Result<T>,
    ) -> anyhow::Result<T> {
        let (begin, before) = (Instant::now(), cpu()?);
        let done = work()?;
        self.clock_ns.push(begin.elapsed().as_secs_f64() * 1e9);
        self.cpu_ns.push(cpu()? - before);
        Ok(done)
    }

    /// A pass that finds nothing new.
    fn add_pass(&mut self, client: &Client<'_>) -> anyhow::Result<()> {
        let delta = self.add(|| Ok(process_ns()), || client.poll())?;
        client.acknowledge(delta)
    }

    /// A pass that finds news of every connection.
    fn add_news(&mut self, client: &Client<'_>, live: u32) -> anyhow::Result<()> {
        let delta = self.add(|| Ok(process_ns()), || client.poll())?;
        let told = delta.changes.count();
        ensure!(told >= live as usize, "{told} of {live} have news");
        client.acknowledge(delta)
    }

    fn tell(&self, what: &str, live: u32, limit: Limit, table: &mut Values) {
        for (kind, readings, limit) in [("", &self.clock_ns, limit), (", CPU", &self.cpu_ns, Limit::None)] {
            let each = scaled(readings, f64::from(live));
            table.add_sample(format!("{live} live: {what}{kind}, per connection"), "ns", &each, limit);
        }
    }

    /// How many times as long as `passes` of the same rounds.
    fn tell_ratio(&self, what: &str, live: u32, passes: &Self, table: &mut Values) {
        let ratios = self.clock_ns.iter().zip(&passes.clock_ns).map(|(other, pass)| other / pass);
        let name = format!("{live} live: {what}, times as long as a pass");
        table.add_sample(name, "x", &Sample::new(ratios.collect()), Limit::None);
    }
}

/// The same connections read in three ways, in turn.
#[derive(Default)]
struct Alternation {
    passes: Readings,
    /// Of each pass: what reading the kernel and decoding took of its CPU time.
    collect_ns: Vec<f64>,
    dumps: Readings,
    lists: Readings,
}

impl Alternation {
    fn make(world: &NetNs, client: &Client<'_>, live: u32, rounds: u32) -> anyhow::Result<Self> {
        let mut readings = Self::default();
        let mut diag = world.inside(InetDiag::new)?;
        let dumped = diag.dump()?.connections;
        ensure!(dumped >= u64::from(live), "inet_diag told {dumped} of {live}");
        if live <= SS_MOST {
            let listed = world.inside(socket_statistics::count)?;
            ensure!(listed >= u64::from(live), "ss told {listed} of {live}");
        }
        for _ in 0..rounds {
            // Each follows one of its own kind that does not count, and meets the caches as that left them.
            client.acknowledge(client.poll()?)?;
            let before = threads_ns(COLLECT)?;
            readings.passes.add_pass(client)?;
            readings.collect_ns.push(threads_ns(COLLECT)? - before);
            diag.dump()?;
            readings.dumps.add(|| Ok(thread_ns()), || diag.dump())?;
            if live <= SS_MOST && readings.ss_takes_part() {
                let lists = &mut readings.lists;
                world.inside(|| lists.add(children_ns, socket_statistics::list))?;
            }
        }
        Ok(readings)
    }

    fn ss_takes_part(&self) -> bool {
        self.lists.clock_ns.iter().sum::<f64>() < SS_BUDGET_NS
    }

    fn tell(&self, live: u32, table: &mut Values) {
        let limit = if live >= MANY { Limit::AtMost(PASS_NS) } else { Limit::None };
        let pass = scaled(&self.passes.clock_ns, 1e6);
        table.add_sample(format!("{live} live: pass"), "ms", &pass, Limit::None);
        self.passes.tell("pass", live, limit, table);
        let name = format!("{live} live: pass, CPU of the thread {COLLECT}, per connection");
        table.add_sample(name, "ns", &scaled(&self.collect_ns, f64::from(live)), Limit::None);
        for (what, others) in [("inet_diag", &self.dumps), ("ss -tinp", &self.lists)] {
            if others.clock_ns.is_empty() {
                continue;
            }
            others.tell(what, live, Limit::None, table);
            others.tell_ratio(what, live, &self.passes, table);
        }
    }
}

fn scaled(readings: &[f64], by: f64) -> Sample {
    Sample::new(readings.iter().map(|ns| ns / by).collect())
}
