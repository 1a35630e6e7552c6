//! Messages of the kernel's socket diagnosis (`sock_diag`): what they say of a socket, and how they are asked for.
//!
//! The bytes are untrusted: lengths are checked and nothing is indexed. Layouts are those of include/uapi/linux/inet_diag.h
//! and netlink.h. Says nothing of what the numbers mean.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

use super::tcp_info::TcpInfo;

const HEADER_BYTES: usize = 16;
/// `struct inet_diag_msg`.
const SOCKET_BYTES: usize = 72;
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_DUMP: u16 = 0x300;
/// The list is not of one moment: something changed while it was made.
const NLM_F_DUMP_INTR: u16 = 0x10;

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_PROTOCOL: u16 = 10;
const INET_DIAG_CGROUP_ID: u16 = 21;

pub(super) const IPPROTO_TCP: u8 = 6;
pub(super) const IPPROTO_UDP: u8 = 17;

/// Both families in which sockets are listed.
pub(super) const FAMILIES: [u8; 2] = [AF_INET, AF_INET6];

/// States by the numbers of include/net/tcp_states.h, as bits.
pub(super) const TIME_WAIT: u32 = 1 << 6;
pub(super) const SYN_RECEIVED: u32 = 1 << 3;
/// Requests that are no sockets yet.
pub(super) const NEW_SYN_RECEIVED: u32 = 1 << 12;
pub(super) const CLOSED: u32 = 1 << 7;

/// A socket as the kernel tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Socket {
    pub(super) local: SocketAddr,
    /// With port 0: none.
    pub(super) remote: SocketAddr,
    /// By include/net/tcp_states.h.
    pub(super) state: u8,
    pub(super) cookie: u64,
    /// 0 when nobody has the socket any more.
    pub(super) inode: u32,
    pub(super) uid: u32,
    /// What waits to be read, an unread FIN included.
    pub(super) unread: u32,
    /// What was written and not acknowledged, SYN and FIN included.
    pub(super) unacknowledged: u32,
    pub(super) cgroup_id: Option<u64>,
    /// Absent in what ends, where the kernel does not say it.
    pub(super) protocol: Option<u8>,
    /// Of TCP.
    pub(super) info: Option<TcpInfo>,
}

/// What a datagram holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Message {
    Socket(Box<Socket>),
    /// The list has ended.
    Done,
    /// The kernel refuses the request, by this error number.
    Refused(i32),
}

/// The messages of a datagram. Where it is malformed, the rest is left out, and `malformed` counts one.
pub(super) fn messages(mut bytes: &[u8], malformed: &mut u64, mut take: impl FnMut(Message)) {
    while !bytes.is_empty() {
        let Some((message, rest)) = split(bytes) else {
            *malformed += 1;
            return;
        };
        match message {
            Ok(Some(message)) => take(message),
            Ok(None) => {}
            Err(Malformed) => *malformed += 1,
        }
        bytes = rest;
    }
}

struct Malformed;

type Parsed = Result<Option<Message>, Malformed>;

/// The first message, and what comes after it.
fn split(bytes: &[u8]) -> Option<(Parsed, &[u8])> {
    let length = usize::try_from(u32_at(bytes, 0)?).ok()?;
    let kind = u16_at(bytes, 4)?;
    if length < HEADER_BYTES {
        return None;
    }
    let body = bytes.get(HEADER_BYTES..length)?;
    let rest = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    let parsed = match kind {
        NLMSG_DONE => Ok(Some(Message::Done)),
        NLMSG_ERROR => i32_at(body, 0).map(|error| Some(Message::Refused(-error))).ok_or(Malformed),
        SOCK_DIAG_BY_FAMILY => {
            socket(body).map(|socket| Some(Message::Socket(Box::new(socket)))).ok_or(Malformed)
        }
        _ => Ok(None),
    };
    Some((parsed, rest))
}

/// True when the list changed while it was made, so that something may be missing in it.
pub(super) fn is_interrupted(bytes: &[u8]) -> bool {
    u16_at(bytes, 6).is_some_and(|flags| flags & NLM_F_DUMP_INTR != 0)
}

