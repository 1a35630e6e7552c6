//! The answer of `GET /metrics`: the status as families of Prometheus metrics.
//!
//! Everything here comes from a [`Status`], which is taken apart without `..`, so that a new fact of it does
//! not compile until someone decides about it. How a family is written is in `exposition`.

mod audits;
mod exposition;

use std::collections::BTreeMap;

use crate::count::{Count, Metric, MetricKind};
use crate::loss_view::LossView;
use crate::status::{Capability, Program, Sampled, Status};

pub use exposition::Form;
use exposition::write;

const NANOSECONDS_PER_MILLISECOND: u64 = 1_000_000;

/// The status as metrics.
#[must_use]
pub fn metrics(status: &Status, form: Form) -> String {
    write(&families(status), form)
}

/// Metrics of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Family<'a> {
    /// Without the `_total` of counters.
    name: &'static str,
    help: &'static str,
    kind: MetricKind,
    samples: Vec<Sample<'a>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct Sample<'a> {
    label: Option<(&'static str, &'a str)>,
    value: Value,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Whole(u64),
    /// Told in seconds.
    Nanoseconds(u64),
}

impl<'a> Family<'a> {
    fn counter(
        name: &'static str,
        help: &'static str,
        samples: impl IntoIterator<Item = Sample<'a>>,
    ) -> Self {
        Self { name, help, kind: MetricKind::Counter, samples: samples.into_iter().collect() }
    }

    fn gauge(name: &'static str, help: &'static str, samples: impl IntoIterator<Item = Sample<'a>>) -> Self {
        Self { name, help, kind: MetricKind::Gauge, samples: samples.into_iter().collect() }
    }
}

impl<'a> Sample<'a> {
    fn whole(value: u64) -> Self {
        Self { label: None, value: Value::Whole(value) }
    }

    fn nanoseconds(value: u64) -> Self {
        Self { label: None, value: Value::Nanoseconds(value) }
    }

    fn with(self, label: &'static str, value: &'a str) -> Self {
        Self { label: Some((label, value)), ..self }
    }
}

fn families(status: &Status) -> Vec<Family<'_>> {
    let Status {
        version,
        // Names a run, so each start would make new series; a start shows in the time of it.
        instance: _,
        // Facts for people, which do not move.
        about: _,
        started_at,
        // Others know the host better.
        kernel: _,
        capabilities,
        limits,
        counters,
        lost,
        audit,
        clients,
        live_connections,
        programs,
        process,
    } = status;
    let started_at = u64::try_from(started_at.0).unwrap_or_default();
    let mut families = vec![
        Family {
            name: "sockeye_build",
            help: "Version of the program.",
            kind: MetricKind::Info,
            samples: vec![Sample::whole(1).with("version", version)],
        },
        Family::gauge(
            "sockeye_tracing_start_time_seconds",
            "When tracing began, in seconds since the Unix epoch. All totals count from then.",
            [Sample::nanoseconds(started_at)],
        ),
        Family::gauge(
            "sockeye_capability_served",
            "1 where the kernel lets the tracer do this, 0 where it does not.",
            capabilities.iter().map(served),
        ),
        Family::gauge(
            "sockeye_limit",
            "Configured bounds; the unit of those that are no plain number is at the end of the name.",
            limits.iter().map(|(name, limit)| Sample::whole(*limit).with("name", name)),
        ),
        Family::gauge(
            "sockeye_live_connections",
            "Connections that are live.",
            [Sample::whole(*live_connections)],
        ),
        Family::gauge("sockeye_clients", "Registered clients.", [Sample::whole(*clients)]),
    ];
    families.extend(losses(lost));
    families.extend(counted(counters));
    families.extend(audit.iter().flat_map(audits::families));
    families.extend(costs_of_programs(programs));
    families.extend([
        Family::counter(
            "process_cpu_seconds",
            "Processor time of the process, user and system.",
            [Sample::nanoseconds(process.cpu_ns)],
        ),
        Family::gauge(
            "process_resident_memory_bytes",
            "Resident memory of the process.",
            process.resident_bytes.map(Sample::whole),
        ),
    ]);
    families
}

fn losses<'a>(lost: &BTreeMap<&'a str, LossView>) -> [Family<'a>; 2] {
    [
        Family::counter(
            "sockeye_lost_connections",
            "Connections of which something was lost, by cause. The causes may overlap.",
            lost.iter().map(|(cause, loss)| Sample::whole(loss.connections).with("cause", cause)),
        ),
        Family::counter(
            "sockeye_lost_bytes",
            "Payload bytes, both ways, that were not told, by cause. The causes may overlap.",
            lost.iter().map(|(cause, loss)| Sample::whole(loss.bytes).with("cause", cause)),
        ),
    ]
}

fn served(capability: &Capability) -> Sample<'_> {
    let served = u64::from(capability.served_by.is_some());
    Sample::whole(served).with("capability", &capability.name)
}

/// The families of all counts, each where its first count stands.
fn counted(counts: &[Count]) -> Vec<Family<'static>> {
    let mut families: Vec<Family<'static>> = Vec::new();
    for Count { name: _, value, metric } in counts {
        let Some(Metric { family: name, help, kind, label, in_seconds }) = *metric else { continue };
        let value = if in_seconds { Value::Nanoseconds(*value) } else { Value::Whole(*value) };
        let sample = Sample { label, value };
        match families.iter_mut().find(|family| family.name == name) {
            Some(family) => family.samples.push(sample),
            None => families.push(Family { name, help, kind, samples: vec![sample] }),
        }
    }
    families
}

fn costs_of_programs(programs: &[Program]) -> [Family<'_>; 3] {
    let each = |value: fn(Sampled) -> Sample<'static>| {
        let sampled = programs.iter().filter_map(|program| Some((&program.name, program.sampled?)));
        sampled
            .map(move |(name, sampled)| Sample { label: Some(("program", name.as_str())), ..value(sampled) })
    };
    // The windows are those of all programs.
    let windows_ms = programs.iter().find_map(|program| Some(program.sampled?.window_ms)).unwrap_or_default();
    [
        Family::counter(
            "sockeye_program_runs_sampled",
            "Runs of a BPF program within the windows, by default 1 s of each minute, in which the kernel counts \
             them. Runs per second: the increase of this over that of sockeye_program_sampled_seconds_total.",
            each(|sampled| Sample::whole(sampled.runs)),
        ),
        Family::counter(
            "sockeye_program_run_time_seconds",
            "Run time of a BPF program within the same windows, with what counting it takes. Share of one CPU: the \
             increase of this over that of sockeye_program_sampled_seconds_total.",
            each(|sampled| Sample::nanoseconds(sampled.run_time_ns)),
        ),
        Family::counter(
            "sockeye_program_sampled_seconds",
            "Length of all windows in which the kernel counted the runs of the BPF programs.",
            [Sample::nanoseconds(windows_ms.saturating_mul(NANOSECONDS_PER_MILLISECOND))],
        ),
    ]
}
