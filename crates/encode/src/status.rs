//! The answer of `GET /v1/status`: what runs, what serves which capability, limits and counters.
//!
//! Filled by the process, which alone knows most of it. `metrics` tells the same to Prometheus.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::audit_view::AuditView;
use crate::count::{self, Count};
use crate::host::About;
use crate::loss_view::LossView;
use crate::wall_time::WallTime;

/// State of the tracer. Holds no data of any client and no connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Status {
    /// Version of the program.
    pub version: String,
    /// Names this run of the tracer.
    pub instance: String,
    /// When tracing began.
    pub started_at: WallTime,
    /// Release of the kernel, as `uname -r` prints it.
    pub kernel: String,
    /// What is known of the host, of privileges and of memory; absent where the process does not say.
    #[serde(flatten)]
    pub about: Option<About>,
    /// Every capability and what serves it.
    pub capabilities: Vec<Capability>,
    /// Every limit by name; the unit is at the end of the name.
    pub limits: BTreeMap<String, u64>,
    /// Every counter by name, since tracing began.
    #[serde(serialize_with = "count::by_name")]
    pub counters: Vec<Count>,
    /// What was lost since tracing began, by cause.
    pub lost: BTreeMap<&'static str, LossView>,
    /// What the last audit found; absent before the first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditView>,
    /// Registered clients.
    pub clients: u64,
    /// Connections that are live now.
    pub live_connections: u64,
    /// Programs loaded into the kernel; absent when there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<Program>,
    /// What the process itself costs.
    pub process: Process,
}

/// What the process costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Processor time of all its threads since it began.
    pub cpu_ns: u64,
    /// Memory of it that is in RAM; absent when that cannot be read.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resident_bytes: Option<u64>,
}

/// One capability of the tracer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Capability {
    /// Its name.
    pub name: String,
    /// The alternative that serves it; absent when none does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub served_by: Option<String>,
    /// What is missing; absent when the best alternative serves it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub degradation: Option<DegradationView>,
    /// Better alternatives that were refused, best first; where none serves it, all that were tried; absent when there is
    /// none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub refused: Vec<RefusedView>,
}

/// An alternative that the kernel refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct RefusedView {
    /// Its attach points.
    pub alternative: String,
    /// Why, in the kernel's own words.
    pub reason: String,
}

/// Something that this run of the tracer cannot do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct DegradationView {
    /// Its name, the same as in `coverage.degradations`.
    pub name: String,
    /// Why, for a person.
    pub reason: String,
}

/// A program loaded into the kernel.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Program {
    /// Its name.
    pub name: String,
    /// Its id in the kernel, as `bpftool prog` shows it; absent when it is not known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<u32>,
    /// What it cost while that was counted; absent when it never was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sampled: Option<Sampled>,
}

/// Cost of a program within the windows in which the kernel counted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Sampled {
    /// Length of the windows in all.
    pub window_ms: u64,
    /// How often the program ran.
    pub runs: u64,
    /// How long in all, the cost of counting included.
    pub run_time_ns: u64,
}
