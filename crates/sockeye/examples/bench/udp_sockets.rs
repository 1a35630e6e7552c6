//! UDP sockets on loopback with both ends in this process: a pair of them, and one with many peers.
//!
//! A send puts the datagram into the other end's queue, so that one thread that reads after it writes never
//! waits. Nothing here measures.

use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use anyhow::{Context, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// A datagram that is lost must not hold up the bench.
const PATIENCE: Duration = Duration::from_secs(5);

/// A datagram there and one back, each of which leaves and arrives.
pub const PASSAGES_PER_ROUND_TRIP: u32 = 4;

/// The port of name servers.
const NAME_SERVER: u16 = 53;

/// Two sockets that send to each other.
pub struct Pair {
    client: UdpSocket,
    server: UdpSocket,
    /// Where the client sends to; nothing when both are connected.
    to: Option<SocketAddr>,
}

impl Pair {
    /// Neither is connected: each send names its address, and each receive is told one.
    pub fn unconnected() -> anyhow::Result<Self> {
        let (client, server) = (open()?, open()?);
        let to = Some(server.local_addr()?);
        Ok(Self { client, server, to })
    }

    pub fn connected() -> anyhow::Result<Self> {
        let (client, server) = (open()?, open()?);
        client.connect(server.local_addr()?)?;
        server.connect(client.local_addr()?)?;
        Ok(Self { client, server, to: None })
    }

    /// A client and a name server; neither is connected. The bench has a network namespace of its own, where the port is
    /// free.
    pub fn name_server() -> anyhow::Result<Self> {
        let (client, server) = (open()?, open_at(NAME_SERVER)?);
        let to = Some(server.local_addr()?);
        Ok(Self { client, server, to })
    }

    /// A question there, and an answer back.
    pub fn lookup(&mut self, question: &mut [u8], answer: &mut [u8]) -> anyhow::Result<()> {
        let to = self.to.context("it is connected")?;
        self.client.send_to(question, to)?;
        let (received, from) = self.server.recv_from(question)?;
        whole(received, question)?;
        self.server.send_to(answer, from)?;
        whole(self.client.recv(answer)?, answer)
    }

    /// A message there, and the same back.
    pub fn round_trip(&mut self, message: &mut [u8]) -> anyhow::Result<()> {
        let Some(to) = self.to else {
            self.client.send(message)?;
            whole(self.server.recv(message)?, message)?;
            self.server.send(message)?;
            return whole(self.client.recv(message)?, message);
        };
        ask(&self.client, to, &self.server, message)
    }
}

/// One socket with many peers; none is connected.
pub struct Many {
    clients: Vec<UdpSocket>,
    server: UdpSocket,
    to: SocketAddr,
    turn: usize,
}

impl Many {
    pub fn open(peers: usize) -> anyhow::Result<Self> {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?;
        let clients: anyhow::Result<Vec<UdpSocket>> = (0..peers).map(|_| open()).collect();
        let server = open()?;
        let to = server.local_addr()?;
        Ok(Self { clients: clients.context("cannot open so many sockets")?, server, to, turn: 0 })
    }

    /// A message from the client whose turn it is, and the same back.
    pub fn round_trip(&mut self, message: &mut [u8]) -> anyhow::Result<()> {
        self.turn = (self.turn + 1) % self.clients.len();
        ask(&self.clients[self.turn], self.to, &self.server, message)
    }

    /// A message from each client, and the same back.
    pub fn round(&mut self, message: &mut [u8]) -> anyhow::Result<()> {
        (0..self.clients.len()).try_for_each(|_| self.round_trip(message))
    }
}

fn open() -> anyhow::Result<UdpSocket> {
    open_at(0)
}

fn open_at(port: u16) -> anyhow::Result<UdpSocket> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, port))?;
    socket.set_read_timeout(Some(PATIENCE))?;
    Ok(socket)
}

fn ask(client: &UdpSocket, to: SocketAddr, server: &UdpSocket, message: &mut [u8]) -> anyhow::Result<()> {
    client.send_to(message, to)?;
    let (received, from) = server.recv_from(message)?;
    whole(received, message)?;
    server.send_to(message, from)?;
    let (received, _) = client.recv_from(message)?;
    whole(received, message)
}

fn whole(received: usize, message: &[u8]) -> anyhow::Result<()> {
    ensure!(received == message.len(), "{received} bytes came of {}", message.len());
    Ok(())
}
