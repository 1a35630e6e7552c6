//! `ss -tinp`: what a person, or a tracer that polls, asks for the connections of a namespace, their counters
//! and their owners.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

/// Lists the TCP connections of the namespace that this thread is in, and lets go of the list.
pub fn list() -> anyhow::Result<()> {
    // TCP, with what the kernel knows of each, ports as numbers, with the processes.
    let status = ss("-tinp").stdout(Stdio::null()).status().context("cannot start ss (iproute2)")?;
    ensure!(status.success(), "ss: {status}");
    Ok(())
}

/// How many established connections the list has; asked without what makes it slow.
pub fn count() -> anyhow::Result<u64> {
    let mut child = ss("-tn").stdout(Stdio::piped()).spawn().context("cannot start ss (iproute2)")?;
    let mut output = BufReader::new(child.stdout.take().context("the output of ss is a pipe")?);
    let (mut line, mut count) = (Vec::new(), 0);
    while output.read_until(b'\n', &mut line)? > 0 {
        count += u64::from(line.starts_with(b"ESTAB"));
        line.clear();
    }
    let status = child.wait()?;
    ensure!(status.success(), "ss: {status}");
    Ok(count)
}

fn ss(options: &str) -> Command {
    let mut command = Command::new("ss");
    command.arg(options).stdin(Stdio::null());
    command
}
