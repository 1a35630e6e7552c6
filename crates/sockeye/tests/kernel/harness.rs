//! The tracer inside the test: the same state and collector as in the binary, polled without HTTP.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use collect::{Backend, Capability, CollectLimits, Collector, PassRequests, Refuse, kernel_now};
use connections::{Connection, Counters, Filter, Listener, TcpFacts};
use deltas::{Ask, Change, ClientId, ClientLimits, Delta, Peer, Settings};
use endpoints::{Backend as _, Poll, Query};
use sockeye::state::{StateLimits, StateQueue, StateThread};
use tokio::sync::oneshot;

use crate::needs;
use crate::world::NetNs;

pub type Outcome = ();

/// What is waited for comes within this time, or the test fails.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// How many of something a test makes: `SOCKEYE_TEST_SCALE` times the number on a machine of ordinary speed.
pub fn scaled(count: u64) -> u64 {
    let scale = std::env::var("SOCKEYE_TEST_SCALE");
    let scale = scale.map_or(1.0, |scale| scale.parse().expect("SOCKEYE_TEST_SCALE is a number such as 0.1"));
    // Exact for all counts that a test can make.
    let thousandths = format!("{:.0}", scale * 1000.0).parse::<u64>().expect("it is not negative");
    (count * thousandths / 1000).max(1)
}

/// `SOCKEYE_TEST_REFUSE`, words between commas, refuses hooks in every test that refuses none itself.
fn refused_for_all(refused: Refuse) -> Refuse {
    if refused == Refuse::default() { for_all() } else { refused }
}

fn for_all() -> Refuse {
    let words = std::env::var("SOCKEYE_TEST_REFUSE").unwrap_or_default();
    let words: Vec<&str> = words.split(',').filter(|word| !word.is_empty()).collect();
    Refuse::of(&words).expect("SOCKEYE_TEST_REFUSE has known words")
}

/// Hooks are refused in the kernel's place.
pub fn refuses_in_all() -> bool {
    for_all() != Refuse::default()
}

/// `SOCKEYE_TEST_BACKEND=polling` polls in every test that chooses no backend itself.
pub fn polls_in_all() -> bool {
    match std::env::var("SOCKEYE_TEST_BACKEND").as_deref() {
        Ok("polling") => true,
        Ok("bpf") | Err(_) => false,
        Ok(other) => panic!("SOCKEYE_TEST_BACKEND is bpf or polling, and not {other:?}"),
    }
}

fn backend_for_all(chosen: Backend) -> Backend {
    match chosen {
        Backend::Auto if polls_in_all() => Backend::Polling,
        // A host that could load the programs and does not, fails.
        Backend::Auto => Backend::Bpf,
        chosen => chosen,
    }
}

pub struct Tracer {
    runtime: tokio::runtime::Runtime,
    queue: StateQueue,
    pub collector: Collector,
}

/// A client that keeps the sums of what it was told.
pub struct Client<'a> {
    tracer: &'a Tracer,
    id: ClientId,
    /// By connection id: sums of the deltas, and the last change.
    pub told: BTreeMap<String, (Counters, Change)>,
    pub closes: BTreeMap<String, u32>,
}

impl Tracer {
    pub fn start() -> Self {
        Self::with(CollectLimits { tcp_slots: 65_536, ..CollectLimits::default() })
    }

    pub fn with(limits: CollectLimits) -> Self {
        Self::keeping(limits, ClientLimits::default().closed_records)
    }

    /// Without programs in the kernel.
    pub fn polling() -> Self {
        Self::with(CollectLimits { backend: Backend::Polling, ..CollectLimits::default() })
    }

    /// The same, of which the collector's thread waits at each report while the switch is on.
    pub fn polling_busily(limits: CollectLimits) -> (Self, Arc<AtomicBool>) {
        let limits = CollectLimits { backend: Backend::Polling, ..limits };
        let busy = Arc::new(AtomicBool::new(false));
        let is_busy = Arc::clone(&busy);
        let closed_records = ClientLimits::default().closed_records;
        let wait = move || {
            while is_busy.load(Ordering::SeqCst) {
                std::thread::yield_now();
            }
        };
        (Self::start_with(limits, closed_records, Filter::default(), wait), busy)
    }

    /// Keeps so many closed connections for clients that do not poll for a while.
    pub fn keeping(limits: CollectLimits, closed_records: usize) -> Self {
        Self::start_with(limits, closed_records, Filter::default(), || ())
    }

