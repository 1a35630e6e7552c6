//! The kernel's own listing of TCP sockets: a dump of `sock_diag` with the `tcp_info` of each, as short as it
//! can be asked for and read.
//!
//! The least that a tracer without BPF has to do for a reading of one network namespace. It tells neither
//! owners nor what closed meanwhile.

use std::os::fd::OwnedFd;

use anyhow::{Context, bail, ensure};
use rustix::net::{
    AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, netlink, recv, send, socket_with,
};

/// The kernel fills at most so much per read.
const READ_BYTES: usize = 32 * 1024;

// include/uapi/linux/netlink.h, sock_diag.h, inet_diag.h, tcp.h
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST_DUMP: u16 = 0x301;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_INFO: u16 = 2;
const AF_INET: u8 = 2;
const IPPROTO_TCP: u8 = 6;
const HEADER_BYTES: usize = 16;
const REQUEST_BYTES: usize = HEADER_BYTES + 56;
/// `struct inet_diag_msg`; attributes follow.
const SOCKET_BYTES: usize = 72;
/// Where `tcp_info` has `tcpi_bytes_received`.
const BYTES_RECEIVED_AT: usize = 128;
/// Not LISTEN, CLOSE, TIME_WAIT and SYN_RECV: as ss without options.
const STATES: u32 = 0xfff & !(1 << 10 | 1 << 7 | 1 << 6 | 1 << 3);

/// A socket to ask with; it asks about the namespace in which it was made.
pub struct InetDiag {
    socket: OwnedFd,
    buffer: Vec<u8>,
}

/// What a dump told.
#[derive(Debug, Default)]
pub struct Dump {
    pub connections: u64,
    /// Of all of them together; read so that the facts of each are looked at.
    pub received_bytes: u64,
}

impl InetDiag {
    pub fn new() -> anyhow::Result<Self> {
        let (family, kind) = (AddressFamily::NETLINK, SocketType::DGRAM);
        let socket = socket_with(family, kind, SocketFlags::CLOEXEC, Some(netlink::SOCK_DIAG))?;
        Ok(Self { socket, buffer: vec![0; READ_BYTES] })
    }

    /// Asks for all TCP connections over IPv4 and reads the answer to its end.
    pub fn dump(&mut self) -> anyhow::Result<Dump> {
        send(&self.socket, &request(), SendFlags::empty()).context("cannot ask sock_diag")?;
        let mut dump = Dump::default();
        loop {
            let (_, read) = recv(&self.socket, self.buffer.as_mut_slice(), RecvFlags::empty())?;
            ensure!(read > 0, "sock_diag ended");
            if dump.take_in(self.buffer.get(..read).context("an answer longer than the buffer")?)? {
                return Ok(dump);
            }
        }
    }
}

/// `struct nlmsghdr` and `struct inet_diag_req_v2`; what is not written is 0 and asks for everything.
fn request() -> Vec<u8> {
    let mut request = Vec::with_capacity(REQUEST_BYTES);
    request.extend(u32::try_from(REQUEST_BYTES).expect("72 fit").to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(NLM_F_REQUEST_DUMP.to_ne_bytes());
    request.extend([0; 8]);
    request.extend([AF_INET, IPPROTO_TCP, 1 << (INET_DIAG_INFO - 1), 0]);
    request.extend(STATES.to_ne_bytes());
    request.resize(REQUEST_BYTES, 0);
    request
}

impl Dump {
    /// Takes in the messages of one read; answers whether they were the last.
    fn take_in(&mut self, mut messages: &[u8]) -> anyhow::Result<bool> {
        while !messages.is_empty() {
            let length = usize::try_from(u32_at(messages, 0)?)?;
            let message = messages.get(..length).context("a message is cut off")?;
            match u16_at(message, 4)? {
                SOCK_DIAG_BY_FAMILY => self.take_in_socket(message)?,
                NLMSG_DONE => return Ok(true),
                NLMSG_ERROR => bail!("sock_diag refused: {}", u32_at(message, HEADER_BYTES)?.wrapping_neg()),
                _ => {}
            }
            messages = messages.get(length.next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(false)
    }

    fn take_in_socket(&mut self, message: &[u8]) -> anyhow::Result<()> {
        let mut attributes = message.get(HEADER_BYTES + SOCKET_BYTES..).context("a socket is cut off")?;
        while !attributes.is_empty() {
            let length = usize::from(u16_at(attributes, 0)?);
            if u16_at(attributes, 2)? == INET_DIAG_INFO {
                let received = attributes.get(4 + BYTES_RECEIVED_AT..).and_then(<[u8]>::first_chunk);
                self.received_bytes += received.map_or(0, |bytes| u64::from_ne_bytes(*bytes));
                self.connections += 1;
            }
            attributes = attributes.get(length.max(4).next_multiple_of(4)..).unwrap_or_default();
        }
        Ok(())
    }
}

fn u16_at(bytes: &[u8], at: usize) -> anyhow::Result<u16> {
    let field = bytes.get(at..).and_then(<[u8]>::first_chunk).context("a message is too short")?;
    Ok(u16::from_ne_bytes(*field))
}

fn u32_at(bytes: &[u8], at: usize) -> anyhow::Result<u32> {
    let field = bytes.get(at..).and_then(<[u8]>::first_chunk).context("a message is too short")?;
    Ok(u32::from_ne_bytes(*field))
}
