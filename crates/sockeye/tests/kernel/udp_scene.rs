//! What most tests of UDP begin with, and what they ask of what was told.

use std::net::SocketAddr;

use collect::{Capability, CollectLimits};
use connections::{Connection, Counters, Protocol};

use crate::harness::{Client, Tracer};
use crate::peer::Peer;
use crate::world::{NetNs, VethPair};

/// A server on the right with the bound socket `s`, a client on the left, and the tracer.
pub struct DatagramScene {
    pub world: VethPair,
    pub tracer: Tracer,
    pub client: Peer,
    pub server: Peer,
    /// The server's port.
    pub port: u16,
}

impl DatagramScene {
    pub fn bound(everywhere: &str) -> Self {
        Self::bound_with(everywhere, CollectLimits { tcp_slots: 4096, ..CollectLimits::default() })
    }

    pub fn bound_with(everywhere: &str, limits: CollectLimits) -> Self {
        let world = VethPair::new();
        let tracer = Tracer::with(limits);
        tracer.needs(Capability::Udp);
        let (client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
        // A port of its own choice, as servers have.
        let port = 5300;
        server.ask(&format!("udp-bind s {everywhere}:{port}"));
        Self { world, tracer, client, server, port }
    }
}

/// Socket `c` of the client sends, the server's socket `s` echoes, and the client receives; answers the client's port.
pub fn exchange(client: &mut Peer, server: &mut Peer, target: SocketAddr, bytes: u64, count: u64) -> u16 {
    client.ask(&format!("udp-open c {}", if target.is_ipv6() { "v6" } else { "v4" }));
    let local = client.ask(&format!("udp-send c {target} {bytes} {count}"));
    assert_eq!(server.ask(&format!("udp-echo s {count}")), (bytes * count).to_string());
    assert_eq!(client.ask(&format!("udp-receive c {count}")), (bytes * count).to_string());
    local.parse().expect("a port")
}

/// What was told of one connection: the sum of its deltas, and how it was told last.
#[derive(Debug, Clone)]
pub struct Told {
    pub sum: Counters,
    pub connection: Connection,
}

impl Told {
    /// Everything that was told of UDP sockets of this namespace with this local port.
    pub fn all(client: &Client<'_>, namespace: &NetNs, local_port: u16) -> Vec<Self> {
        let found = client.find_all(namespace, local_port).into_iter();
        let udp = found.filter(|(_, change)| change.connection.tuple.protocol == Protocol::Udp);
        udp.map(|(sum, change)| Self { sum, connection: change.connection }).collect()
    }

    fn find(client: &Client<'_>, namespace: &NetNs, (local, remote): (u16, u16)) -> Option<Self> {
        let mut all = Self::all(client, namespace, local);
        all.retain(|told| told.connection.tuple.remote.port() == remote);
        all.pop()
    }

    /// Polls until the connection between these ports is as wanted.
    pub fn wait(
        client: &mut Client<'_>,
        namespace: &NetNs,
        ports: (u16, u16),
        mut wanted: impl FnMut(&Self) -> bool,
    ) -> Self {
        client
            .wait("the datagrams", |client| Self::find(client, namespace, ports).filter(|told| wanted(told)))
    }

    /// Polls until that connection has ended.
    pub fn wait_closed(client: &mut Client<'_>, namespace: &NetNs, ports: (u16, u16)) -> Self {
        Self::wait(client, namespace, ports, |told| told.connection.closed_at.is_some())
    }

    /// Polls until so many connections of the local port are told.
    pub fn wait_all(client: &mut Client<'_>, namespace: &NetNs, local_port: u16, count: u64) -> Vec<Self> {
        client.wait("all peers", |client| {
            let all = Self::all(client, namespace, local_port);
            (all.len() as u64 >= count).then_some(all)
        })
    }
}

/// What the kernel counted in a namespace, IPv4 and IPv6.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KernelDatagrams {
    /// A batch (GSO) counts once.
    pub sent: u64,
    /// Read by a process.
    pub received: u64,
    /// Refused by a full queue.
    pub refused: u64,
}

pub fn kernel_datagrams(namespace: &NetNs) -> KernelDatagrams {
    let read = |file: &'static str| {
        namespace
            .inside(|| std::fs::read_to_string(format!("/proc/thread-self/net/{file}")))
            .unwrap_or_default()
    };
    let (four, six) = (read("snmp"), read("snmp6"));
    let mut udp = four.lines().filter_map(|line| line.strip_prefix("Udp: "));
    let (names, values) = (udp.next().expect("a header"), udp.next().expect("values"));
    let of_four = |name: &str| -> u64 {
        let pairs = names.split(' ').zip(values.split(' '));
        let value = pairs.filter(|(found, _)| *found == name).map(|(_, value)| value).next();
        value.expect("a known name").parse().expect("a number")
    };
    let of_six = |name: &str| -> u64 {
        let lines = six.lines().filter_map(|line| line.strip_prefix("Udp6"));
        let value = lines.filter_map(|line| line.strip_prefix(name)).next();
        value.map_or(0, |value| value.trim().parse().expect("a number"))
    };
    let both = |name: &str| of_four(name) + of_six(name);
    KernelDatagrams {
        sent: both("OutDatagrams"),
        received: both("InDatagrams"),
        refused: both("RcvbufErrors"),
    }
}
