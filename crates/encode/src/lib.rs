//! Deltas to bytes: the wire types, their JSON, and the metrics.
//!
//! Owns every type that is serialized or read, the names in it and the rules of each dialect: [`native`] is our own
//! form, [`reference`] the JSON form of the reference system's `Connections` message, [`metrics()`] what
//! Prometheus reads. Does not decide what a client is told (`deltas` does) and knows no HTTP (`endpoints` does).
//!
//! Domain types are never serializable. Each has a counterpart here that is built by destructuring it without
//! `..`, so that a new field does not compile until someone decides about it. Answers are written as a
//! stream: one connection at a time is turned into its wire form, never all of them.
//!
//! Nothing here does IO beyond the writer that is handed in, reads a clock or waits.

mod address_text;
mod annotated;
mod answer;
mod audit_view;
mod client_view;
mod count;
mod host;
mod lookups;
mod loss_view;
mod metrics;
pub mod native;
mod problem;
pub mod reference;
mod settings;
mod stats;
mod status;
mod wall_time;

pub use answer::Answer;
pub use audit_view::AuditView;
pub use client_view::{ClientView, ClientsView, ROLLUP_ALLOWED, view_named};
pub use count::{Count, Metric, MetricKind};
pub use host::{About, CapabilitySetsView, Diagnosis, HostView, LimitMemoryView, MemoryView, PrivilegeView};
pub use loss_view::LossView;
pub use metrics::{Form, metrics};
pub use problem::{ErrorView, ProbeView, ProblemView};
pub use settings::{InvalidSettings, SETTINGS_ALLOWED, read_settings};
pub use stats::StatsView;
pub use status::{Capability, DegradationView, Process, Program, RefusedView, Sampled, Status};
pub use wall_time::WallTime;

/// A small answer as JSON.
pub trait Json {
    /// The bytes.
    fn json(&self) -> Vec<u8>;
}

impl<T: View> Json for T {
    fn json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("wire types have text keys and do not fail")
    }
}

/// The small answers: streamed ones have functions of their own.
trait View: serde::Serialize {}

impl View for ClientView {}
impl View for ClientsView {}
impl View for Diagnosis {}
impl View for ErrorView<'_> {}
impl View for native::ListenersView<'_> {}
impl View for ProbeView {}
impl View for ProblemView<'_> {}
impl View for StatsView {}
impl View for Status {}
