//! HTTP connections to the daemon on which nothing happens, a fixed number of them.
//!
//! Every second one has had a request answered, the others sent none. The daemon closes an idle one after 5 s: each is
//! replaced before it is older than 4 s, one after the other, so that their number is always the same or one less.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::Context;

/// Less than what the daemon waits for a request.
const AGE: Duration = Duration::from_secs(4);

const PAUSE: Duration = Duration::from_millis(5);

/// What became of them.
#[derive(Debug, Default)]
pub struct IdleCount {
    /// How many were replaced because of their age.
    pub renewed: u64,
    /// How many of these the daemon had closed before.
    pub found_closed: u64,
}

/// Keeps so many until `stop`.
///
/// # Errors
/// When the daemon takes no connection or does not answer.
pub fn keep(socket: &Path, connections: u32, stop: &AtomicBool) -> anyhow::Result<IdleCount> {
    let mut idle = VecDeque::new();
    let mut count = IdleCount::default();
    let apart = AGE / connections;
    let begin = Instant::now();
    for number in 0..connections {
        // As if they had come one after the other, so that they are not replaced together.
        let renew_at = begin + apart * (number + 1);
        idle.push_back((renew_at, open(socket, number % 2 == 0)?));
    }
    while !stop.load(Ordering::Relaxed) {
        while idle.front().is_some_and(|(renew_at, _)| *renew_at <= Instant::now()) {
            let (_, old) = idle.pop_front().context("there is one")?;
            count.found_closed += u64::from(is_closed(&old)?);
            drop(old);
            count.renewed += 1;
            idle.push_back((Instant::now() + AGE, open(socket, count.renewed % 2 == 0)?));
        }
        sleep(PAUSE);
    }
    Ok(count)
}

fn open(socket: &Path, asks: bool) -> anyhow::Result<UnixStream> {
    let mut stream = UnixStream::connect(socket)?;
    if asks {
        stream.write_all(b"GET /livez HTTP/1.1\r\nHost: sockeye\r\n\r\n")?;
        // A short answer comes at once.
        stream.read(&mut [0; 1024]).context("an answer")?;
    }
    Ok(stream)
}

fn is_closed(mut stream: &UnixStream) -> anyhow::Result<bool> {
    stream.set_nonblocking(true)?;
    Ok(match stream.read(&mut [0; 1024]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != ErrorKind::WouldBlock,
    })
}
