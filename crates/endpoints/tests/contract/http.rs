//! HTTP spoken by hand, so that a test can stop in the middle of it. Every answer that is read to its end is held against
//! the OpenAPI document.

use std::collections::VecDeque;
use std::io::Read;
use std::net::SocketAddr;
use std::os::fd::AsFd;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpSocket, UnixStream};

use crate::openapi::{Seen, assert_promised};
use crate::world::in_time;

/// A connected socket of either kind.
pub(crate) trait Stream: AsyncRead + AsyncWrite + AsFd + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + AsFd + Send + Unpin> Stream for T {}

/// One connection to the API.
pub(crate) struct Http {
    stream: Box<dyn Stream>,
    /// Of every request.
    headers: String,
    read: Vec<u8>,
    /// Method and path of each request whose answer has not begun.
    asked: VecDeque<(String, String)>,
}

/// An answer that was read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// False when the connection ended before the answer did.
    pub(crate) complete: bool,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str())
    }

    /// The body as it was before it was compressed.
    pub(crate) fn unpacked(&self) -> Vec<u8> {
        let mut read = Vec::new();
        match self.header("content-encoding") {
            Some("gzip") => {
                flate2::read::GzDecoder::new(&self.body[..]).read_to_end(&mut read).expect("it is gzip");
            }
            Some("zstd") => read = zstd::decode_all(&self.body[..]).expect("it is zstd"),
            None => read.clone_from(&self.body),
            other => panic!("{other:?}"),
        }
        read
    }

    /// Panics unless the document promises this answer to the request.
    fn assert_promised(&self, asked: Option<(String, String)>) {
        let Self { status, headers, body, complete } = self;
        let is_none = body.is_empty() && self.header("content-type").is_none();
        match asked {
            // What is cut says so.
            _ if !complete => {}
            // No endpoint has seen these.
            None => assert!(*status == 400 && is_none, "an answer to no request: {status}"),
            Some(_) if *status == 431 => assert!(is_none),
            Some((method, path)) => {
                let body = &self.unpacked();
                assert_promised(Seen { method: &method, path: &path, status: *status, headers, body });
            }
        }
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_slice(&self.body)
            .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&self.body)))
    }

    /// Panics unless this is the problem `name` in the form of RFC 9457.
    pub(crate) fn assert_problem(&self, status: u16, name: &str) {
        let json = self.json();
        assert_eq!(self.status, status, "{json}");
        assert_eq!(self.header("content-type"), Some("application/problem+json"));
        assert_eq!(json["type"], format!("/problems/{name}"));
        assert_eq!(json["status"], status);
        assert!(json["title"].is_string() && json["detail"].is_string(), "{json}");
        assert_eq!(json["request_id"].as_str(), self.header("x-request-id"));
    }
}

impl Http {
    pub(crate) async fn connect(path: &Path) -> Self {
        let stream = in_time("a connection", UnixStream::connect(path)).await;
        Self::new(stream.expect("the API listens"))
    }

    /// Over TCP, with these headers in every request, and with room for so many bytes, or twice as many, that were
    /// acknowledged and not read.
    pub(crate) async fn connect_tcp(address: SocketAddr, headers: &str, receive_bytes: u32) -> Self {
        let socket = TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(receive_bytes).expect("a socket has a buffer");
        let stream = in_time("a connection", socket.connect(address)).await;
        Self { headers: headers.to_owned(), ..Self::new(stream.expect("the API listens")) }
    }

