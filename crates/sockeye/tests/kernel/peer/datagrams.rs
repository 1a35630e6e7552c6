//! What a peer does with UDP sockets, on commands that begin with `udp-`.

use std::collections::HashMap;
use std::ffi::{CString, OsString};
use std::io;
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use nix::sys::socket::{setsockopt, sockopt as options};
use nix::{getsockopt_impl, libc, setsockopt_impl, sockopt_impl};
use rustix::mount::MountFlags;
use rustix::net::{AddressFamily, SocketType, ipproto, sockopt};

use super::worker;

type Answer = Result<String, Box<dyn std::error::Error>>;

/// What is waited for comes within this time.
const DEADLINE: Duration = Duration::from_secs(10);

/// The largest datagram and a byte more.
const BUFFER_BYTES: usize = 65_536;

sockopt_impl!(
    /// Options in the header of each packet of IPv4.
    Ipv4Options,
    Both,
    libc::IPPROTO_IP,
    libc::IP_OPTIONS,
    OsString<[u8; 40]>
);

sockopt_impl!(
    /// An extension header in each packet of IPv6.
    Ipv6DestinationOptions,
    Both,
    libc::IPPROTO_IPV6,
    libc::IPV6_DSTOPTS,
    OsString<[u8; 40]>
);

/// The UDP sockets of a peer, by name.
#[derive(Default)]
pub(super) struct Datagrams {
    sockets: HashMap<String, UdpSocket>,
    crowd: Vec<UdpSocket>,
}

impl Datagrams {
    /// Carries out one command and answers it.
    pub(super) fn obey(&mut self, words: &[&str]) -> Answer {
        match *words {
            ["udp-open", name, family] => self.keep(name, open(family)?),
            ["udp-bind", name, address] => self.keep(name, UdpSocket::bind(address)?),
            ["udp-share", name, address] => self.keep(name, shared(address.parse()?)?),
            ["udp-connect", name, address] => {
                let socket = self.socket(name)?;
                socket.connect(address)?;
                Ok(socket.local_addr()?.port().to_string())
            }
            ["udp-send", name, address, bytes, count] => {
                send(self.socket(name)?, address, bytes.parse()?, count.parse()?)
            }
            ["udp-receive", name, count] => receive(self.socket(name)?, count.parse()?, false),
            ["udp-echo", name, count] => receive(self.socket(name)?, count.parse()?, true),
            ["udp-error", name] => {
                let error =
                    self.socket(name)?.recv(&mut [0; 16]).err().and_then(|error| error.raw_os_error());
                Ok(error.unwrap_or(0).to_string())
            }
            ["udp-set", name, option] => set(self.socket(name)?, option),
            ["udp-fork", name, address, bytes, count] => {
                let socket: OwnedFd = self.socket(name)?.try_clone()?.into();
                let mut child = worker::start_with(worker::SENDS, &[address, bytes, count], socket)?;
                let pid = child.id();
                child.wait()?;
                Ok(pid.to_string())
            }
            ["udp-burst", address, bytes, count] => burst(address, bytes.parse()?, count.parse()?),
            ["udp-queue", name] => queued(self.socket(name)?),
            ["udp-crowd", local, address, bytes, count] => self.crowd(local, address, bytes, count, false),
            ["udp-crowd-ask", local, address, bytes, count] => self.crowd(local, address, bytes, count, true),
            ["udp-crowd-end"] => {
                self.crowd.clear();
                Ok("ended".into())
            }
            // The kernel asks by itself, and this call waits until it has given up.
            ["udp-kernel", server, port] => {
                let options = format!("nolock,addr={server},vers=3,mountproto=udp,mountport={port}");
                let mounted = rustix::mount::mount(
                    format!("{server}:/nothing"),
                    "/tmp",
                    "nfs",
                    MountFlags::empty(),
                    CString::new(options)?.as_c_str(),
                );
                Ok(format!("{mounted:?}"))
            }
            ["udp-close", name] => {
                self.sockets.remove(name).ok_or("no such socket")?;
                Ok("closed".into())
            }
            _ => Err("no such command".into()),
        }
    }

    /// Opens so many sockets more and sends from each; each waits for an answer before the next one sends, if asked to.
    fn crowd(&mut self, local: &str, address: &str, bytes: &str, count: &str, wait: bool) -> Answer {
        let from: Ipv4Addr = local.parse()?;
        let payload = vec![7; bytes.parse()?];
        for _ in 0..count.parse::<u32>()? {
            let socket = UdpSocket::bind((from, 0))?;
            socket.set_read_timeout(Some(DEADLINE))?;
            socket.send_to(&payload, address)?;
            if wait {
                socket.recv(&mut [0; BUFFER_BYTES])?;
            }
            self.crowd.push(socket);
        }
        Ok("sent".into())
    }

