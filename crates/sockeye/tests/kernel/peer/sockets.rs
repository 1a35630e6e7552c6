//! Sockets in ways that the standard library does not offer: opened apart from connecting, connected twice, with
//! options, with data in the SYN, handed to another process.

use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::{SocketAddr as UnixAddress, UnixDatagram};
use std::time::Duration;

use rustix::io::Errno;
use rustix::net::{
    AddressFamily, Protocol, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketType, ipproto, sockopt,
};

type Answer = Result<String, Box<dyn std::error::Error>>;

/// `MSG_FASTOPEN`: connects, with data in the SYN.
pub(super) const FAST_OPEN: SendFlags = SendFlags::from_bits_retain(0x2000_0000);

/// A socket that is not connected.
pub(super) fn open(protocol: &str) -> io::Result<TcpStream> {
    Ok(TcpStream::from(socket(protocol)?))
}

/// A listening socket on a port of the kernel's choice.
pub(super) fn listen(protocol: &str, address: &str) -> Result<TcpListener, Box<dyn std::error::Error>> {
    let socket = socket(protocol)?;
    rustix::net::bind(&socket, &SocketAddr::new(address.parse()?, 0))?;
    rustix::net::listen(&socket, 64)?;
    Ok(TcpListener::from(socket))
}

fn socket(protocol: &str) -> io::Result<OwnedFd> {
    let family = if protocol == "tcp6" { AddressFamily::INET6 } else { AddressFamily::INET };
    let protocol: Option<Protocol> = (protocol == "mptcp").then_some(ipproto::MPTCP);
    Ok(rustix::net::socket(family, SocketType::STREAM, protocol)?)
}

/// Connects, and answers the error number, 0 for none, and the local port.
pub(super) fn attempt(stream: &TcpStream, address: &str) -> Answer {
    let address: SocketAddr = address.parse()?;
    let errno = match rustix::net::connect(stream, &address) {
        Ok(()) => 0,
        Err(error) => error.raw_os_error(),
    };
    Ok(format!("{errno} {}", stream.local_addr()?.port()))
}

/// Begins to connect and answers the local port; nobody waits for the end.
pub(super) fn start(stream: &TcpStream, address: &str) -> Answer {
    let address: SocketAddr = address.parse()?;
    stream.set_nonblocking(true)?;
    match rustix::net::connect(stream, &address) {
        Err(Errno::INPROGRESS) => Ok(stream.local_addr()?.port().to_string()),
        other => Err(format!("it does not wait: {other:?}").into()),
    }
}

/// Connects with `count` bytes in the SYN, if the route knows how; answers the local port.
pub(super) fn fast_open(stream: &TcpStream, address: &str, count: usize) -> Answer {
    let address: SocketAddr = address.parse()?;
    let sent = rustix::net::sendto(stream, &vec![7; count], FAST_OPEN, &address)?;
    if sent < count {
        return Err("a short write".into());
    }
    Ok(stream.local_addr()?.port().to_string())
}

/// Ends the connection of a socket that can then connect again.
pub(super) fn disconnect(stream: &TcpStream) -> Answer {
    rustix::net::connect_unspec(stream)?;
    Ok("disconnected".into())
}

/// Sets one option.
pub(super) fn set(stream: &TcpStream, option: &str) -> Answer {
    match option {
        // A lost peer is noticed after 2 s.
        "keepalive" => {
            sockopt::set_socket_keepalive(stream, true)?;
            sockopt::set_tcp_keepidle(stream, Duration::from_secs(1))?;
            sockopt::set_tcp_keepintvl(stream, Duration::from_secs(1))?;
            sockopt::set_tcp_keepcnt(stream, 1)?;
        }
        "user-timeout" => sockopt::set_tcp_user_timeout(stream, 500)?,
        "linger-0" => sockopt::set_socket_linger(stream, Some(Duration::ZERO))?,
        _ => return Err("no such option".into()),
    }
    Ok("set".into())
}

/// A place where another process of this namespace can leave a socket, named by the pid of its owner.
pub(super) fn gate(pid: u32) -> io::Result<UnixDatagram> {
    UnixDatagram::bind_addr(&gate_address(pid)?)
}

fn gate_address(pid: u32) -> io::Result<UnixAddress> {
    UnixAddress::from_abstract_name(format!("sockeye-test-{pid}"))
}

/// Leaves a duplicate of the socket at the gate of another process.
pub(super) fn pass(stream: &TcpStream, pid: u32) -> Answer {
    let through = UnixDatagram::unbound()?;
    through.connect_addr(&gate_address(pid)?)?;
    let descriptors = [stream.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = SendAncillaryBuffer::new(&mut space);
    message.push(SendAncillaryMessage::ScmRights(&descriptors));
    rustix::net::sendmsg(&through, &[IoSlice::new(&[1])], &mut message, SendFlags::empty())?;
    Ok("passed".into())
}

/// Takes the socket that was left at the gate.
pub(super) fn take(gate: &UnixDatagram) -> Result<TcpStream, Box<dyn std::error::Error>> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut message = RecvAncillaryBuffer::new(&mut space);
    rustix::net::recvmsg(gate, &mut [IoSliceMut::new(&mut [0])], &mut message, RecvFlags::empty())?;
    let descriptor = message.drain().find_map(|part| match part {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    Ok(TcpStream::from(descriptor.ok_or("no descriptor came")?))
}
