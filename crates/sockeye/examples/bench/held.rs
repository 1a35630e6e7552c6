//! Idle connections, held open by child processes inside the namespace.
//!
//! Children, because a process may not open as many descriptors as a measurement may want connections.
//! Counts as the tracer does: the two ends of a connection are two.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::namespace::NetNs;

/// First argument of a child: `hold PAIRS`.
pub const ROLE: &str = "hold";

/// Descriptors that a child needs beside its connections.
const SPARE_DESCRIPTORS: u64 = 64;

/// Well below the 28 232 ports that connections to one address can come from.
const PAIRS_PER_ADDRESS: u32 = 20_000;

/// Connections that stay open until this is dropped.
pub struct Held {
    holders: Vec<Child>,
}

impl Held {
    /// Opens `connections` ends, one more if that is odd, and waits until all are accepted.
    pub fn open(world: &NetNs, connections: u32) -> anyhow::Result<Self> {
        let descriptors = getrlimit(Resource::Nofile).maximum.unwrap_or(u64::MAX);
        let per_holder = u32::try_from(descriptors.saturating_sub(SPARE_DESCRIPTORS) / 2).unwrap_or(u32::MAX);
        ensure!(per_holder > 0, "the limit of open files, {descriptors}, leaves no room for connections");
        let mut left = connections.div_ceil(2);
        let mut held = Self { holders: Vec::new() };
        while left > 0 {
            let pairs = left.min(per_holder);
            held.holders.push(world.inside(|| start(pairs))?);
            left -= pairs;
        }
        held.wait_for("held")?;
        Ok(held)
    }

    /// Sends a byte on every connection, which the other end reads.
    pub fn talk(&mut self) -> anyhow::Result<()> {
        for holder in &mut self.holders {
            let input = holder.stdin.as_mut().context("the input of a holder is a pipe")?;
            input.write_all(b"talk\n")?;
        }
        self.wait_for("talked")
    }

    fn wait_for(&mut self, word: &str) -> anyhow::Result<()> {
        for holder in &mut self.holders {
            let output = holder.stdout.as_mut().context("the output of a holder is a pipe")?;
            let mut line = String::new();
            BufReader::new(output).read_line(&mut line)?;
            ensure!(line.trim_end() == word, "a holder of connections failed");
        }
        Ok(())
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        for holder in &mut self.holders {
            // The end of its input ends it.
            holder.stdin = None;
        }
        for holder in &mut self.holders {
            let _ = holder.wait();
        }
    }
}

fn start(pairs: u32) -> anyhow::Result<Child> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([ROLE, &pairs.to_string()]).stdin(Stdio::piped()).stdout(Stdio::piped());
    command.spawn().context("cannot start a holder of connections")
}

/// The child: opens the connections, says so, and waits for the end of its input.
pub fn hold(mut arguments: impl Iterator<Item = String>) -> anyhow::Result<()> {
    let pairs: u32 = arguments.next().context("how many pairs?")?.parse()?;
    let maximum = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
    let listener = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0))?;
    let port = listener.local_addr()?.port();
    let mut ends = Vec::new();
    for number in 0..pairs {
        let address = Ipv4Addr::from_bits(Ipv4Addr::LOCALHOST.to_bits() + number / PAIRS_PER_ADDRESS);
        let client = TcpStream::connect((address, port))?;
        let (server, _) = listener.accept()?;
        ends.push((client, server));
    }
    println!("held");
    std::io::stdout().flush()?;
    for _line in std::io::stdin().lines() {
        for (client, server) in &mut ends {
            client.write_all(&[7])?;
            server.read_exact(&mut [0])?;
        }
        println!("talked");
        std::io::stdout().flush()?;
    }
    Ok(())
}
