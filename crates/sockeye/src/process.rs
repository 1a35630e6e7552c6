//! The life of the daemon: build, give up privileges, serve, drain.

use std::sync::Arc;

use anyhow::{Context, anyhow};
use collect::{
    CgroupPaths, CollectError, CollectLimits, Collector, Privileges, check_privileges, relinquish,
};
use deltas::ClientLimits;
use encode::About;
use endpoints::{BoundSocket, BoundTcp, EndpointError, HttpLimits};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::oneshot;

use crate::about::about;
use crate::access::Access;
use crate::config::Config;
use crate::containers::with_containers;
use crate::context::{self, with_context};
use crate::loading::Loading;
use crate::privileges;
use crate::state::{StateLimits, StateThread};

/// Threads that serve HTTP; encoding has threads of its own, made when needed.
const HTTP_THREADS: usize = 2;

/// Runs until SIGINT or SIGTERM, then finishes the answers in flight and removes the socket.
///
/// # Errors
/// A configuration of `[listen]` that cannot be used as [`crate::access::AccessError`], a missing privilege as
/// [`collect::MissingPrivilege`]; otherwise whatever kept the daemon from starting or from going on, with its causes.
pub fn run(config: &Config) -> anyhow::Result<()> {
    // Before the privileges: whoever checks a configuration need not have them.
    let access = Access::of(config)?;
    check_privileges(config.collect.backend.into())?;
    raise_open_files();
    // Before there is a socket that would be left over.
    let signals = Signals::listen()?;
    let listeners = Listeners::bind(config, access)?;
    // The root of the cgroups is opened while that may still be mounted.
    let cgroups = CgroupPaths::open().ok();
    let about = about(config);
    let kept = privileges::kept(config, Privileges::effective());
    let loading = Loading::begin(collect_limits(config), kept)?;
    // From here on every thread has what it keeps, and that of the collector when the programs are attached.
    relinquish(kept)?;
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(HTTP_THREADS)
        .enable_all()
        .build()
        .context("cannot start the HTTP threads")?;
    let daemon = Daemon::build(config, about, loading, cgroups)?;
    let tcp = listeners.tcp.as_ref().map(|tcp| tracing::field::display(tcp.address()));
    let kept = kept.names().join(",");
    tracing::info!(socket = %listeners.socket.path().display(), tcp, instance = daemon.instance, kept, "tracing");
    daemon.serve(&runtime, listeners, config, signals)
}

/// As many open files as the process may have: a connection of the API takes one, and each network namespace that is listened
/// to another. The usual limit of 1024 is for programs that use `select`.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, ..limit }) {
        tracing::warn!(%error, "cannot raise the limit of open files");
    }
}

/// Where requests come in.
struct Listeners {
    socket: BoundSocket,
    tcp: Option<BoundTcp>,
}

impl Listeners {
    fn bind(config: &Config, access: Access) -> Result<Self, EndpointError> {
        let Access { socket, tcp } = access;
        let socket = BoundSocket::bind(&config.listen.socket, socket)?;
        let tcp = tcp.map(|(address, token)| BoundTcp::bind(address, token)).transpose()?;
        if let Some(address) =
            tcp.as_ref().map(BoundTcp::address).filter(|address| !address.ip().is_loopback())
        {
            tracing::warn!(%address, "other hosts can reach the api, and nothing is encrypted there");
        }
        Ok(Self { socket, tcp })
    }
}

/// What runs beside the HTTP threads.
struct Daemon {
    instance: String,
    state: StateThread,
    collector: Collector,
}

impl Daemon {
    fn build(
        config: &Config,
        about: About,
        loading: Loading,
        cgroups: Option<CgroupPaths>,
    ) -> anyhow::Result<Self> {
        let (began_at, requests) = (loading.began_at, loading.requests.clone());
        let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
        let instance = format!("{}:{}", boot.trim(), began_at.0);
        let (context, lookups) = context::start(config.context_settings(), cgroups);
        let of_state = Some(Arc::clone(&context));
        let state = StateThread::start(state_limits(config, about), requests, &instance, began_at, of_state)?;
        let sink = with_containers(with_context(Arc::clone(&context), lookups, state.messages()));
        let collector = loading.finish(sink)?;
        for capability in &collector.support().capabilities {
            if let Some(degradation) = &capability.degradation {
                tracing::warn!(capability = capability.capability.name(), "{degradation}");
            }
        }
        Ok(Self { instance, state, collector })
    }

    fn serve(
        self,
        runtime: &tokio::runtime::Runtime,
        listeners: Listeners,
        config: &Config,
        signals: Signals,
    ) -> anyhow::Result<()> {
        let Self { instance, mut state, collector } = self;
        let told = toml::to_string(config).context("cannot write down the configuration")?;
        let maps = Arc::clone(collector.maps());
        let backend = state.open(&instance, told, collector.support(), Some(maps));
        let Listeners { socket, tcp } = listeners;
        let mut failure = None;
        let end = async { failure = signals.or_failure(&mut state.failed).await };
        let drained = runtime.block_on(endpoints::serve(socket, tcp, backend, http_limits(config), end))?;
        // First the sender of events, then the owner of the state.
        drop(collector);
        state.join();
        tracing::info!(answers_cut = drained.cut, "stopped");
        match failure {
            Some(error) => Err(anyhow!(error).context("tracing cannot go on")),
            None => Ok(()),
        }
    }
}