fn socket(bytes: &[u8]) -> Option<Socket> {
    let family = *bytes.first()?;
    let scope = u32_at(bytes, 40)?;
    let end = |port: usize, address: usize| {
        let port = u16::from_be_bytes(*bytes.get(port..)?.first_chunk()?);
        let address = *bytes.get(address..)?.first_chunk::<16>()?;
        match family {
            AF_INET => {
                let [a, b, c, d, ..] = address;
                Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::new(a, b, c, d)), port))
            }
            AF_INET6 => {
                let address = Ipv6Addr::from(address);
                let scope = if address.is_unicast_link_local() { scope } else { 0 };
                Some(SocketAddr::V6(SocketAddrV6::new(address, port, 0, scope)))
            }
            _ => None,
        }
    };
    let mut socket = Socket {
        local: end(4, 8)?,
        remote: end(6, 24)?,
        state: *bytes.get(1)?,
        cookie: u64_at(bytes, 44)?,
        unread: u32_at(bytes, 56)?,
        unacknowledged: u32_at(bytes, 60)?,
        uid: u32_at(bytes, 64)?,
        inode: u32_at(bytes, 68)?,
        cgroup_id: None,
        protocol: None,
        info: None,
    };
    attributes(bytes.get(SOCKET_BYTES..)?, |kind, value| match kind {
        INET_DIAG_INFO => socket.info = Some(TcpInfo::from_bytes(value)),
        INET_DIAG_PROTOCOL => socket.protocol = value.first().copied(),
        INET_DIAG_CGROUP_ID => socket.cgroup_id = u64_at(value, 0).filter(|id| *id != 0),
        _ => {}
    })?;
    Some(socket)
}

/// `None` when they are malformed.
fn attributes(mut bytes: &[u8], mut take: impl FnMut(u16, &[u8])) -> Option<()> {
    const ATTRIBUTE_BYTES: usize = 4;
    while !bytes.is_empty() {
        let length = usize::from(u16_at(bytes, 0)?);
        let kind = u16_at(bytes, 2)?;
        take(kind, bytes.get(ATTRIBUTE_BYTES..length)?);
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    Some(())
}

/// Asks for all sockets of a family and protocol in these states, with what TCP knows of them.
pub(super) fn list(family: u8, protocol: u8, states: u32) -> Vec<u8> {
    request(family, protocol, states, NLM_F_REQUEST | NLM_F_DUMP, &[0; 48])
}

/// Asks for the socket with these ends, in whatever state it is; where there is none, for one that listens at the local end.
pub(super) fn find(protocol: u8, local: SocketAddr, remote: SocketAddr) -> Vec<u8> {
    let mut id = Vec::with_capacity(48);
    id.extend(local.port().to_be_bytes());
    id.extend(remote.port().to_be_bytes());
    for end in [local, remote] {
        match end.ip() {
            IpAddr::V4(address) => {
                id.extend(address.octets());
                id.extend([0; 12]);
            }
            IpAddr::V6(address) => id.extend(address.octets()),
        }
    }
    // Through any interface.
    id.extend([0; 4]);
    // By whatever name.
    id.extend([u8::MAX; 8]);
    let family = if local.is_ipv4() { AF_INET } else { AF_INET6 };
    request(family, protocol, u32::MAX, NLM_F_REQUEST, &id)
}

/// `struct inet_diag_req_v2` behind its header.
fn request(family: u8, protocol: u8, states: u32, flags: u16, id: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0; 4];
    bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    // A number that is not looked at, and the sender's, which the kernel fills in.
    bytes.extend([0; 8]);
    bytes.extend([family, protocol, 1 << (INET_DIAG_INFO - 1), 0]);
    bytes.extend(states.to_ne_bytes());
    bytes.extend(id);
    let length = u32::try_from(bytes.len()).expect("a request has 72 bytes");
    bytes.splice(..4, length.to_ne_bytes());
    bytes
}

pub(super) fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    bytes.get(at..)?.first_chunk().map(|bytes| u16::from_ne_bytes(*bytes))
}

pub(super) fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_ne_bytes(*bytes))
}

fn i32_at(bytes: &[u8], at: usize) -> Option<i32> {
    bytes.get(at..)?.first_chunk().map(|bytes| i32::from_ne_bytes(*bytes))
}

pub(super) fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    bytes.get(at..)?.first_chunk().map(|bytes| u64::from_ne_bytes(*bytes))
}

#[cfg(test)]
pub(super) mod fixtures {
    use super::*;

