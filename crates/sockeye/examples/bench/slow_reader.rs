//! A client that polls and reads one byte of the answer per second.
//!
//! When its answer is cut or refused it asks again a second later, which is what `Retry-After` says.

use std::io::Read;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::ensure;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::ioctl_fionread;

use crate::request::{ask, send};

const BYTE_EVERY: Duration = Duration::from_secs(1);

/// What waits in the socket of a reader whose answer does not fit into it.
const FULL_BYTES: u64 = 64 * 1024;

/// Between two looks whether it is over.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What became of its polls.
#[derive(Debug, Default, Clone, Copy)]
pub struct SlowCount {
    /// Answers that began with 200.
    pub begun: u64,
    /// Of them, those that were cut by the daemon.
    pub cut: u64,
    /// Answers with another status: 429.
    pub refused: u64,
}

impl SlowCount {
    pub fn add(&mut self, other: Self) {
        let Self { begun, cut, refused } = other;
        self.begun += begun;
        self.cut += cut;
        self.refused += refused;
    }
}

/// Polls as the client `id` until `stop`.
///
/// # Errors
/// When the client cannot be registered or the daemon takes no connection.
pub fn read_slowly(socket: &Path, id: &str, stop: &AtomicBool) -> anyhow::Result<SlowCount> {
    ask(socket, "PUT", &format!("/v1/clients/{id}"))?;
    let mut count = SlowCount::default();
    while !stop.load(Ordering::Relaxed) {
        let mut stream = UnixStream::connect(socket)?;
        send(&mut stream, "GET", &format!("/v1/clients/{id}/connections"))?;
        // `HTTP/1.0 200`, which decides whether there is something to read slowly.
        let mut status = [0; 12];
        match stream.read_exact(&mut status) {
            Ok(()) if status.ends_with(b"200") => {
                count.begun += 1;
                count.cut += u64::from(drip(&mut stream, stop)?);
            }
            Ok(()) => {
                ensure!(status.ends_with(b"429"), "{}", String::from_utf8_lossy(&status));
                count.refused += 1;
            }
            Err(_) => count.cut += 1,
        }
        drop(stream);
        wait(stop);
    }
    Ok(count)
}

/// Reads a byte per second; answers whether the daemon has cut the answer.
///
/// What is in the socket can still be read after that, so a cut shows in the state of the socket, not in the bytes.
fn drip(stream: &mut UnixStream, stop: &AtomicBool) -> anyhow::Result<bool> {
    let mut is_large = false;
    while !stop.load(Ordering::Relaxed) {
        wait(stop);
        is_large |= ioctl_fionread(&*stream)? >= FULL_BYTES;
        let mut watched = [PollFd::new(&*stream, PollFlags::RDHUP)];
        poll(&mut watched, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
        if watched[0].revents().intersects(PollFlags::RDHUP | PollFlags::HUP | PollFlags::ERR) {
            return Ok(true);
        }
        ensure!(is_large || stop.load(Ordering::Relaxed), "the answer does not fill its socket");
        if !matches!(stream.read(&mut [0; 1]), Ok(1)) {
            return Ok(true);
        }
    }
    Ok(false)
}

fn wait(stop: &AtomicBool) {
    let begin = Instant::now();
    while begin.elapsed() < BYTE_EVERY && !stop.load(Ordering::Relaxed) {
        sleep(LOOK_EVERY);
    }
}
