//! One request to the daemon over its socket, timed: to the first byte of the answer's body, and to the last.
//!
//! HTTP/1.0, so that the answer is not in chunks and ends with the connection. What is in a body is not read here.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};

/// Longer than any header of the daemon.
const HEADER_BYTES: usize = 16 * 1024;

const READ_BYTES: usize = 256 * 1024;

/// How an answer came.
pub struct Timed {
    pub status: String,
    pub body: Vec<u8>,
    /// From before the connection was opened to the first byte of the body; that of the header if there is no body.
    pub first_byte: Duration,
    /// To the last byte.
    pub last_byte: Duration,
}

impl Timed {
    /// How often this text stands in the body.
    pub fn count(&self, part: &str) -> usize {
        let finder = part.as_bytes();
        self.body.windows(finder.len()).filter(|window| *window == finder).count()
    }

    /// # Errors
    /// When the status is another one.
    pub fn expect(self, status: &str) -> anyhow::Result<Self> {
        ensure!(self.status == status, "{}: {}", self.status, String::from_utf8_lossy(&self.body));
        Ok(self)
    }
}

/// Asks, and reads the answer to its end.
///
/// # Errors
/// When the daemon cannot be asked, or its answer has no end of a header. The status is not judged.
pub fn ask(socket: &Path, method: &str, path: &str) -> anyhow::Result<Timed> {
    let begin = Instant::now();
    let mut stream = UnixStream::connect(socket)?;
    send(&mut stream, method, path)?;
    let (mut bytes, mut chunk) = (Vec::new(), vec![0; READ_BYTES]);
    let (mut body_at, mut first_byte, mut last_byte) = (None, None, Duration::ZERO);
    loop {
        let read = stream.read(&mut chunk)?;
        if read == 0 {
            break;
        }
        last_byte = begin.elapsed();
        bytes.extend_from_slice(&chunk[..read]);
        body_at = body_at.or_else(|| end_of_header(&bytes));
        if body_at.is_some_and(|at| at < bytes.len()) {
            first_byte = first_byte.or(Some(last_byte));
        }
    }
    let body = bytes.split_off(body_at.context("the answer has no end of a header")?);
    let status = String::from_utf8_lossy(&bytes).split(' ').nth(1).unwrap_or_default().to_owned();
    Ok(Timed { status, body, first_byte: first_byte.unwrap_or(last_byte), last_byte })
}

/// Sends a request and reads nothing.
///
/// # Errors
/// Those of the socket.
pub fn send(stream: &mut UnixStream, method: &str, path: &str) -> std::io::Result<()> {
    write!(stream, "{method} {path} HTTP/1.0\r\nHost: sockeye\r\nContent-Length: 0\r\n\r\n")
}

fn end_of_header(bytes: &[u8]) -> Option<usize> {
    let header = &bytes[..bytes.len().min(HEADER_BYTES)];
    header.windows(4).position(|window| window == b"\r\n\r\n").map(|at| at + 4)
}