/// The signals that end the daemon.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    /// From here on they end nothing by themselves. Whichever runtime comes later waits for them, also for those that came
    /// before it: this one has no thread, because threads would have the privileges of now.
    fn listen() -> anyhow::Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build();
        let runtime = runtime.context("cannot prepare to listen for signals")?;
        let _context = runtime.enter();
        let listen = |kind| signal(kind).context("cannot listen for signals");
        Ok(Self { interrupt: listen(SignalKind::interrupt())?, terminate: listen(SignalKind::terminate())? })
    }

    /// Waits for a signal, or for the collector to fail.
    async fn or_failure(mut self, failed: &mut oneshot::Receiver<CollectError>) -> Option<CollectError> {
        tokio::select! {
            _ = self.interrupt.recv() => None,
            _ = self.terminate.recv() => None,
            Ok(error) = failed => Some(error),
        }
    }
}

pub(crate) fn collect_limits(config: &Config) -> CollectLimits {
    let limits = &config.limits;
    CollectLimits {
        backend: config.collect.backend.into(),
        tcp_slots: limits.tcp_slots,
        ring_bytes: limits.ring_bytes,
        deferred_records: limits.deferred_records,
        overflow_records: limits.overflow_records,
        spilled_slots: limits.spilled_slots,
        kernel_rollups: limits.kernel_rollups,
        follow_attempts: config.collect.connect_attempts,
        connect_attempts: limits.connect_attempts,
        audit_interval_ms: config.collect.audit_interval_s.saturating_mul(1000),
        audit_pause_factor: CollectLimits::default().audit_pause_factor,
        follow_udp: config.collect.udp,
        udp_slots: limits.udp_slots,
        udp_peers: limits.udp_peers,
        follow_processes: config.collect.processes,
        process_ring_bytes: limits.process_ring_bytes,
        follow_dns: config.collect.dns,
        follow_dns_tcp: config.collect.dns_tcp,
        dns_ports: collect::dns_ports(&config.collect.dns_ports),
        payload_ring_bytes: limits.payload_ring_bytes,
        cost_sample_ms: config.collect.cost_sample_ms,
        refuse: config.collect.refused(),
        keep: None,
    }
}

fn state_limits(config: &Config, about: About) -> StateLimits {
    let limits = &config.limits;
    let number = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    let clients = ClientLimits {
        clients: number(limits.clients),
        clients_per_user: number(limits.clients_per_user),
        closed_records: number(limits.closed_records),
        rollups: number(limits.rollups),
        lookups: number(limits.lookups),
        answer_bytes: number(limits.answer_bytes),
        ttl_ns: u64::from(config.clients.ttl_s) * 1_000_000_000,
    };
    let listed = vec![
        ("live_connections", limits.live_connections.into()),
        ("tcp_slots", limits.tcp_slots.into()),
        ("ring_bytes", limits.ring_bytes.into()),
        ("deferred_records", limits.deferred_records.into()),
        ("overflow_records", limits.overflow_records.into()),
        ("spilled_slots", limits.spilled_slots.into()),
        ("kernel_rollups", limits.kernel_rollups.into()),
        ("connect_attempts", limits.connect_attempts.into()),
        ("udp_slots", limits.udp_slots.into()),
        ("udp_peers", limits.udp_peers.into()),
        ("process_ring_bytes", limits.process_ring_bytes.into()),
        ("payload_ring_bytes", limits.payload_ring_bytes.into()),
        ("closed_records", limits.closed_records.into()),
        ("rollups", limits.rollups.into()),
        ("lookups", limits.lookups.into()),
        ("processes", limits.processes.into()),
        ("nat_entries", limits.nat_entries.into()),
        ("names", limits.names.into()),
        ("routes", limits.routes.into()),
        ("answer_bytes", limits.answer_bytes.into()),
        ("clients", limits.clients.into()),
        ("clients_per_user", limits.clients_per_user.into()),
        ("polls", limits.polls.into()),
        ("http_connections", limits.http_connections.into()),
    ];
    let freshness_ns = u64::from(config.clients.freshness_ms) * 1_000_000;
    StateLimits {
        live_connections: number(limits.live_connections),
        filter: config.filters.filter(),
        clients,
        freshness_ns,
        listed,
        about: Some(about),
    }
}

fn http_limits(config: &Config) -> HttpLimits {
    let number = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
    HttpLimits {
        polls: number(config.limits.polls),
        connections: number(config.limits.http_connections),
        ..HttpLimits::default()
    }
}
