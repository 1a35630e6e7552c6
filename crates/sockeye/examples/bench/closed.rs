//! Closed connections at a high rate: each is told to a client that polls, exactly once, and what that costs.

use std::thread::sleep;
use std::time::Duration;

use anyhow::anyhow;
use deltas::Delta;

use crate::cpu_time::threads_ns;
use crate::namespace::NetNs;
use crate::producer::{FIRST_COOKIE, Producer, Production};
use crate::table::{Limit, Values};
use crate::tracer::{COLLECT, Client, STATE, Tracer};

/// A little more than what is promised: the achieved rate is what counts.
const PER_SECOND: u32 = 101_000;
const PER_SECOND_MIN: f64 = 100_000.0;
const SECONDS: u32 = 10;

/// So often the client polls: at the default limit the closed log holds more than a second of records.
const POLL_INTERVAL: Duration = Duration::from_millis(500);

const THREADS: [&str; 2] = [COLLECT, STATE];

pub fn measure(world: &NetNs) -> anyhow::Result<Values> {
    let tracer = Tracer::start()?;
    let client = tracer.client()?;
    client.acknowledge(client.poll()?)?;
    let producer = Producer::load(&tracer.programs(), world.inode()?)?;
    let mut told = Told::default();
    let before = THREADS.map(threads_ns);
    let production = std::thread::scope(|scope| {
        let producing = scope.spawn(|| producer.run(PER_SECOND, SECONDS));
        while !producing.is_finished() {
            sleep(POLL_INTERVAL);
            told.poll(&client)?;
        }
        producing.join().map_err(|_| anyhow!("the producer panicked"))?
    })?;
    // What was produced after the last poll began.
    told.poll(&client)?;
    let after = THREADS.map(threads_ns);
    tracer.stop()?;

    let mut table = Values::default();
    tell_losses(&production, &told, &mut table);
    for (thread, (before, after)) in THREADS.iter().zip(before.into_iter().zip(after)) {
        let each = (after? - before?) / production.records as f64;
        table.add(format!("closed: CPU of the thread {thread}, per record"), "ns", each, Limit::None);
    }
    Ok(table)
}

fn tell_losses(production: &Production, told: &Told, table: &mut Values) {
    let rate = production.records as f64 / production.duration.as_secs_f64();
    let name = format!("closed: rate over {SECONDS} s");
    table.add(name, "records/s", rate, Limit::AtLeast(PER_SECOND_MIN));
    let none = Limit::AtMost(0.0);
    table.add("closed: refused by the full ring", "records", production.refused as f64, none);
    let missing = production.records.saturating_sub(told.distinct()) as f64;
    table.add(format!("closed: not told in {} polls", told.polls), "records", missing, none);
    table.add("closed: told more than once, or not as closed", "records", told.wrong as f64, none);
    let name = format!("closed: answers of {} that state a loss", told.polls);
    table.add(name, "answers", told.incomplete as f64, none);
}

/// What the client was told of the records that were made up.
#[derive(Default)]
struct Told {
    /// By the number of the record.
    seen: Vec<bool>,
    wrong: u64,
    polls: u64,
    incomplete: u64,
}

impl Told {
    fn poll(&mut self, client: &Client<'_>) -> anyhow::Result<()> {
        let delta = client.poll()?;
        self.take_in(&delta)?;
        client.acknowledge(delta)
    }

    fn take_in(&mut self, delta: &Delta) -> anyhow::Result<()> {
        self.polls += 1;
        self.incomplete += u64::from(!delta.coverage.complete());
        for connection in delta.changes.iter().map(|change| change.connection) {
            let Some(number) = connection.id.cookie.checked_sub(FIRST_COOKIE) else { continue };
            let number = usize::try_from(number)?;
            if self.seen.len() <= number {
                self.seen.resize(number + 1, false);
            }
            let again = std::mem::replace(&mut self.seen[number], true);
            self.wrong += u64::from(again || connection.closed_at.is_none());
        }
        Ok(())
    }

    fn distinct(&self) -> u64 {
        self.seen.iter().filter(|seen| **seen).count() as u64
    }
}
