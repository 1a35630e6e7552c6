//! Sockets to the kernel's socket diagnosis, two for each network namespace: one that is asked, one that hears of ends.
//!
//! Knows nothing of what is said.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use nix::{getsockopt_impl, libc};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::sockopt::{set_socket_recv_buffer_size, set_socket_recv_buffer_size_force};
use rustix::net::{RecvFlags, SendFlags, bind, recv, sendto};

use super::message::{self, Message};
use crate::namespaces::NetworkNamespaces;

const NETLINK_SOCK_DIAG: i32 = 4;
/// Enough for what the kernel puts into a datagram of a list.
pub(super) const DATAGRAM_BYTES: usize = 64 * 1024;
/// The kernel answers a list while it is read, so that this is never reached.
const ANSWER_SECONDS: i64 = 5;
/// Bits of the groups that tell of TCP sockets which ended, over IPv4 and IPv6 (`SKNLGRP_INET_TCP_DESTROY` is 1,
/// `SKNLGRP_INET6_TCP_DESTROY` 3).
const ENDS: u32 = 1 | 1 << 2;

/// What came of hearing once.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Heard {
    /// All that waited was taken.
    All,
    /// The kernel had no room for all it wanted to tell. What waits was taken.
    Overflow,
}

/// A socket that is asked.
///
/// # Errors
/// The namespace is gone or cannot be entered.
pub(super) fn open(inode: u32, path: &Path) -> io::Result<OwnedFd> {
    NetworkNamespaces.netlink(inode, path, NETLINK_SOCK_DIAG)
}

/// A socket that hears of the ends of TCP sockets of the namespace. The kernel takes twice `buffer_bytes` for what was not
/// heard yet, and 768 of them for each end.
///
/// # Errors
/// As [`open`].
pub(super) fn listen(inode: u32, path: &Path, buffer_bytes: usize) -> io::Result<OwnedFd> {
    let socket = open(inode, path)?;
    if set_socket_recv_buffer_size_force(&socket, buffer_bytes).is_err() {
        set_socket_recv_buffer_size(&socket, buffer_bytes)?;
    }
    bind(&socket, &SocketAddrNetlink::new(0, ENDS))?;
    Ok(socket)
}

/// How many ends the kernel had no room to tell this socket, since it was opened.
pub(super) fn lost(socket: &OwnedFd) -> u64 {
    getsockopt(socket, MemoryInfo).map_or(0, |info| info.0.get(DROPS).copied().unwrap_or(0).into())
}

/// Numbers of include/uapi/linux/sock_diag.h, `SK_MEMINFO_*`.
#[derive(Debug, Clone, Copy)]
struct Numbers([u32; 9]);

const DROPS: usize = 8;

getsockopt_impl!(MemoryInfo, libc::SOL_SOCKET, SO_MEMINFO, Numbers, GetStruct<Numbers>);

/// Of include/uapi/asm-generic/socket.h, since 4.12; others only on architectures that are not supported.
const SO_MEMINFO: libc::c_int = 55;

/// The option of a socket that tells what it holds and what it dropped.
#[derive(Debug, Clone, Copy)]
struct MemoryInfo;

/// Takes all that waits.
///
/// # Errors
/// The socket cannot be read.
pub(super) fn hear(
    socket: &OwnedFd,
    buffer: &mut [u8],
    malformed: &mut u64,
    mut take: impl FnMut(Message),
) -> io::Result<Heard> {
    let mut heard = Heard::All;
    loop {
        match recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((_, length)) => {
                message::messages(buffer.get(..length).unwrap_or_default(), malformed, &mut take);
            }
            Err(Errno::AGAIN) => return Ok(heard),
            Err(Errno::NOBUFS) => heard = Heard::Overflow,
            Err(Errno::INTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Asks, and takes the answer to its end. True when a list changed while it was made.
///
/// # Errors
/// The socket cannot be used; the kernel refuses, by its error number; nothing came in time.
pub(super) fn ask(
    socket: &OwnedFd,
    request: &[u8],
    is_list: bool,
    buffer: &mut [u8],
    malformed: &mut u64,
    mut take: impl FnMut(message::Socket),
) -> io::Result<bool> {
    sendto(socket, request, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
    let mut interrupted = false;
    loop {
        let length = match recv(socket, &mut *buffer, RecvFlags::DONTWAIT) {
            Ok((_, length)) => length,
            Err(Errno::AGAIN) => {
                wait(socket)?;
                continue;
            }
            Err(Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        let datagram = buffer.get(..length).unwrap_or_default();
        interrupted |= message::is_interrupted(datagram);
        let mut ended = None;
        message::messages(datagram, malformed, |message| match message {
            Message::Socket(socket) => {
                take(*socket);
                if !is_list {
                    ended = Some(Ok(()));
                }
            }
            Message::Done => ended = Some(Ok(())),
            Message::Refused(errno) => ended = Some(Err(io::Error::from_raw_os_error(errno))),
        });
        if let Some(ended) = ended {
            return ended.map(|()| interrupted);
        }
    }
}

fn wait(socket: &OwnedFd) -> io::Result<()> {
    let time = Timespec { tv_sec: ANSWER_SECONDS, tv_nsec: 0 };
    match poll(&mut [PollFd::new(socket, PollFlags::IN)], Some(&time)) {
        Ok(0) => Err(io::ErrorKind::TimedOut.into()),
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}
