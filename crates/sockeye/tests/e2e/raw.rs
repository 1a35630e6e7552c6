//! A client that can misbehave: reads as much of an answer as a test wants, when it wants, or nothing at all.
//! What is read to its end is held against the API's document.

use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::Uid;
use rustix::thread::set_thread_res_uid;

use crate::openapi::{Seen, assert_promised};
use crate::wait::DEADLINE;

/// A request that was sent, and what was read of its answer. Dropped, the connection is closed.
pub struct Raw {
    path: String,
    stream: UnixStream,
    read: Vec<u8>,
}

impl Raw {
    /// Sends `GET path`.
    pub fn ask(socket: &Path, path: &str) -> Self {
        Self::try_ask(socket, path).expect("the daemon listens")
    }

    /// Sends `GET path` with header fields, and asks for the end of the connection after the answer.
    pub fn ask_with(socket: &Path, path: &str, headers: &str) -> Self {
        Self::send(socket, path, &format!("{headers}Connection: close\r\n")).expect("the daemon listens")
    }

    /// Sends `GET path`, if somebody listens.
    pub fn try_ask(socket: impl AsRef<Path>, path: &str) -> io::Result<Self> {
        Self::send(socket.as_ref(), path, "")
    }

    fn send(socket: &Path, path: &str, headers: &str) -> io::Result<Self> {
        let mut stream = UnixStream::connect(socket)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        write!(stream, "GET {path} HTTP/1.1\r\nHost: sockeye\r\n{headers}\r\n")?;
        Ok(Self { path: path.to_owned(), stream, read: Vec::new() })
    }

    /// Sends `GET path` as this user.
    pub fn ask_as(uid: u32, socket: &Path, path: &str) -> Self {
        let user = Uid::from_raw(uid);
        // The kernel takes the peer from the thread that connects; the thread ends, and with it the change.
        std::thread::scope(|scope| {
            let thread = scope.spawn(|| {
                set_thread_res_uid(user, user, user).expect("root may be anyone");
                Self::ask(socket, path)
            });
            thread.join().expect("it does not panic")
        })
    }

    /// Waits until there is something to read, and reads nothing.
    pub fn wait_answer(&self) {
        let seconds = DEADLINE.as_secs().try_into().expect("a few seconds");
        let mut ready = [PollFd::from_borrowed_fd(self.stream.as_fd(), PollFlags::IN)];
        let ready = poll(&mut ready, Some(&Timespec { tv_sec: seconds, tv_nsec: 0 }));
        assert_eq!(ready, Ok(1), "no answer came");
    }

    /// Reads at least this much.
    pub fn read_some(&mut self, bytes: usize) {
        while self.read.len() < bytes {
            let mut part = [0; 4096];
            let length = self.stream.read(&mut part).expect("the answer goes on");
            assert!(length > 0, "the answer ended after {} bytes", self.read.len());
            self.read.extend_from_slice(&part[..length]);
        }
    }

    /// Shuts the connection down in both directions.
    pub fn cut(self) {
        self.stream.shutdown(Shutdown::Both).expect("it is connected");
    }

    /// Reads to the end of the connection, however that comes; true when the body of a chunked answer is whole.
    pub fn ends_whole(mut self) -> bool {
        // A reset is an end too.
        let _ = self.stream.read_to_end(&mut self.read);
        self.read.ends_with(b"\r\n0\r\n\r\n")
    }

    /// The status, as soon as it is there.
    pub fn status(mut self) -> Option<u16> {
        let mut status = [0; 12];
        self.stream.read_exact(&mut status).ok()?;
        std::str::from_utf8(&status).ok()?.strip_prefix("HTTP/1.1 ")?.parse().ok()
    }

    /// Reads to the end of the connection, and gives the body of an answer in one piece.
    pub fn body(self) -> String {
        self.whole(false)
    }

    /// Reads to the end of the connection, and gives the body of a chunked answer, whole.
    pub fn chunked_body(self) -> String {
        self.whole(true)
    }

    /// Reads to the end of the connection, and gives the body, which has to be in chunks or in one piece.
    fn whole(mut self, chunked: bool) -> String {
        self.stream.read_to_end(&mut self.read).expect("the answer comes to its end");
        let text = String::from_utf8(self.read).expect("the API speaks UTF-8");
        let (head, rest) = text.split_once("\r\n\r\n").expect("a head and a body");
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let headers = head.lines().filter_map(|line| line.split_once(": "));
        let headers: Vec<_> = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
        let is_chunked = headers.contains(&("transfer-encoding".to_owned(), "chunked".to_owned()));
        assert_eq!(is_chunked, chunked, "{head}");
        let body = if chunked { unchunked(rest) } else { rest.to_owned() };
        let status = status.expect("a status line has a status");
        assert_promised(Seen {
            method: "GET",
            path: &self.path,
            status,
            headers: &headers,
            body: body.as_bytes(),
        });
        body
    }
}

/// The body that is told in these chunks.
fn unchunked(mut rest: &str) -> String {
    let mut body = String::new();
    loop {
        let (size, chunk) = rest.split_once("\r\n").expect("a chunk has a size");
        let size = usize::from_str_radix(size, 16).expect("sizes are hexadecimal");
        if size == 0 {
            return body;
        }
        body.push_str(chunk.get(..size).expect("the chunk is whole"));
        rest = chunk.get(size + 2..).expect("a chunk ends with a line end");
    }
}
