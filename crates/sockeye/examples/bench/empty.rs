//! The miniature whose programs do nothing, where packets of all protocols pass: what the hooks alone cost.
//!
//! Owns the proof that the kernel runs them for every datagram. What Sockeye adds above them, `datagrams` says.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, ensure};

use crate::compile::compile;
use crate::contender::{Attached, Contender};
use crate::miniature::Miniature;
use crate::namespace::NetNs;
use crate::program_runs::RunCounting;
use crate::root_cgroup::root_cgroup;
use crate::udp_sockets::{PASSAGES_PER_ROUND_TRIP, Pair};

/// Name of the contender.
pub const EMPTY: &str = "empty programs at packets";

const ROUND_TRIPS: u32 = 100;

pub struct Empty {
    object: Vec<u8>,
    root: OwnedFd,
}

impl Empty {
    pub fn new(world: &NetNs) -> anyhow::Result<Self> {
        let contender = Self { object: compile("empty_packet")?, root: root_cgroup()? };
        let attached = contender.start()?;
        world.inside(|| prove(&attached)).context("the miniature that does nothing does not run")?;
        Box::new(attached).detach()?;
        Ok(contender)
    }

    fn start(&self) -> anyhow::Result<Miniature> {
        Miniature::start(&self.object, |program| program.attach_cgroup(self.root.as_raw_fd()))
    }
}

impl Contender for Empty {
    fn name(&self) -> &'static str {
        EMPTY
    }

    fn attach(&self) -> anyhow::Result<Box<dyn Attached>> {
        Ok(Box::new(self.start()?))
    }
}

/// The kernel runs a program wherever a datagram leaves or arrives. Others of the host may pass meanwhile.
fn prove(attached: &Miniature) -> anyhow::Result<()> {
    let mut pair = Pair::unconnected()?;
    let counting = RunCounting::start(attached.programs()?)?;
    let before = counting.runs()?;
    for _ in 0..ROUND_TRIPS {
        pair.round_trip(&mut [7])?;
    }
    let (runs, passages) = (counting.runs()? - before, u64::from(ROUND_TRIPS * PASSAGES_PER_ROUND_TRIP));
    ensure!(runs >= passages, "{runs} runs, and datagrams left or arrived {passages} times");
    Ok(())
}
