//! What most tests begin with: a client and a server at the two ends of a cable, and the tracer; and how they
//! break the cable and judge what is told.

use std::time::{Duration, Instant};

use connections::{Connection, Counters, Failure, FailureKind};

use crate::harness::{Client, Tracer};
use crate::peer::Peer;
use crate::world::{NetNs, RIGHT_V4, VethPair, run};

/// Client on the left, server on the right.
pub struct Scene {
    pub world: VethPair,
    pub tracer: Tracer,
    pub client: Peer,
    pub server: Peer,
    /// The client's port.
    pub local: u16,
    /// The server's port.
    pub port: u16,
}

impl Scene {
    /// The server listens on `port`; nobody has connected.
    pub fn listening() -> Self {
        Self::listening_with("tcp", |_| ())
    }

    /// A listener of this protocol in a world that was prepared before.
    pub fn listening_with(protocol: &str, prepare: impl FnOnce(&VethPair)) -> Self {
        Self::traced_by(Tracer::start, protocol, prepare)
    }

    fn traced_by(start: fn() -> Tracer, protocol: &str, prepare: impl FnOnce(&VethPair)) -> Self {
        let world = VethPair::new();
        prepare(&world);
        let tracer = start();
        let (client, mut server) = (Peer::start(&world.left), Peer::start(&world.right));
        let answer = server.ask(&format!("listen-as {protocol} 0.0.0.0"));
        let port = answer.parse().expect("a port");
        Self { world, tracer, client, server, local: 0, port }
    }

    /// Socket `c` of the client is connected to socket `s` of the server.
    pub fn connected() -> Self {
        Self::listening().connect()
    }

    /// The same, with a tracer without programs.
    pub fn polled() -> Self {
        Self::traced_by(Tracer::polling, "tcp", |_| ()).connect()
    }

    fn connect(mut self) -> Self {
        self.local = self.client.connect("c", RIGHT_V4, self.port);
        self.server.ask("accept s");
        self
    }
}

impl Scene {
    /// Socket `c` of the client is connecting, and nobody answers.
    pub fn unanswered() -> Self {
        let mut scene = Self::listening();
        filter_arriving(&scene.world.right, "drop");
        scene.client.ask("open c tcp");
        let command = format!("start c {RIGHT_V4}:{}", scene.port);
        scene.local = scene.client.ask(&command).parse().expect("a port");
        scene
    }
}

/// Sets a switch of the namespace, such as `ipv4/tcp_retries2`.
pub fn set(namespace: &NetNs, switch: &str, value: &str) {
    let path = format!("/proc/sys/net/{switch}");
    namespace.inside(|| std::fs::write(&path, value)).expect("the namespace has its own");
}

/// A connect is tried again after twice the time, each time; kernels that can do otherwise (6.5) have a switch for it.
pub fn back_off_from_the_start(namespace: &NetNs) {
    let switch = "ipv4/tcp_syn_linear_timeouts";
    if namespace.inside(|| std::path::Path::new("/proc/sys/net").join(switch).exists()) {
        set(namespace, switch, "0");
    }
}

/// From now on this rule alone judges what arrives in the namespace.
pub fn filter_arriving(namespace: &NetNs, rule: &str) {
    let rules = format!(
        "flush ruleset; add table inet test; \
         add chain inet test arriving {{ type filter hook input priority 0; }}; \
         add rule inet test arriving {rule}"
    );
    namespace.inside(|| run("nft", &[&rules]));
}

/// Waits for the close of the connection with this local port, and judges its failure.
pub fn wait_failed(
    told: &mut Client<'_>,
    end: (&NetNs, u16),
    kind: FailureKind,
    errno: Option<u16>,
) -> (Counters, Connection) {
    let (sum, change) = told.wait_closed(end.0, end.1);
    assert_eq!(change.connection.failure, Some(Failure { kind, errno }), "{:?}", change.connection);
    assert_eq!(sum, change.connection.total, "the sum of deltas is the total");
    (sum, change.connection)
}

/// How long the connection lived, in milliseconds.
pub fn lived_ms(connection: &Connection) -> u64 {
    let opened = connection.opened_at.expect("its begin was seen");
    connection.closed_at.expect("it is closed").nanoseconds_since(opened) / 1_000_000
}

/// The process that is said to own it.
pub fn owner_pid(connection: &Connection) -> Option<u32> {
    connection.owner.map(|owner| owner.pid)
}

/// What was told of the connections of this namespace to this remote port, in the order of their opening.
pub fn told_to(told: &Client<'_>, namespace: &NetNs, remote_port: u16) -> Vec<(Counters, Connection)> {
    let netns = namespace.inode();
    let mut found: Vec<_> = told
        .told
        .values()
        .map(|(sum, change)| (*sum, change.connection))
        .filter(|(_, connection)| {
            connection.tuple.netns == netns && connection.tuple.remote.port() == remote_port
        })
        .collect();
    found.sort_by_key(|(_, connection)| connection.id.claimed_at);
    found
}

/// A counter of the namespace's TCP or MPTCP, such as `EmbryonicRsts`.
pub fn kernel_count(namespace: &NetNs, name: &str) -> u64 {
    let counters = namespace.inside(|| std::fs::read_to_string("/proc/thread-self/net/netstat"));
    let counters = counters.expect("the kernel counts");
    // A line of names, then one of values, for each part.
    let lines: Vec<_> = counters.lines().collect();
    let mut pairs = lines.chunks_exact(2).flat_map(|pair| pair[0].split(' ').zip(pair[1].split(' ')));
    let (_, value) = pairs.find(|(counter, _)| *counter == name).expect("it is counted");
    value.parse().expect("a number")
}

/// Waits until something outside the tracer is so.
pub fn until(what: &str, mut so: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !so() {
        assert!(begin.elapsed() < Duration::from_secs(10), "{what} did not come");
        std::thread::yield_now();
    }
}