    /// A socket of TCP at this local end in this state, of which nothing else is known.
    pub(crate) fn socket(local: &str, state: u8) -> Socket {
        Socket {
            local: local.parse().expect("an address"),
            remote: "10.0.0.2:4000".parse().expect("an address"),
            state,
            cookie: 1,
            inode: 0,
            uid: 0,
            unread: 0,
            unacknowledged: 0,
            cgroup_id: None,
            protocol: Some(6),
            info: Some(TcpInfo { state, ..TcpInfo::default() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A listing of one socket, as the kernel writes it.
    fn listed(family: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = vec![family, 1, 0, 0];
        body.extend(8080_u16.to_be_bytes());
        body.extend(443_u16.to_be_bytes());
        body.extend([10, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        body.extend([10, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
        body.extend(3_u32.to_ne_bytes());
        body.extend(77_u64.to_ne_bytes());
        for number in [0_u32, 5, 6, 1000, 4711] {
            body.extend(number.to_ne_bytes());
        }
        for (kind, value) in attributes {
            body.extend(u16::try_from(value.len() + 4).expect("short").to_ne_bytes());
            body.extend(kind.to_ne_bytes());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        let mut bytes = u32::try_from(body.len() + HEADER_BYTES).expect("short").to_ne_bytes().to_vec();
        bytes.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
        bytes.extend([0; 10]);
        bytes.extend(body);
        bytes
    }

    fn read(bytes: &[u8]) -> (Vec<Message>, u64) {
        let (mut found, mut malformed) = (Vec::new(), 0);
        messages(bytes, &mut malformed, |message| found.push(message));
        (found, malformed)
    }

    #[test]
    fn a_socket_is_read_with_its_ends_and_attributes() {
        let bytes =
            listed(AF_INET, &[(INET_DIAG_PROTOCOL, &[6]), (INET_DIAG_CGROUP_ID, &9_u64.to_ne_bytes())]);
        let (found, malformed) = read(&[bytes.clone(), bytes].concat());
        assert_eq!(malformed, 0);
        let [Message::Socket(first), Message::Socket(second)] = found.as_slice() else { panic!("{found:?}") };
        assert_eq!(first, second);
        assert_eq!(first.local, "10.0.0.1:8080".parse().expect("an address"));
        assert_eq!(first.remote, "10.0.0.2:443".parse().expect("an address"));
        assert_eq!((first.cookie, first.inode, first.uid, first.unread), (77, 4711, 1000, 5));
        assert_eq!((first.cgroup_id, first.protocol, first.unacknowledged), (Some(9), Some(6), 6));
    }

    #[test]
    fn what_is_cut_anywhere_is_malformed_and_no_other_socket() {
        let whole = listed(AF_INET6, &[(INET_DIAG_INFO, &[1; 280])]);
        for length in 1..whole.len() {
            let mut cut = whole[..length].to_vec();
            let (found, malformed) = read(&cut);
            assert_eq!((found, malformed), (vec![], 1), "{length}");
            // The header says what there is: then the attribute is cut.
            if length > HEADER_BYTES + SOCKET_BYTES {
                cut.splice(..4, u32::try_from(length).expect("short").to_ne_bytes());
                assert_eq!(read(&cut), (vec![], 1), "{length}");
            }
        }
    }

    #[test]
    fn the_end_of_a_list_and_a_refusal_are_told() {
        let mut done = 20_u32.to_ne_bytes().to_vec();
        done.extend(NLMSG_DONE.to_ne_bytes());
        done.extend([0; 14]);
        assert_eq!(read(&done), (vec![Message::Done], 0));
        let mut refused = 36_u32.to_ne_bytes().to_vec();
        refused.extend(NLMSG_ERROR.to_ne_bytes());
        refused.extend([0; 10]);
        refused.extend((-2_i32).to_ne_bytes());
        refused.extend([0; 16]);
        assert_eq!(read(&refused), (vec![Message::Refused(2)], 0));
    }

    proptest::proptest! {
        /// Neither a panic nor a socket that is not in the bytes: each takes 88 of them.
        #[test]
        fn any_bytes_are_read_or_malformed(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..400)) {
            let (found, _) = read(&bytes);
            let sockets = found.iter().filter(|message| matches!(message, Message::Socket(_))).count();
            assert!(sockets * (HEADER_BYTES + SOCKET_BYTES) <= bytes.len());
        }

        /// A listing in which some bytes are others.
        #[test]
        fn a_damaged_listing_is_read_or_malformed(
            at in 0_usize..400, byte in proptest::num::u8::ANY, value in proptest::collection::vec(proptest::num::u8::ANY, 0..290)
        ) {
            let mut bytes = [listed(AF_INET, &[(INET_DIAG_INFO, &value)]), listed(AF_INET6, &[])].concat();
            if let Some(damaged) = bytes.get_mut(at) {
                *damaged = byte;
            }
            let (found, malformed) = read(&bytes);
            assert!(found.len() <= 2 && malformed <= 2);
        }
    }
}
