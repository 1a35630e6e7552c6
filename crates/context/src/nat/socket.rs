//! Sockets to connection tracking: one that hears of what begins and ends, with a filter of the kernel's in front, and one
//! that is told all that is there.

use std::io;
use std::os::fd::OwnedFd;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::{NETFILTER, SocketAddrNetlink};
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{RecvFlags, SendFlags, bind, recvfrom, sendto};
use socket2::{SockFilter, SockRef};

use super::message::{CTA_STATUS, DESTINATION_NAT, GENERAL_BYTES, HEADER_BYTES, SOURCE_NAT};
use crate::{Namespace, Namespaces};

/// Enough for what the kernel puts into a datagram of a dump.
pub(crate) const DATAGRAM_BYTES: usize = 64 * 1024;
/// The kernel answers a dump while it is read, so that this is never reached.
const ANSWER_SECONDS: i64 = 5;

/// What came of reading a socket once.
#[derive(Debug)]
pub(crate) enum Read<'a> {
    /// A datagram of the kernel.
    Datagram(&'a [u8]),
    /// A datagram of somebody else, which is no news.
    Stranger,
    /// Nothing waits.
    Empty,
    /// The kernel had no room for all it wanted to tell.
    Overflow,
}

/// A socket that hears of the translated connections that begin and end in the namespace.
///
/// # Errors
/// The namespace cannot be entered; the kernel has no connection tracking, or does not let us hear of it.
pub(crate) fn listen(
    namespaces: &dyn Namespaces,
    namespace: &Namespace,
    buffer: usize,
) -> io::Result<OwnedFd> {
    /// Bits of the groups that tell of beginnings and ends.
    const GROUPS: u32 = 1 | 1 << 2;
    let socket = open(namespaces, namespace)?;
    // Before anything can arrive.
    SockRef::from(&socket).attach_filter(&only_translated())?;
    if set_socket_recv_buffer_size_force(&socket, buffer).is_err() {
        set_socket_recv_buffer_size(&socket, buffer)?;
    }
    bind(&socket, &SocketAddrNetlink::new(0, GROUPS))?;
    Ok(socket)
}

/// A socket for requests.
///
/// # Errors
/// As [`listen`].
pub(crate) fn open(namespaces: &dyn Namespaces, namespace: &Namespace) -> io::Result<OwnedFd> {
    let protocol = i32::try_from(NETFILTER.as_raw().get()).map_err(io::Error::other)?;
    namespaces.netlink(namespace, protocol)
}

/// Sends a request to the kernel.
///
/// # Errors
/// There is no connection tracking, or it may not be asked.
pub(crate) fn ask(socket: &OwnedFd, request: &[u8]) -> io::Result<()> {
    sendto(socket, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    Ok(())
}

/// What waits first in the socket.
///
/// # Errors
/// The socket cannot be read.
pub(crate) fn read<'a>(socket: &OwnedFd, buffer: &'a mut [u8]) -> io::Result<Read<'a>> {
    match recvfrom(socket, &mut *buffer, RecvFlags::DONTWAIT) {
        Ok((length, _, sender)) => {
            let sender = sender.and_then(|sender| SocketAddrNetlink::try_from(sender).ok());
            let is_kernel = sender.is_some_and(|sender| sender.pid() == 0);
            Ok(if is_kernel {
                Read::Datagram(buffer.get(..length).unwrap_or_default())
            } else {
                Read::Stranger
            })
        }
        Err(Errno::AGAIN) => Ok(Read::Empty),
        Err(Errno::INTR) => Ok(Read::Stranger),
        Err(Errno::NOBUFS) => Ok(Read::Overflow),
        Err(error) => Err(error.into()),
    }
}

/// Waits until something waits in the socket.
///
/// # Errors
/// Nothing came in time.
pub(crate) fn wait(socket: &OwnedFd) -> io::Result<()> {
    let time = Timespec { tv_sec: ANSWER_SECONDS, tv_nsec: 0 };
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&time)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// Lets messages pass whose status says that an address is translated, and those without a status. A connection that is
/// not translated costs nothing on this side.
fn only_translated() -> [SockFilter; 9] {
    const LOAD: u16 = 0x00;
    const LOAD_AT: u16 = 0x20;
    const LOAD_BEHIND: u16 = 0x40;
    const LOAD_INDEX: u16 = 0x01;
    const IF_EQUAL: u16 = 0x15;
    const IF_ANY_BIT: u16 = 0x45;
    const RETURN: u16 = 0x06;
    const TO_INDEX: u16 = 0x07;
    /// Finds an attribute: from the offset in the accumulator on, that of the kind in the index register.
    const FIND_ATTRIBUTE: u32 = 0xffff_f000 + 12;
    let first = u32::try_from(HEADER_BYTES + GENERAL_BYTES).expect("it is 20");
    [
        SockFilter::new(LOAD, 0, 0, first),
        SockFilter::new(LOAD_INDEX, 0, 0, CTA_STATUS.into()),
        SockFilter::new(LOAD_AT, 0, 0, FIND_ATTRIBUTE),
        SockFilter::new(IF_EQUAL, 3, 0, 0),
        SockFilter::new(TO_INDEX, 0, 0, 0),
        SockFilter::new(LOAD_BEHIND, 0, 0, 4),
        SockFilter::new(IF_ANY_BIT, 0, 1, SOURCE_NAT | DESTINATION_NAT),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ]
}
