//! What a host offers to the tracer, which privileges its parts take, and how much memory its limits allow: the same in
//! `GET /v1/status` and in the answer of `sockeye doctor --json`.
//!
//! Filled by the process, which alone knows it.

use serde::Serialize;

use crate::status::Capability;

/// What is known before anything is traced.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct About {
    /// What the host offers.
    pub host: HostView,
    /// Each part of the tracer that takes privileges.
    pub privileges: Vec<PrivilegeView>,
    /// What the configured limits allow.
    pub memory: MemoryView,
}

/// What the host offers. What could not be read is absent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct HostView {
    /// Release of the kernel.
    pub kernel: String,
    /// The machine, such as `x86_64`.
    pub machine: String,
    /// The kernel has type information of itself.
    pub btf: bool,
    /// `none`, `integrity` or `confidentiality`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lockdown: Option<String>,
    /// `none`, `v1`, `v2` or `hybrid`.
    pub cgroups: &'static str,
    /// Where the root of version 2 is mounted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cgroup2_at: Option<String>,
    /// The process is in the host's cgroup namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_cgroup_namespace: Option<bool>,
    /// The process is in the host's pid namespace.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub host_pid_namespace: Option<bool>,
    /// Mount option of `/proc`; absent when there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hidepid: Option<String>,
    /// Capabilities of Linux at the start.
    pub capabilities: CapabilitySetsView,
    /// `kernel.unprivileged_bpf_disabled`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unprivileged_bpf_disabled: Option<u32>,
    /// `net.core.bpf_jit_enable`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bpf_jit: Option<u32>,
    /// `kernel.perf_event_paranoid`
    #[serde(skip_serializing_if = "Option::is_none")]
    pub perf_event_paranoid: Option<i32>,
    /// `RLIMIT_MEMLOCK`; absent when there is no limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub locked_memory_bytes: Option<u64>,
    /// Connection tracking is there.
    pub connection_tracking: bool,
    /// Socket diagnosis of the internet protocols.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inet_diag: Option<bool>,
    /// Of TCP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tcp_diag: Option<bool>,
    /// Of UDP.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub udp_diag: Option<bool>,
}

/// Capabilities of Linux by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct CapabilitySetsView {
    /// In force.
    pub effective: Vec<String>,
    /// At hand.
    pub permitted: Vec<String>,
    /// The most that a program that is executed can get.
    pub bounding: Vec<String>,
}

/// A part of the tracer that takes privileges.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PrivilegeView {
    /// Its name.
    pub name: &'static str,
    /// All that it takes.
    pub needs: Vec<&'static str>,
    /// What stands in for all of these.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instead: Option<&'static str>,
    /// `start` or `always`.
    pub when: &'static str,
    /// The configuration uses it.
    pub used: bool,
    /// Which of them the process had not at its start.
    pub missing: Vec<&'static str>,
    /// What is missing without them.
    pub without: &'static str,
}

/// What the configured limits allow.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct MemoryView {
    /// In the kernel, taken at the start.
    pub kernel_at_start_bytes: u64,
    /// In the kernel, at most.
    pub kernel_most_bytes: u64,
    /// In the process, at most, without what each client takes.
    pub process_most_bytes: u64,
    /// For each client, at most.
    pub each_client_most_bytes: u64,
    /// Limit by limit.
    pub limits: Vec<LimitMemoryView>,
}

/// The memory behind a limit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LimitMemoryView {
    /// The limit, or what is bounded without one.
    pub limit: &'static str,
    /// `kernel` or `process`.
    #[serde(rename = "in")]
    pub side: &'static str,
    /// It is taken at the start; otherwise while it is used.
    pub at_start: bool,
    /// At most.
    pub most_bytes: u64,
}

/// The answer of `sockeye doctor`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnosis {
    /// Version of the program.
    pub version: &'static str,
    /// `possible`, `degraded`, `impossible` or `not permitted`.
    pub tracing: &'static str,
    /// Why it is impossible, or not permitted.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// What will be absent in answers, in sentences.
    pub absent: Vec<String>,
    /// Every capability and what serves it; empty when nothing could be tried.
    pub capabilities: Vec<Capability>,
    /// What the loaded maps took, as the kernel tells it; absent when nothing was loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub maps_bytes: Option<u64>,
    /// Somebody listens on the configured socket.
    pub daemon_listens: bool,
    /// The configured socket.
    pub socket: String,
    /// What is known before anything is tried.
    #[serde(flatten)]
    pub about: About,
}
