//! The world of these tests: a client and a server with a router between, which translates addresses in both directions;
//! and network namespaces as the crate wants them.

use std::fs::File;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use connections::{
    Connection, ConnectionId, Counters, Direction, Facts, KernelTime, Nat, Protocol, State, TcpFacts, Tuple,
};
use context::{Namespace, Namespaces, NatLimits, Translations};
use rustix::net::netlink::SocketAddrNetlink;
use rustix::net::{AddressFamily, SocketFlags, SocketType, bind, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

use crate::not_run::not_run;
use crate::world::NetNs;

pub(crate) use crate::routed::{
    OUTSIDE_V4, OUTSIDE_V6, PUBLIC_PORT, ROUTER_V4, ROUTER_V6, Routed, SERVER_V4, SERVER_V6, set,
};

/// True when the test cannot run here, which is noted then.
pub(crate) fn cannot_run() -> bool {
    let reason = if !rustix::process::geteuid().is_root() {
        "it makes network namespaces, which needs root"
    } else if !crate::world::runs("nft") || !crate::world::runs("ip") {
        "it needs the programs nft and ip"
    } else {
        return false;
    };
    let test = std::thread::current().name().unwrap_or_default().to_owned();
    not_run("contract", &test, reason).expect("it was required");
    true
}

/// The namespaces that a test says there are.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) all: Mutex<Vec<Namespace>>,
    /// Why each socket is refused.
    pub(crate) refused: Option<io::ErrorKind>,
}

impl Told {
    pub(crate) fn of(namespaces: &[&NetNs]) -> Arc<Self> {
        let all = Mutex::new(namespaces.iter().map(|namespace| named(namespace)).collect());
        Arc::new(Self { all, refused: None })
    }
}

pub(crate) fn named(namespace: &NetNs) -> Namespace {
    let path = PathBuf::from(format!("/run/netns/{}", namespace.name()));
    Namespace { inode: namespace.inode(), path }
}

impl Namespaces for Told {
    fn all(&self) -> Vec<Namespace> {
        self.all.lock().expect("nobody panics").clone()
    }

    fn netlink(&self, namespace: &Namespace, protocol: i32) -> io::Result<OwnedFd> {
        if let Some(kind) = self.refused {
            return Err(kind.into());
        }
        let file = File::open(&namespace.path)?;
        let protocol = u32::try_from(protocol).ok().and_then(NonZeroU32::new);
        let open = move || {
            move_into_link_name_space(file.as_fd(), Some(LinkNameSpaceType::Network))?;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            let protocol = protocol.map(rustix::net::Protocol::from_raw);
            Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?)
        };
        std::thread::spawn(open).join().expect("it does not panic")
    }
}

impl Routed {
    pub(crate) fn told(&self) -> Arc<Told> {
        Told::of(&[&self.client, &self.router, &self.server])
    }

    pub(crate) fn translations(&self) -> Translations {
        started(NatLimits::default(), self.told())
    }
}

/// Translations that have listed all that was there.
pub(crate) fn started(limits: NatLimits, told: Arc<Told>) -> Translations {
    let number = u64::try_from(told.all().len()).expect("it is small");
    let nat = Translations::start(limits, told).expect("threads are to be had");
    eventually("all was listed", || nat.counts().dumps >= number);
    nat
}

/// Waits for a condition, and fails when it does not come in 60 s.
pub(crate) fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(60);
    while !condition() {
        assert!(Instant::now() < until, "not in 60 s: {what}");
        std::thread::yield_now();
    }
}

pub(crate) fn address(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse::<IpAddr>().expect("an address"), port)
}

/// A live connection as the tracer knows it.
pub(crate) fn connection(
    netns: u32,
    protocol: Protocol,
    local: SocketAddr,
    remote: SocketAddr,
) -> Connection {
    Connection {
        id: ConnectionId { cookie: 1, claimed_at: KernelTime(1) },
        global_id: None,
        tuple: Tuple::canonical(protocol, netns, local, remote),
        direction: Direction::Unknown,
        owner: None,
        state: State::Established,
        opened_at: None,
        established_at: None,
        closed_at: None,
        pre_existing: false,
        total: Counters::default(),
        before: Counters::default(),
        facts: Facts::Tcp(TcpFacts::default()),
        failure: None,
        failed_at: None,
    }
}

/// It was opened and closed at these times.
pub(crate) fn lived(connection: Connection, opened: KernelTime, closed: KernelTime) -> Connection {
    Connection { opened_at: Some(opened), closed_at: Some(closed), state: State::Closed, ..connection }
}

/// The kernel's monotonic clock.
pub(crate) fn now() -> KernelTime {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let number = |number: i64| u64::try_from(number).expect("it is not before boot");
    KernelTime(number(time.tv_sec) * 1_000_000_000 + number(time.tv_nsec))
}

pub(crate) fn nat(remote: SocketAddr, local: SocketAddr) -> Option<Nat> {
    Some(Nat { remote, local })
}

/// Deletes all tracked connections of the namespace, as `conntrack -F` does.
pub(crate) fn flush(namespace: &NetNs) {
    let socket = Told::default().netlink(&named(namespace), 12).expect("root may");
    bind(&socket, &SocketAddrNetlink::new(0, 0)).expect("any number");
    // The message IPCTNL_MSG_CT_DELETE with REQUEST and ACK, and no attribute.
    let mut request = 20_u32.to_ne_bytes().to_vec();
    request.extend((1_u16 << 8 | 2).to_ne_bytes());
    request.extend(5_u16.to_ne_bytes());
    request.extend([0; 12]);
    rustix::net::sendto(&socket, &request, rustix::net::SendFlags::empty(), &SocketAddrNetlink::new(0, 0))
        .expect("the kernel takes it");
}