    pub(crate) fn new(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), headers: String::new(), read: Vec::new(), asked: VecDeque::new() }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.asked.extend(text.split("\r\n").filter_map(|line| {
            let (method, path) = line.strip_suffix(" HTTP/1.1")?.split_once(' ')?;
            Some((method.to_owned(), path.to_owned()))
        }));
        self.stream.write_all(text.as_bytes()).await.expect("the API takes the request");
    }

    pub(crate) async fn request(&mut self, method: &str, path: &str) {
        self.request_with(method, path, "", "").await;
    }

    pub(crate) async fn request_with(&mut self, method: &str, path: &str, headers: &str, body: &str) {
        let text = format!("{method} {path} HTTP/1.1\r\nHost: x\r\n{}{headers}\r\n{body}", self.headers);
        self.send(&text).await;
    }

    pub(crate) async fn get(&mut self, path: &str) -> Answer {
        self.request("GET", path).await;
        self.answer().await
    }

    /// Reads one answer.
    pub(crate) async fn answer(&mut self) -> Answer {
        let asked = self.asked.front().cloned();
        let answer = in_time("an answer", async {
            let head = self.head().await;
            let mut lines = head.split("\r\n");
            let status = lines.next().and_then(|line| line.split(' ').nth(1)?.parse().ok());
            let headers: Vec<(String, String)> = lines
                .filter_map(|line| line.split_once(": "))
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect();
            let status = status.unwrap_or_else(|| panic!("no status: {head:?}"));
            let mut answer = Answer { status, headers, body: Vec::new(), complete: true };
            if answer.header("transfer-encoding") == Some("chunked") {
                answer.complete = self.chunks(&mut answer.body).await.is_some();
            } else if status != 204 {
                let length = answer.header("content-length").and_then(|length| length.parse().ok());
                let length = length.unwrap_or(0);
                answer.complete = self.fill(length).await;
                answer.body = self.read.drain(..length.min(self.read.len())).collect();
            }
            answer
        })
        .await;
        answer.assert_promised(asked);
        answer
    }

    /// Reads the head of an answer and leaves its body in the socket as far as it is not read yet.
    pub(crate) async fn head(&mut self) -> String {
        let end = self.find(b"\r\n\r\n").await.expect("the head of an answer");
        let head = String::from_utf8_lossy(&self.read[..end]).into_owned();
        self.read.drain(..end + 4);
        self.asked.pop_front();
        head
    }

    /// Waits until the API closes; answers what came before.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        in_time("the end of the connection", async { while self.more().await {} }).await;
        std::mem::take(&mut self.read)
    }

    /// Sends this again and again, with pauses, until the API closes.
    pub(crate) async fn closed_while_sending(&mut self, text: &str, pause: Duration) {
        in_time("the end of the connection", async {
            loop {
                tokio::select! {
                    read = self.stream.read_buf(&mut self.read) => {
                        if !matches!(read, Ok(1..)) { return }
                    }
                    () = tokio::time::sleep(pause) => {
                        if self.stream.write_all(text.as_bytes()).await.is_err() { return }
                    }
                }
            }
        })
        .await;
    }

    /// How many bytes wait to be read.
    pub(crate) fn waiting_now(&self) -> u64 {
        rustix::io::ioctl_fionread(self.stream.as_fd()).expect("a socket has a queue")
    }

    /// Waits for the first bytes of an answer without reading them; answers how many wait.
    pub(crate) async fn waiting(&self) -> u64 {
        in_time("an answer", async {
            loop {
                match self.waiting_now() {
                    // A readiness event would not do: it stays when the bytes before are read, and at the end.
                    0 => tokio::time::sleep(Duration::from_millis(1)).await,
                    waiting => return waiting,
                }
            }
        })
        .await
    }

    /// Reads exactly this many bytes and forgets them.
    pub(crate) async fn skip(&mut self, bytes: usize) {
        self.stream.read_exact(&mut vec![0; bytes]).await.expect("the bytes are there");
    }

    async fn chunks(&mut self, body: &mut Vec<u8>) -> Option<()> {
        loop {
            let end = self.find(b"\r\n").await?;
            let size = usize::from_str_radix(&String::from_utf8_lossy(&self.read[..end]), 16).ok()?;
            self.read.drain(..end + 2);
            if !self.fill(size + 2).await {
                return None;
            }
            body.extend_from_slice(&self.read[..size]);
            self.read.drain(..size + 2);
            if size == 0 {
                return Some(());
            }
        }
    }

    async fn find(&mut self, text: &[u8]) -> Option<usize> {
        loop {
            if let Some(at) = self.read.windows(text.len()).position(|window| window == text) {
                return Some(at);
            }
            if !self.more().await {
                return None;
            }
        }
    }

    async fn fill(&mut self, bytes: usize) -> bool {
        while self.read.len() < bytes {
            if !self.more().await {
                return false;
            }
        }
        true
    }

    async fn more(&mut self) -> bool {
        matches!(self.stream.read_buf(&mut self.read).await, Ok(1..))
    }
}
