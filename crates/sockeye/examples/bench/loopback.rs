//! One connection on loopback with both ends in this process.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};

use anyhow::bail;

/// What passes in the exchange that miniatures prove themselves with, by message.
const FROM_CLIENT: [usize; 3] = [1000, 1, 4096];
const FROM_SERVER: [usize; 2] = [500, 64];

/// An open connection.
pub struct Connection {
    client: TcpStream,
    server: TcpStream,
}

/// One way through a connection, and what passed that way in [`Connection::exchange`].
pub struct Way {
    /// As the keys of the miniatures begin: both addresses, both ports, the sender's first.
    pub from_to: Vec<u8>,
    pub payload_bytes: u64,
    /// What passed the other way.
    pub answered_bytes: u64,
}

impl Connection {
    pub fn open() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
        let connection = Self::through(&listener, Ipv4Addr::LOCALHOST)?;
        connection.client.set_nodelay(true)?;
        connection.server.set_nodelay(true)?;
        Ok(connection)
    }

    /// Through a listener that is already there, at one of its addresses; nothing but connect and accept.
    /// Dropping closes the client's end first.
    pub fn through(listener: &TcpListener, address: Ipv4Addr) -> anyhow::Result<Self> {
        let client = TcpStream::connect((address, listener.local_addr()?.port()))?;
        let (server, _) = listener.accept()?;
        Ok(Self { client, server })
    }

    /// A message there, and the same back. A send puts it into the other end's queue, so that one thread
    /// that reads after it writes never waits.
    pub fn round_trip(&mut self, message: &mut [u8]) -> anyhow::Result<()> {
        pass(&mut self.client, &mut self.server, message)?;
        pass(&mut self.server, &mut self.client, message)
    }

    /// Sends a known number of bytes each way.
    pub fn exchange(&mut self) -> anyhow::Result<[Way; 2]> {
        for bytes in FROM_CLIENT {
            pass(&mut self.client, &mut self.server, &mut vec![7; bytes])?;
        }
        for bytes in FROM_SERVER {
            pass(&mut self.server, &mut self.client, &mut vec![7; bytes])?;
        }
        let (client, server) = (self.client.local_addr()?, self.client.peer_addr()?);
        let (there, back) = (FROM_CLIENT.iter().sum::<usize>(), FROM_SERVER.iter().sum::<usize>());
        let (there, back) = (u64::try_from(there)?, u64::try_from(back)?);
        Ok([
            Way { from_to: from_to(client, server)?, payload_bytes: there, answered_bytes: back },
            Way { from_to: from_to(server, client)?, payload_bytes: back, answered_bytes: there },
        ])
    }
}

fn pass(from: &mut TcpStream, to: &mut TcpStream, message: &mut [u8]) -> anyhow::Result<()> {
    from.write_all(message)?;
    Ok(to.read_exact(message)?)
}

fn from_to(from: SocketAddr, to: SocketAddr) -> anyhow::Result<Vec<u8>> {
    let mut key = Vec::new();
    for end in [from, to] {
        let SocketAddr::V4(end) = end else { bail!("the connection is of IPv4") };
        key.extend(end.ip().octets());
        key.extend([0; 12]);
    }
    for end in [from, to] {
        key.extend(end.port().to_ne_bytes());
    }
    Ok(key)
}
