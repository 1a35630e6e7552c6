//! The answer of `/debug/stats`, which clients of the reference system ask for before anything else: the status in the
//! reference's shape.

use serde::Serialize;

use crate::count::{self, Count};
use crate::status::Status;
use crate::wall_time::WallTime;

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// The state of all modules, of which there is one.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct StatsView {
    network_tracer: Module,
    /// Seconds since 1970.
    updated_at: u64,
    /// The interval that the counters cover: since tracing began.
    delta_seconds: f64,
    /// The same for a person, such as `1h2m3s`.
    uptime: String,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Module {
    tracer: Tracer,
    version: String,
    instance: String,
    clients: u64,
    live_connections: u64,
    #[serde(serialize_with = "count::by_name")]
    counters: Vec<Count>,
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Tracer {
    /// Seconds since 1970.
    last_check: u64,
}

impl StatsView {
    /// The status as of `now`.
    #[must_use]
    pub fn new(status: Status, now: WallTime) -> Self {
        // The rest is told by `/v1/status` alone: the reference has nothing like it.
        let Status { version, instance, started_at, counters, clients, live_connections, .. } = status;
        let lived_ns = u64::try_from(now.0.saturating_sub(started_at.0)).unwrap_or_default();
        let updated_at = u64::try_from(now.0).unwrap_or_default() / NANOSECONDS_PER_SECOND;
        let tracer = Tracer { last_check: updated_at };
        Self {
            network_tracer: Module { tracer, version, instance, clients, live_connections, counters },
            updated_at,
            delta_seconds: std::time::Duration::from_nanos(lived_ns).as_secs_f64(),
            uptime: duration(lived_ns / NANOSECONDS_PER_SECOND),
        }
    }
}

fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds}s"),
        (0, _) => format!("{minutes}m{seconds}s"),
        _ => format!("{hours}h{minutes}m{seconds}s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_written_as_the_reference_writes_them() {
        for (seconds, text) in [(0, "0s"), (59, "59s"), (60, "1m0s"), (3600, "1h0m0s"), (93_784, "26h3m4s")] {
            assert_eq!(duration(seconds), text);
        }
    }
}
