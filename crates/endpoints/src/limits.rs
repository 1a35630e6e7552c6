//! The bounds of the API. Each is reached by a test.

use std::time::Duration;

/// Bounds on connections to the API, on requests and on polls.
#[derive(Debug, Clone, Copy)]
pub struct HttpLimits {
    /// Connections at once. Further ones wait in the kernel's queue of the listening socket.
    pub connections: usize,
    /// Time from the start of a connection, or from the end of an answer, to the end of the next request's
    /// header. So it also ends idle connections.
    pub header_read: Duration,
    /// Bytes of a request's line and header.
    pub header_bytes: usize,
    /// Time to read a request's body.
    pub body_read: Duration,
    /// Bytes of a request's body.
    pub body_bytes: usize,
    /// Longest time in which the other end reads nothing of an answer; then the connection is cut. Also the
    /// time to read the last of it once all is in the socket's queue.
    pub write_stall: Duration,
    /// Longest time from the start of an answer to a poll until all of it is in the socket; then the connection is cut.
    pub answer: Duration,
    /// A reader that has room for nothing for so long, though there is something, is slow: its connection is cut when
    /// others need the place or the memory of its answer.
    pub slow_read: Duration,
    /// Polls and listings at once, in all, until their answer is in the socket.
    pub polls: usize,
    /// Polls at once per client and user: one is in flight, the others wait for it or put an end to it.
    pub polls_per_client: usize,
    /// Longest time that a poll which acknowledges itself waits for another of its client. The time that the state
    /// takes to look at it is in that; the time until a pass has ended is not.
    pub poll_wait: Duration,
    /// Time to finish answers at the end, and for them to be read.
    pub drain: Duration,
}

impl Default for HttpLimits {
    fn default() -> Self {
        Self {
            connections: 256,
            header_read: Duration::from_secs(5),
            header_bytes: 8 * 1024,
            body_read: Duration::from_secs(5),
            body_bytes: 64 * 1024,
            write_stall: Duration::from_secs(30),
            answer: Duration::from_secs(300),
            slow_read: Duration::from_secs(1),
            polls: 32,
            polls_per_client: 2,
            poll_wait: Duration::from_secs(2),
            drain: Duration::from_secs(10),
        }
    }
}
