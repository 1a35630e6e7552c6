//! The miniature that accounts per packet at the root of the cgroups, and the proof that it counts right.

use std::os::fd::{AsRawFd, OwnedFd};

use anyhow::{Context, ensure};

use crate::compile::compile;
use crate::contender::{Attached, Contender};
use crate::loopback::{Connection, Way};
use crate::miniature::Miniature;
use crate::namespace::NetNs;
use crate::root_cgroup::root_cgroup;

const IPPROTO_TCP: u8 = 6;
const AF_INET: u16 = 2;
/// As the miniature numbers them: packets that are given to a socket, and packets that one sends.
const DIRECTIONS: [u8; 2] = [0, 1];
/// Headers of IPv4 and TCP, without and with timestamps.
const HEADER_BYTES: [u64; 2] = [40, 52];

pub struct PerPacket {
    object: Vec<u8>,
    root: OwnedFd,
}

impl PerPacket {
    pub fn new(world: &NetNs) -> anyhow::Result<Self> {
        let contender = Self { object: compile("per_packet")?, root: root_cgroup()? };
        // Open before the first packet is counted, so that no SYN is, whose options are others.
        let mut connection = world.inside(Connection::open)?;
        let attached = contender.start()?;
        let ways = connection.exchange()?;
        prove(&attached, &ways).context("the miniature that accounts per packet counts wrong")?;
        Box::new(attached).detach()?;
        Ok(contender)
    }

    fn start(&self) -> anyhow::Result<Miniature> {
        Miniature::start(&self.object, |program| program.attach_cgroup(self.root.as_raw_fd()))
    }
}

impl Contender for PerPacket {
    fn name(&self) -> &'static str {
        "accounting per packet"
    }

    fn attach(&self) -> anyhow::Result<Box<dyn Attached>> {
        Ok(Box::new(self.start()?))
    }
}

/// Of each way through the connection there is a flow out of the sender and one into the receiver, with the
/// bytes that passed and the headers of its packets.
fn prove(attached: &Miniature, ways: &[Way]) -> anyhow::Result<()> {
    for way in ways {
        for direction in DIRECTIONS {
            let mut key = way.from_to.clone();
            key.extend([IPPROTO_TCP, direction]);
            key.extend(AF_INET.to_ne_bytes());
            let flow = attached.words("flows", &key)?.context("a flow is missing")?;
            let [bytes, packets, ..] = flow[..] else { unreachable!("a flow has four words") };
            let payload = way.payload_bytes;
            let right = HEADER_BYTES.iter().any(|headers| bytes == payload + packets * headers);
            ensure!(packets > 0 && right, "{bytes} bytes in {packets} packets, and {payload} were sent");
        }
    }
    Ok(())
}