    /// Keeps a socket under a name and answers its local port.
    fn keep(&mut self, name: &str, socket: UdpSocket) -> Answer {
        socket.set_read_timeout(Some(DEADLINE))?;
        let port = socket.local_addr()?.port();
        self.sockets.insert(name.into(), socket);
        Ok(port.to_string())
    }

    fn socket(&mut self, name: &str) -> Result<&mut UdpSocket, &'static str> {
        self.sockets.get_mut(name).ok_or("no such socket")
    }
}

/// A socket without a port: the kernel chooses one when it is used.
fn open(family: &str) -> io::Result<UdpSocket> {
    let family = if family == "v6" { AddressFamily::INET6 } else { AddressFamily::INET };
    Ok(rustix::net::socket(family, SocketType::DGRAM, Some(ipproto::UDP))?.into())
}

/// One of several sockets on a port.
fn shared(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = open(if address.is_ipv6() { "v6" } else { "v4" })?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    Ok(socket)
}

/// Sends to an address, or without one (`-`) to the peer that the socket is connected to; answers the local port.
fn send(socket: &UdpSocket, address: &str, bytes: usize, count: u32) -> Answer {
    let payload = vec![7; bytes];
    for _ in 0..count {
        let sent = match address {
            "-" => socket.send(&payload)?,
            address => socket.send_to(&payload, address)?,
        };
        if sent < bytes {
            return Err("a short datagram".into());
        }
    }
    Ok(socket.local_addr()?.port().to_string())
}

/// Receives datagrams, and sends each back if asked to; answers how many bytes came.
fn receive(socket: &UdpSocket, count: u32, answer: bool) -> Answer {
    let mut buffer = vec![0; BUFFER_BYTES];
    let mut bytes = 0;
    for _ in 0..count {
        let (received, from) = socket.recv_from(&mut buffer)?;
        bytes += received;
        if answer {
            socket.send_to(buffer.get(..received).ok_or("too long")?, from)?;
        }
    }
    Ok(bytes.to_string())
}

/// Takes what is there and waits for nothing; answers how many datagrams that were.
fn queued(socket: &UdpSocket) -> Answer {
    socket.set_nonblocking(true)?;
    let count = std::iter::from_fn(|| socket.recv(&mut [0; 2048]).ok()).count();
    socket.set_nonblocking(false)?;
    Ok(count.to_string())
}

fn set(socket: &UdpSocket, option: &str) -> Answer {
    match option.split_once('=').unwrap_or((option, "")) {
        ("broadcast", _) => socket.set_broadcast(true)?,
        ("join", addresses) => {
            let (group, interface) = addresses.split_once(',').ok_or("two addresses")?;
            socket.join_multicast_v4(&group.parse()?, &interface.parse()?)?;
        }
        ("segment", bytes) => setsockopt(socket, options::UdpGsoSegment, &bytes.parse()?)?,
        ("coalesce", _) => setsockopt(socket, options::UdpGroSegment, &true)?,
        ("errors", _) => setsockopt(socket, options::Ipv4RecvErr, &true)?,
        ("room", bytes) => sockopt::set_socket_recv_buffer_size(socket, bytes.parse()?)?,
        // Four times "no operation".
        ("ipv4-options", _) => setsockopt(socket, Ipv4Options, &OsString::from_vec(vec![1; 4]))?,
        // A header of 8 bytes that holds padding alone.
        ("ipv6-header", _) => {
            let header = OsString::from_vec(vec![0, 0, 1, 4, 0, 0, 0, 0]);
            setsockopt(socket, Ipv6DestinationOptions, &header)?;
        }
        _ => return Err("no such option".into()),
    }
    Ok("set".into())
}

/// Opens a socket, asks, takes the answer and closes it, again and again, as those who look up names do.
fn burst(address: &str, bytes: usize, count: u32) -> Answer {
    let payload = vec![7; bytes];
    let mut answered = 0;
    for _ in 0..count {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        socket.set_read_timeout(Some(DEADLINE))?;
        socket.send_to(&payload, address)?;
        answered += socket.recv(&mut [0; 2048])?;
    }
    Ok(answered.to_string())
}

/// The main of a child that sends through the socket that it is given, and ends.
pub(super) fn send_and_end(socket: OwnedFd, mut words: impl Iterator<Item = String>) {
    let mut word = || words.next().expect("three words");
    let (address, bytes, count) = (word(), word(), word());
    let number = "a number";
    send(&UdpSocket::from(socket), &address, bytes.parse().expect(number), count.parse().expect(number))
        .expect("it can be sent");
}