    /// Calls this on the collector's thread, which also looks for owners, at each report.
    pub fn calling(at_report: impl FnMut() + Send + 'static) -> Self {
        let closed_records = ClientLimits::default().closed_records;
        Self::start_with(CollectLimits::default(), closed_records, Filter::default(), at_report)
    }

    /// Tells of connections that pass the filter.
    pub fn filtering(limits: CollectLimits, filter: Filter) -> Self {
        Self::start_with(limits, ClientLimits::default().closed_records, filter, || ())
    }

    fn start_with(
        limits: CollectLimits,
        closed_records: usize,
        filter: Filter,
        mut at_report: impl FnMut() + Send + 'static,
    ) -> Self {
        let (refuse, backend) = (refused_for_all(limits.refuse), backend_for_all(limits.backend));
        let limits = CollectLimits { refuse, backend, ..limits };
        let requests = PassRequests::new().expect("descriptors are left");
        let clients = ClientLimits { closed_records, ..ClientLimits::default() };
        let state_limits = StateLimits {
            live_connections: 262_144,
            filter,
            clients,
            freshness_ns: 0,
            listed: Vec::new(),
            about: None,
        };
        let state =
            StateThread::start(state_limits, requests.clone(), "test", kernel_now(), None).expect("a thread");
        let mut sink = state.sink();
        let sink = move |report| {
            at_report();
            sink(report)
        };
        let collector = Collector::start(limits, &requests, sink).expect("this host can trace");
        let queue = state.open("test", String::new(), collector.support(), None);
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("a runtime");
        Self { runtime, queue, collector }
    }

    /// Ends the test, as one that does not run, where this kernel does not serve what the tracer asked for.
    pub fn needs(&self, capability: Capability) {
        needs::served(self.collector.support(), capability);
    }

    /// This kernel serves it.
    pub fn serves(&self, capability: Capability) -> bool {
        let mut all = self.collector.support().capabilities.iter();
        all.any(|state| state.capability == capability && state.served_by.is_some())
    }

    pub fn client(&self, id: &str) -> Client<'_> {
        let id = ClientId::parse(id).expect("a valid id");
        let (reply, answer) = oneshot::channel();
        self.ask(Query::Register { id: id.clone(), peer: Peer::ROOT, settings: Settings::default(), reply });
        self.runtime.block_on(answer).expect("an answer").expect("registered");
        Client { tracer: self, id, told: BTreeMap::new(), closes: BTreeMap::new() }
    }

    /// The listening sockets of this namespace.
    pub fn listeners(&self, namespace: &NetNs) -> Vec<Listener> {
        let netns = namespace.inode();
        self.all_listeners().into_iter().filter(|listener| listener.netns == netns).collect()
    }

    /// The listening sockets of the host.
    pub fn all_listeners(&self) -> Vec<Listener> {
        let (reply, answer) = oneshot::channel();
        self.ask(Query::Listeners { reply });
        self.runtime.block_on(answer).expect("an answer").listeners
    }

    /// A counter of the status, as of the last pass.
    pub fn counter(&self, name: &str) -> u64 {
        self.counters().remove(name).unwrap_or_else(|| panic!("no counter is called {name}"))
    }

    /// Every counter of the status by name, and how many connections are live, all as of the last pass.
    pub fn counters(&self) -> BTreeMap<&'static str, u64> {
        let (reply, answer) = oneshot::channel();
        self.ask(Query::Status { reply });
        let status = self.runtime.block_on(answer).expect("an answer");
        let live = ("live_connections", status.live_connections);
        status.counters.iter().map(|count| (count.name, count.value)).chain([live]).collect()
    }

    fn ask(&self, query: Query) {
        self.runtime.block_on(self.queue.ask(query)).expect("the state runs");
    }
}

