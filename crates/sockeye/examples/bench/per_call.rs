//! The miniature that accounts per send and receive, and the proof that it counts right.

use std::cell::RefCell;

use anyhow::{Context, ensure};
use libbpf_rs::{MapCore, RingBufferBuilder};

use crate::compile::compile;
use crate::contender::{Attached, Contender};
use crate::loopback::{Connection, Way};
use crate::miniature::{Miniature, words};
use crate::namespace::NetNs;

/// As `struct connection_key` of the miniature; in words.
const KEY_BYTES: usize = 48;

pub struct PerCall {
    object: Vec<u8>,
}

impl PerCall {
    pub fn new(world: &NetNs) -> anyhow::Result<Self> {
        let contender = Self { object: compile("per_call")? };
        let attached = contender.start()?;
        world.inside(|| prove(&attached)).context("the miniature that accounts per call counts wrong")?;
        Box::new(attached).detach()?;
        Ok(contender)
    }

    fn start(&self) -> anyhow::Result<Miniature> {
        Miniature::start(&self.object, |program| program.attach())
    }
}

impl Contender for PerCall {
    fn name(&self) -> &'static str {
        "accounting per call"
    }

    fn attach(&self) -> anyhow::Result<Box<dyn Attached>> {
        Ok(Box::new(self.start()?))
    }
}

/// What the maps hold of a connection while it is open, and the ring when it was closed, is what passed.
fn prove(attached: &Miniature) -> anyhow::Result<()> {
    let mut connection = Connection::open()?;
    let ways = connection.exchange()?;
    for way in &ways {
        let traffic = attached.words("traffic_by_connection", &key(attached, way)?)?;
        check(way, &traffic.context("the connection left while it was looked at")?)?;
    }
    drop(connection);
    let closed = RefCell::new(Vec::new());
    let mut ring = RingBufferBuilder::new();
    let map = attached.map("closed")?;
    ring.add(&map, |record| {
        closed.borrow_mut().push(record.to_vec());
        0
    })?;
    ring.build()?.consume()?;
    for way in &ways {
        let closed = closed.borrow();
        let mut told = closed.iter().filter(|record| record.starts_with(&way.from_to));
        let record = told.next().context("a closed connection was not told")?;
        ensure!(told.next().is_none(), "a closed connection was told twice");
        check(way, &words(record.get(KEY_BYTES..).unwrap_or_default()))?;
        ensure!(key(attached, way).is_err(), "a closed connection stays in the map");
    }
    Ok(())
}

/// The key of this way's sender, with namespace and process.
fn key(attached: &Miniature, way: &Way) -> anyhow::Result<Vec<u8>> {
    let key = attached.map("traffic_by_connection")?.keys().find(|key| key.starts_with(&way.from_to));
    key.context("the connection is not in the map")
}

/// The value begins with the bytes sent and received.
fn check(way: &Way, traffic: &[u64]) -> anyhow::Result<()> {
    let expected = [way.payload_bytes, way.answered_bytes];
    ensure!(traffic.starts_with(&expected), "it counted {traffic:?}, and {expected:?} bytes passed");
    Ok(())
}
