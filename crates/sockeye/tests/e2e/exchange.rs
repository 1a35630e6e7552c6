//! Traffic made by the test itself, of which it knows every byte: both ends are its own sockets, on the loopback
//! of a namespace of their own.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};

use crate::world::NetNs;

/// A listener and its namespace.
pub struct Exchange {
    pub space: NetNs,
    listener: TcpListener,
}

/// A connection, from both ends.
pub struct Pair {
    pub near: TcpStream,
    pub far: TcpStream,
}

impl Exchange {
    pub fn new() -> Self {
        let space = NetNs::new();
        let listener = space.inside(|| TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        Self { space, listener }
    }

    /// From now on the server has another port.
    pub fn move_server(&mut self) {
        let again = self.space.inside(|| TcpListener::bind("127.0.0.1:0")).expect("a port is free");
        self.listener = again;
    }

    /// The port of the server.
    pub fn port(&self) -> u64 {
        self.listener.local_addr().expect("it is bound").port().into()
    }

    /// Opens connections.
    pub fn open(&self, count: usize) -> Vec<Pair> {
        let address = self.listener.local_addr().expect("it is bound");
        self.space.inside(|| {
            let open = |_| {
                let near = TcpStream::connect(address).expect("somebody listens");
                let (far, _) = self.listener.accept().expect("it was connected to");
                Pair { near, far }
            };
            (0..count).map(open).collect()
        })
    }

    /// Opens so many connections, sends so many bytes on each, and closes them.
    pub fn run(&self, count: usize, bytes: usize) {
        for _ in 0..count {
            for mut pair in self.open(1) {
                pair.send(bytes);
                pair.close();
            }
        }
    }
}

impl Pair {
    /// Sends from the near end; returns when the far end has read it. At most what a socket buffer takes.
    pub fn send(&mut self, bytes: usize) {
        self.near.write_all(&vec![b'x'; bytes]).expect("the other end is open");
        self.far.read_exact(&mut vec![0; bytes]).expect("it was sent");
    }

    /// Closes both ends, in order.
    pub fn close(mut self) {
        drop(self.near);
        let end = self.far.read(&mut [0]).expect("an orderly end");
        assert_eq!(end, 0);
    }

    pub fn near_port(&self) -> u64 {
        self.near.local_addr().expect("it is connected").port().into()
    }
}