impl Client<'_> {
    /// Polls and acknowledges, and keeps nothing.
    pub fn answer(&mut self) -> Delta {
        let ((begun, _), (reply, answer)) = (oneshot::channel(), oneshot::channel());
        let (id, peer, ask) = (self.id.clone(), Peer::ROOT, Ask::default());
        self.tracer.ask(Query::Poll(Poll { id, peer, create: false, ask, begun, reply }));
        let answer = self.tracer.runtime.block_on(answer).expect("an answer").expect("not refused");
        self.tracer.ask(Query::Resolve { ticket: answer.ticket, delivered: true });
        answer.delta
    }

    /// Polls, acknowledges, and adds up.
    pub fn poll(&mut self) -> Delta {
        let delta = self.answer();
        for change in delta.changes.iter() {
            let id = change.connection.id.to_string();
            *self.closes.entry(id.clone()).or_default() += u32::from(change.connection.closed_at.is_some());
            let sum = self.told.entry(id).or_insert((Counters::default(), change));
            *sum = (sum.0.plus(change.delta), change);
        }
        delta
    }

    /// Polls and acknowledges; fails unless the answer says that nothing is missing and nothing contradicts itself.
    pub fn clean_answer(&mut self) -> Delta {
        let delta = self.answer();
        let (coverage, clean) = (delta.coverage, delta.coverage.complete() && delta.coverage.anomalies == 0);
        assert!(clean, "{coverage:?} {:?}", self.tracer.counters());
        delta
    }

    /// Ends the registration.
    pub fn remove(self) {
        let (reply, answer) = oneshot::channel();
        self.tracer.ask(Query::Remove { id: self.id, peer: Peer::ROOT, reply });
        self.tracer.runtime.block_on(answer).expect("an answer").expect("it was registered");
    }

    /// Polls until `found` finds something in what was told so far.
    pub fn wait<T>(&mut self, what: &str, mut found: impl FnMut(&Self) -> Option<T>) -> T {
        let begin = Instant::now();
        loop {
            self.poll();
            if let Some(value) = found(self) {
                return value;
            }
            assert!(begin.elapsed() < DEADLINE, "{what} did not come; told: {:#?}", self.told.values());
        }
    }

    /// The newest change of the connection of this namespace with this local port, and the sum of its deltas.
    pub fn find(&self, namespace: &NetNs, local_port: u16) -> Option<(Counters, Change)> {
        self.find_all(namespace, local_port).pop()
    }

    /// All of them, in the order of their opening.
    pub fn find_all(&self, namespace: &NetNs, local_port: u16) -> Vec<(Counters, Change)> {
        let netns = namespace.inode();
        let here = |change: &Change| {
            change.connection.tuple.netns == netns && change.connection.tuple.local.port() == local_port
        };
        let mut found: Vec<_> = self.told.values().filter(|(_, change)| here(change)).copied().collect();
        found.sort_by_key(|(_, change)| change.connection.id.claimed_at);
        found
    }

    /// Waits for the close of that connection.
    pub fn wait_closed(&mut self, namespace: &NetNs, local_port: u16) -> (Counters, Change) {
        self.wait("the close", |client| {
            client.find(namespace, local_port).filter(|(_, change)| change.connection.closed_at.is_some())
        })
    }

    /// Waits for that connection to be told at all.
    pub fn wait_found(&mut self, namespace: &NetNs, local_port: u16) -> (Counters, Change) {
        self.wait("the connection", |client| client.find(namespace, local_port))
    }
}

/// What the kernel knows of a TCP connection beyond its counters.
pub fn tcp_facts(connection: &Connection) -> TcpFacts {
    connection.facts.tcp().expect("it is of TCP")
}

/// What `ss` says of a socket, on one line.
pub fn socket_words(namespace: &NetNs, local_port: u16, remote_port: u16) -> String {
    let filter = format!("sport = :{local_port} and dport = :{remote_port}");
    namespace.inside(|| crate::world::run("ss", &["-tinHO", &filter]))
}

/// What the kernel itself says of a socket, through `ss`.
pub fn kernel_counters(namespace: &NetNs, local_port: u16, remote_port: u16) -> Counters {
    let output = socket_words(namespace, local_port, remote_port);
    let line = output.lines().next().expect("ss shows the socket");
    let number = |name: &str| -> u64 {
        let prefix = format!("{name}:");
        let word = line.split(' ').find_map(|word| word.strip_prefix(&prefix));
        // ss leaves out what is 0; retrans is "now/ever".
        word.map_or(0, |word| word.rsplit('/').next().and_then(|n| n.parse().ok()).expect("a number"))
    };
    Counters {
        sent_bytes: number("bytes_sent") - number("bytes_retrans"),
        received_bytes: number("bytes_received"),
        sent_packets: number("segs_out"),
        received_packets: number("segs_in"),
        retransmits: number("retrans"),
        ..Counters::default()
    }
}

pub fn address(ip: &str, port: u16) -> SocketAddr {
    SocketAddr::new(ip.parse().expect("an address"), port)
}
