//! All metrics of the process without its kernel side: the real state behind the real API, told by the test
//! what a collector would report. Both forms are read by a reader of the tests' own.

use std::io::{Read, Write};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use collect::{
    Capability, CapabilityState, KernelCounts, PassRequests, ProgramCosts, ProgramRuns, Report, Support,
    UdpCounts,
};
use connections::{
    AuditReading, ConnectionId, Counters, Event, KernelSums, KernelTime, NamespaceReading, Protocol, RollUp,
    RollUpKey, RolledUp,
};
use context::{Context, Namespace, Namespaces};
use deltas::ClientLimits;
use endpoints::{BoundSocket, HttpLimits, SocketAccess};
use serde_json::Value;
use sockeye::config::Config;
use sockeye::state::{StateLimits, StateThread};
use tokio::sync::oneshot;

#[path = "fixtures/exposition.rs"]
#[allow(dead_code, unreachable_pub, reason = "shared with the end-to-end tests")]
mod exposition;

use exposition::{Family, Rules, read, value};

const DOCUMENT: &str = include_str!(concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md"));

/// Each with a value of its own.
const KERNEL: KernelCounts = KernelCounts {
    claimed: 1001,
    closed: 1002,
    overflowed: 1003,
    rolled_up: 1004,
    rolled_up_in_rest: 1005,
    table_full: 1006,
    spilled: 1007,
    spilled_now: 1008,
    closed_unclaimed: 1009,
    deferred: 1010,
    deferred_full: 1011,
    attempts_full: 1012,
    claimed_late: 1013,
    nested_runs: 1036,
    ends_overflowed: 1033,
    ends_lost: 1034,
    ends_emptied: 1035,
    stale: 1023,
    stale_untold: 1037,
    udp: UdpCounts {
        begun: 1016,
        slots_full: 1017,
        peers_now: 1018,
        rolled_up: 1019,
        foreign: 1020,
        late: 1021,
        stale: 1024,
        tunnels_ended: 1026,
        left: 1022,
    },
    process_records_lost: 1030,
    payloads: 1031,
    payloads_lost: 1032,
    missed_runs: 1014,
    malformed: 1015,
    ring_most_bytes: 1027,
    pass_ns: 1028,
    last_pass_ns: 1029,
};

/// What the metrics and the status said at one time.
struct Told {
    text: String,
    open_metrics: String,
    status: Value,
    /// Passes that were asked for meanwhile.
    passes: u64,
}

/// 70 connections and 4096 bytes that cannot be told.
fn loss() -> [Event; 2] {
    let key = RollUpKey { protocol: Protocol::Tcp, common: None };
    let id = ConnectionId { cookie: 1, claimed_at: KernelTime(1) };
    let unknown = RolledUp { id, key, closed_at: KernelTime(2), pre_existing: true };
    let sums = RollUp {
        key,
        owner: None,
        connections: 70,
        total: Counters { sent_bytes: 4096, ..Counters::default() },
        established: None,
        counts_rtos: true,
        failures: Vec::new(),
        last_closed_at: KernelTime(2),
    };
    [Event::RolledUp(unknown), Event::RollUp(Box::new(sums))]
}

/// Two audits of one namespace, between which the kernel sent 7 datagrams and nothing else counted any.
fn audits() -> Vec<Event> {
    let audit = |udp_sent| {
        let sums = KernelSums { udp_sent, ..KernelSums::default() };
        let namespace = NamespaceReading {
            netns: 1,
            before: sums,
            after: sums,
            tcp_sockets: 1050,
            tcp_missing: 11,
            tcp_found: 9,
            udp_sockets: 1002,
            ..NamespaceReading::default()
        };
        let (namespaces, cpu_ns) = (vec![namespace], 700_000_000);
        Event::Audited(Box::new(AuditReading {
            at: KernelTime(3),
            namespaces,
            unread: 3,
            stale: 17,
            tunnels_ended: 0,
            cpu_ns,
        }))
    };
    vec![Event::AuditPassEnded, audit(0), Event::AuditPassEnded, audit(7)]
}

/// A host without network namespaces.
struct Nowhere;

impl Namespaces for Nowhere {
    fn all(&self) -> Vec<Namespace> {
        Vec::new()
    }

    fn netlink(&self, _: &Namespace, _: i32) -> std::io::Result<OwnedFd> {
        Err(std::io::ErrorKind::NotFound.into())
    }
}

/// All parts of the context, which learn nothing.
fn behind() -> Arc<Context> {
    let namespaces: Arc<dyn Namespaces> = Arc::new(Nowhere);
    Arc::new(Context::start(Config::default().context_settings(), &namespaces, |_| None).0)
}

/// Runs state and API, makes a report, and asks.
fn told() -> Told {
    let requests = PassRequests::new().expect("there are descriptors");
    let limits = StateLimits {
        freshness_ns: 0,
        live_connections: 10,
        filter: connections::Filter::default(),
        clients: ClientLimits::default(),
        listed: vec![("tcp_slots", 4711), ("clients", 64)],
        about: None,
    };
    let state = StateThread::start(limits, requests.clone(), "test-1", KernelTime(0), Some(behind()))
        .expect("there are threads");
    let by = |capability, served_by| CapabilityState {
        capability,
        served_by,
        degradation: None,
        refused: Vec::new(),
    };
    let served = by(Capability::TcpLive, Some("hook"));
    let refused = by(Capability::TcpOwner, None);
    let programs = vec![("iter_tcp".to_owned(), 7), ("iter_task_file".to_owned(), 8)];
    let backend =
        state.open("test-1", String::new(), &Support { capabilities: vec![served, refused], programs }, None);
    let runs = |runs, run_time_ns| ProgramRuns { runs, run_time_ns };
    let costs = ProgramCosts {
        sampled: Duration::from_millis(2500),
        programs: vec![runs(31, 1_000_000_007), runs(32, 900)],
    };
    let mut sink = state.sink();
    let _ = sink(Report::Events(loss().into()));
    let _ = sink(Report::PassEnded { request: 0, counts: KERNEL, costs });
    let _ = sink(Report::Events(audits()));
    drop(sink);
    let socket = std::env::temp_dir().join(format!(
        "sockeye-metrics-{}-{:?}.sock",
        std::process::id(),
        std::thread::current().id()
    ));
    let access = SocketAccess { mode: 0o600, owner: None, group: None };
    let bound = BoundSocket::bind(&socket, access).expect("the path is free");
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
    let runtime = runtime.expect("there are threads");
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = runtime.spawn(endpoints::serve(bound, None, backend, HttpLimits::default(), async {
        let _ = stopped.await;
    }));
    let before = requests.request();
    let text = get(&socket, "/metrics", "text/plain");
    let open_metrics = get(&socket, "/metrics", "application/openmetrics-text");
    let status = serde_json::from_str(&get(&socket, "/v1/status", "*/*")).expect("the status is JSON");
    let passes = requests.request() - before - 1;
    let _ = stop.send(());
    runtime.block_on(serving).expect("it does not panic").expect("it could listen");
    drop(runtime);
    state.join();
    Told { text, open_metrics, status, passes }
}

/// The body of an answer.
fn get(socket: &PathBuf, path: &str, accept: &str) -> String {
    let mut stream = UnixStream::connect(socket).expect("the API listens");
    stream.set_read_timeout(Some(Duration::from_secs(20))).expect("a socket has a time-out");
    write!(stream, "GET {path} HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\nConnection: close\r\n\r\n")
        .expect("it takes the request");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("the answer is text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    assert!(head.starts_with("HTTP/1.1 200"), "{answer}");
    body.to_owned()
}

fn text_families(told: &Told) -> Vec<Family> {
    read(&told.text, Rules::Text).unwrap_or_else(|problem| panic!("{problem}\n{}", told.text))
}

#[test]
fn the_document_lists_exactly_the_metrics_there_are() {
    let row = |family: &Family| {
        let labels = family.samples.first().map(|sample| sample.labels.keys());
        let labels: Vec<_> = labels.into_iter().flatten().map(|label| format!("`{label}`")).collect();
        format!("| `{}` | {} | {} | {} |", family.name, family.kind, labels.join(", "), family.help)
    };
    let rows: Vec<_> = text_families(&told()).iter().map(row).collect();
    let (_, table) =
        DOCUMENT.split_once("\n| name | type | label | meaning |\n|---|---|---|---|\n").expect("a table");
    let documented: Vec<_> = table.lines().take_while(|line| !line.is_empty()).collect();
    assert!(documented == rows, "the table of docs/metrics.md has to be:\n{}", rows.join("\n"));
}

#[test]
fn both_forms_are_well_formed_and_tell_the_same() {
    let told = told();
    let open_metrics = read(&told.open_metrics, Rules::OpenMetrics)
        .unwrap_or_else(|problem| panic!("{problem}\n{}", told.open_metrics));
    let text = text_families(&told);
    assert_eq!(text.len(), open_metrics.len());
    for (text, open_metrics) in text.iter().zip(&open_metrics) {
        let name = |family: &Family| family.samples.first().map(|sample| sample.name.clone());
        assert_eq!((name(text), &text.help), (name(open_metrics), &open_metrics.help));
        // The other request itself, and time, make these differ.
        let moves = ["process_", "sockeye_http_", "sockeye_client_silence_"]
            .iter()
            .any(|start| text.name.starts_with(start));
        assert!(moves || text.samples == open_metrics.samples, "{text:?} {open_metrics:?}");
    }
    let unit = |name: &str| open_metrics.iter().find(|family| family.name == name)?.unit.clone();
    assert_eq!(unit("sockeye_lost_bytes").as_deref(), Some("bytes"));
    assert_eq!(unit("sockeye_program_sampled_seconds").as_deref(), Some("seconds"));
    assert_eq!(unit("sockeye_clients"), None);
}

#[test]
fn every_count_of_the_kernel_side_is_in_the_status_and_in_the_metrics() {
    let told = told();
    let samples: Vec<_> = text_families(&told).into_iter().flat_map(|family| family.samples).collect();
    let counters = told.status["counters"].as_object().expect("counters by name");
    for number in (1001..=1024_u32).chain([1026, 1027]).chain(1030..=1037) {
        let in_status = counters.values().filter(|value| **value == number).count();
        let in_metrics =
            samples.iter().filter(|sample| sample.value.total_cmp(&number.into()).is_eq()).count();
        assert_eq!((in_status, in_metrics), (1, 1), "{number}: {}\n{}", told.status, told.text);
    }
}

#[test]
fn metrics_have_the_values_of_the_status() {
    let told = told();
    let families = text_families(&told);
    let is = |name: &str, labels: &[(&str, &str)], expected: f64| {
        let found = value(&families, name, labels);
        assert!((found - expected).abs() < 1e-9, "{name}: {found}, not {expected}");
    };
    is("sockeye_build_info", &[("version", env!("CARGO_PKG_VERSION"))], 1.0);
    is("sockeye_limit", &[("name", "tcp_slots")], 4711.0);
    is("sockeye_capability_served", &[("capability", "tcp live")], 1.0);
    is("sockeye_capability_served", &[("capability", "tcp owner")], 0.0);
    is("sockeye_lost_connections_total", &[("cause", "ring_full")], 70.0);
    is("sockeye_lost_bytes_total", &[("cause", "ring_full")], 4096.0);
    is("sockeye_lost_connections_total", &[("cause", "closed_log_full")], 0.0);
    is("sockeye_program_runs_sampled_total", &[("program", "iter_tcp")], 31.0);
    is("sockeye_program_run_time_seconds_total", &[("program", "iter_tcp")], 1.000_000_007);
    is("sockeye_program_run_time_seconds_total", &[("program", "iter_task_file")], 0.000_000_9);
    is("sockeye_program_sampled_seconds_total", &[], 2.5);
    is("sockeye_passes_total", &[], 1.0);
    is("sockeye_pass_seconds_total", &[], 0.000_001_028);
    is("sockeye_last_pass_seconds", &[], 0.000_001_029);
    assert_eq!(told.status["counters"]["last_pass_ns"], 1029, "{}", told.status);
    is("sockeye_audits_total", &[], 2.0);
    is("sockeye_audit_cpu_seconds_total", &[], 1.4);
    is("sockeye_audit_namespaces", &[("state", "unread")], 3.0);
    is("sockeye_audit_sockets", &[], 2052.0);
    is("sockeye_audit_missing_sockets_total", &[], 20.0);
    is("sockeye_audit_found_sockets_total", &[], 18.0);
    is("sockeye_audit_stale_sockets_total", &[], 17.0);
    is("sockeye_audit_drift", &[("kind", "udp_sent_missing")], 7.0);
    is("sockeye_audit_drift", &[("kind", "udp_received_missing")], 0.0);
    assert_eq!(told.status["audit"]["drift"]["udp_sent_missing"], 7, "{}", told.status);
    assert!(value(&families, "process_cpu_seconds_total", &[]) > 0.0);
    assert!(value(&families, "process_resident_memory_bytes", &[]) > 1e6);
    assert!(value(&families, "sockeye_tracing_start_time_seconds", &[]) > 1e9);
    assert_eq!(told.status["lost"]["ring_full"]["bytes"], 4096, "{}", told.status);
    assert!(told.status["process"]["cpu_ns"].as_u64() > Some(0), "{}", told.status);
}

#[test]
fn metrics_ask_for_no_pass() {
    assert_eq!(told().passes, 0);
}

#[test]
fn the_reader_of_these_tests_is_strict() {
    let family = "# HELP a_total A.\n# TYPE a_total counter\na_total{b=\"c\"} 1\n";
    assert!(read(family, Rules::Text).is_ok());
    for (from, to) in [
        ("a_total", "a"),
        ("counter", "gauge"),
        ("# HELP a_total A.\n", ""),
        ("# TYPE a_total counter\n", ""),
        ("b=\"c\"", "b=\"c"),
        ("b=\"c\"", "b=\"\\c\""),
        ("b=\"c\"", "1b=\"c\""),
        ("} 1\n", "} 1"),
        ("} 1\n", "} x\n"),
        ("} 1\n", "} 1\na_total{b=\"c\"} 2\n"),
        ("} 1\n", "} 1\na_total 2\n"),
        ("} 1\n", "} 1\nb_total 2\n"),
        ("a_total", "a_ms_total"),
    ] {
        assert!(read(&family.replace(from, to), Rules::Text).is_err(), "{from:?} as {to:?}");
    }
    let family =
        "# TYPE a_seconds counter\n# UNIT a_seconds seconds\n# HELP a_seconds A.\na_seconds_total 1\n# EOF\n";
    assert!(read(family, Rules::OpenMetrics).is_ok());
    for (from, to) in [
        ("# EOF\n", ""),
        ("UNIT a_seconds seconds", "UNIT a_seconds bytes"),
        ("_total", ""),
        ("a_seconds ", "a_total "),
    ] {
        assert!(read(&family.replace(from, to), Rules::OpenMetrics).is_err(), "{from:?} as {to:?}");
    }
}
