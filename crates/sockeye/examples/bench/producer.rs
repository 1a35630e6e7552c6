//! Made-up final records, put into a running tracer's ring buffer at a steady rate.
//!
//! Real connections cannot close so fast that the tracer's consumer would have to hurry: opening them takes
//! all CPUs. A program of the bench's own writes into the tracer's map what its hooks would.

use std::os::fd::AsFd;
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use libbpf_rs::query::{ProgInfoIter, ProgInfoQueryOptions};
use libbpf_rs::{MapCore, MapHandle, Object, ObjectBuilder, ProgramInput};

use crate::compile::compile;

/// Above every cookie that a socket gets.
pub const FIRST_COOKIE: u64 = 1 << 62;

const RING: &str = "closed_records";
/// As in the program.
const BATCH_MAX: u64 = 128;
/// Between two looks at how many records are due.
const PAUSE: Duration = Duration::from_millis(1);

/// The loaded program.
pub struct Producer {
    object: Object,
    ring_wake_bytes: u64,
    netns: u32,
}

/// What was put into the ring.
pub struct Production {
    pub records: u64,
    /// Of those, for how many the ring had no room.
    pub refused: u64,
    pub duration: Duration,
}

impl Producer {
    /// Loads the program with the ring of the tracer that has these programs. The connections are of `netns`.
    pub fn load(tracer: &[u32], netns: u32) -> anyhow::Result<Self> {
        let ring = ring_of(tracer)?;
        let object = compile("closed_records")?;
        let mut object = ObjectBuilder::default().open_memory(&object)?;
        let mut own = object.maps_mut().find(|map| map.name() == RING).context("the producer has a ring")?;
        own.reuse_fd(ring.as_fd())?;
        let object = object.load().context("cannot load the producer")?;
        Ok(Self { object, ring_wake_bytes: u64::from(ring.max_entries() / 2), netns })
    }

    /// Produces at `per_second` for so many seconds: many small batches, each when it is due.
    pub fn run(&self, per_second: u32, seconds: u32) -> anyhow::Result<Production> {
        let total = u64::from(per_second) * u64::from(seconds);
        let (begin, mut records, mut refused) = (Instant::now(), 0, 0);
        while records < total {
            let micros = begin.elapsed().as_micros();
            let due = u64::try_from(micros * u128::from(per_second) / 1_000_000)?.min(total);
            while records < due {
                let batch = BATCH_MAX.min(due - records);
                refused += self.produce(FIRST_COOKIE + records, batch)?;
                records += batch;
            }
            sleep(PAUSE);
        }
        Ok(Production { records, refused, duration: begin.elapsed() })
    }

    /// Runs the program once; answers for how many records the ring had no room.
    fn produce(&self, first_cookie: u64, records: u64) -> anyhow::Result<u64> {
        // As `struct batch`.
        let mut batch = Vec::with_capacity(32);
        batch.extend(first_cookie.to_ne_bytes());
        batch.extend(self.ring_wake_bytes.to_ne_bytes());
        batch.extend(u32::try_from(records)?.to_ne_bytes());
        batch.extend(self.netns.to_ne_bytes());
        batch.extend(u64::from(std::process::id()).to_ne_bytes());
        let input = ProgramInput { context_in: Some(&mut batch), ..ProgramInput::default() };
        let program = self.object.progs_mut().next().context("the producer has a program")?;
        Ok(u64::from(program.test_run(input)?.return_value))
    }
}

/// The ring buffer that these programs write to.
fn ring_of(tracer: &[u32]) -> anyhow::Result<MapHandle> {
    let options = ProgInfoQueryOptions::default().include_map_ids(true);
    let programs = ProgInfoIter::with_query_opts(options).filter(|program| tracer.contains(&program.id));
    for map in programs.flat_map(|program| program.map_ids) {
        let map = MapHandle::from_map_id(map)?;
        if map.name() == RING {
            ensure!(map.value_size() == 0, "{RING} is a ring buffer");
            return Ok(map);
        }
    }
    anyhow::bail!("the tracer has no map {RING}")
}
