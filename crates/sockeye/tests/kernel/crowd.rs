//! A server and a client process with many connections between them, and the threads that keep such pairs at work
//! while the test polls.

use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::peer::{Done, Peer};
use crate::scene::until;
use crate::world::NetNs;

/// A server that attends to a client.
pub struct Crowd {
    pub client: Peer,
    pub server: Peer,
    pub port: u16,
    /// Where the client connects to, in turn.
    addresses: String,
    threads: usize,
    most: u64,
    /// What the client has done.
    pub done: Done,
    /// What the server has done for connections that are held.
    pub kept: Done,
}

impl Crowd {
    /// The client connects to these addresses of the server from several threads; requests and answers have up
    /// to `most` bytes.
    pub fn new(ends: [&NetNs; 2], addresses: &[&str], threads: usize, most: u64) -> Self {
        let mut crowd = Self::listening(ends, addresses, most);
        crowd.threads = threads;
        crowd.server.ask(&format!("attend {threads} {most}"));
        crowd
    }

    /// The server takes nobody yet.
    pub fn listening([near, far]: [&NetNs; 2], addresses: &[&str], most: u64) -> Self {
        let (client, mut server) = (Peer::start(near), Peer::start(far));
        let port = server.listen("::");
        let with_port = |address: &&str| match address.contains(':') {
            true => format!("[{address}]:{port}"),
            false => format!("{address}:{port}"),
        };
        let addresses = addresses.iter().map(with_port).collect::<Vec<_>>().join(",");
        Self {
            client,
            server,
            port,
            addresses,
            threads: 1,
            most,
            done: Done::default(),
            kept: Done::default(),
        }
    }

    /// Opens `count` connections on each thread, which end in this way, and waits for it.
    pub fn visit(&mut self, way: &str, count: u64) {
        let command = self.begin_visit(way, count);
        self.done += Done::parse(&self.client.answer(&command));
    }

    /// The same without waiting.
    pub fn begin_visit(&mut self, way: &str, count: u64) -> String {
        let Self { threads, most, addresses, .. } = self;
        let command = format!("visit {way} {threads} {count} {most} {addresses}");
        self.client.tell(&command);
        command
    }

    /// Tries to connect where nobody listens.
    pub fn refused(&mut self, count: u64) -> Done {
        let command = format!("visit refused {} {count} 1 127.0.0.1:1", self.threads);
        Done::parse(&self.client.ask(&command))
    }

    /// Opens connections that stay open.
    pub fn hold(&mut self, count: u64) {
        let most = self.most;
        let keep = format!("keep {count} {most}");
        self.server.tell(&keep);
        let hold = format!("hold {count} {most} {}", self.addresses);
        self.done += Done::parse(&self.client.ask(&hold));
        self.kept += Done::parse(&self.server.answer(&keep));
    }

    /// What the attending server has done, once it has attended to all that the client has done.
    pub fn attended_all(&mut self) -> Done {
        until("the end of the server's part", || self.attended().connections >= self.done.connections);
        self.attended()
    }

    /// What the attending server has done.
    pub fn attended(&mut self) -> Done {
        Done::parse(&self.server.ask("attended"))
    }
}

/// Threads at work.
pub struct Work<T> {
    threads: Vec<JoinHandle<T>>,
    ended: Receiver<()>,
}

impl<T: Send + 'static> Work<T> {
    pub fn begin(works: impl IntoIterator<Item = Box<dyn FnOnce() -> T + Send>>) -> Self {
        let (working, ended) = channel::<()>();
        let start = |work: Box<dyn FnOnce() -> T + Send>| {
            let working = working.clone();
            std::thread::spawn(move || {
                let _working = working;
                work()
            })
        };
        Self { threads: works.into_iter().map(start).collect(), ended }
    }

    /// Waits for the end of all of them, at most so long; true when they have ended.
    pub fn ended_within(&self, time: Duration) -> bool {
        self.ended.recv_timeout(time) == Err(RecvTimeoutError::Disconnected)
    }

    /// What they gave; a panic of one is the test's.
    pub fn results(self) -> Vec<T> {
        let joined = self.threads.into_iter().map(JoinHandle::join);
        joined.map(|result| result.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    }
}
