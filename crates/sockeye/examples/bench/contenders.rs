//! Which contenders there are: Sockeye, miniatures of what other tracers do, and programs that do nothing.
//!
//! A miniature proves that it counts right before it takes part: one that counts nothing would look cheap.

use crate::contender::{Attached, Contender};
use crate::empty::Empty;
use crate::namespace::NetNs;
use crate::per_call::PerCall;
use crate::per_packet::PerPacket;
use crate::tracer::Tracer;

/// Names of Sockeye with its default limits, of Sockeye that follows TCP alone, and of Sockeye that does not follow processes.
pub const SOCKEYE: &str = "Sockeye";
pub const WITHOUT_UDP: &str = "Sockeye, without UDP";
pub const WITHOUT_PROCESSES: &str = "Sockeye, without processes";

/// Name of Sockeye that copies no messages of name servers.
pub const WITHOUT_DNS: &str = "Sockeye, without DNS";

/// Those of TCP, in the order of the rows.
pub fn all(world: &NetNs) -> anyhow::Result<Vec<Box<dyn Contender>>> {
    Ok(vec![
        Box::new(SockeyeWithoutUdp),
        Box::new(Sockeye),
        Box::new(SockeyeWithDnsTcp),
        Box::new(PerCall::new(world)?),
        Box::new(PerPacket::new(world)?),
    ])
}

/// What connections cost with calls of connect() followed that fail, beside the others.
pub fn all_with_attempts(world: &NetNs) -> anyhow::Result<Vec<Box<dyn Contender>>> {
    let mut contenders = all(world)?;
    contenders.push(Box::new(SockeyeWithAttempts));
    Ok(contenders)
}

/// Those of UDP.
pub fn of_datagrams(world: &NetNs) -> anyhow::Result<Vec<Box<dyn Contender>>> {
    Ok(vec![Box::new(Empty::new(world)?), Box::new(SockeyeWithoutDns), Box::new(Sockeye)])
}

/// Those of processes.
pub fn of_processes() -> Vec<Box<dyn Contender>> {
    vec![Box::new(SockeyeWithoutProcesses), Box::new(Sockeye)]
}

struct Sockeye;

struct SockeyeWithoutUdp;

struct SockeyeWithoutDns;

struct SockeyeWithDnsTcp;

struct SockeyeWithAttempts;

struct SockeyeWithoutProcesses;

impl Contender for Sockeye {
    fn name(&self) -> &'static str {
        SOCKEYE
    }

    fn attach(&self) -> anyhow::Result<Box<dyn Attached>> {
        Ok(Box::new(Tracer::start()?))
    }
}

impl Contender for SockeyeWithoutUdp {
    fn name(&self) -> &'static str {
        WITHOUT_UDP
    }

    fn attach(&self) -> anyhow::Result<Box<dyn Attached>> {
        Ok(Box::new(Tracer::start_without_udp()?))
    }
}

impl Contender for SockeyeWithoutDns {
    fn name(&self) -> &'static str {
        WITHOUT_DNS
    }

    fn attach(&self) -> anyhow::Result<Box<dyn Attached>> {
        Ok(Box::new(Tracer::start_without_dns()?))
    }
}

impl Contender for SockeyeWithDnsTcp {
    fn name(&self) -> &'static str {
        "Sockeye, `collect.dns_tcp`"
    }

    fn attach(&self) -> anyhow::Result<Box<dyn Attached>> {
        Ok(Box::new(Tracer::start_with_dns_tcp()?))
    }
}

impl Contender for SockeyeWithAttempts {
    fn name(&self) -> &'static str {
        "Sockeye, `collect.connect_attempts`"
    }

    fn attach(&self) -> anyhow::Result<Box<dyn Attached>> {
        Ok(Box::new(Tracer::start_following_attempts()?))
    }
}

impl Contender for SockeyeWithoutProcesses {
    fn name(&self) -> &'static str {
        WITHOUT_PROCESSES
    }

    fn attach(&self) -> anyhow::Result<Box<dyn Attached>> {
        Ok(Box::new(Tracer::start_without_processes()?))
    }
}

impl Attached for Tracer {
    fn detach(self: Box<Self>) -> anyhow::Result<()> {
        self.stop()
    }
}
