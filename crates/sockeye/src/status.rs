//! The answer of `/v1/status`, put together from what every part knows of itself.

use collect::{KernelCounts, ProgramCosts, ProgramRuns, Support, wall_offset};
use connections::{KernelTime, TableCounts};
use deltas::Clients;
use encode::{Capability, DegradationView, Program, Sampled, Status, WallTime};

/// What the status is made from.
pub(crate) struct Facts<'a> {
    pub(crate) instance: &'a str,
    pub(crate) began_at: KernelTime,
    pub(crate) support: Option<&'a Support>,
    pub(crate) limits: &'a [(&'static str, u64)],
    pub(crate) table: TableCounts,
    pub(crate) live_connections: usize,
    /// As of the last pass.
    pub(crate) kernel: KernelCounts,
    /// As of the last pass.
    pub(crate) costs: &'a ProgramCosts,
    pub(crate) clients: &'a Clients,
    pub(crate) polls_waiting: usize,
    pub(crate) passes: u64,
}

pub(crate) fn status(facts: &Facts<'_>) -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: facts.instance.to_owned(),
        started_at: WallTime::of(facts.began_at, wall_offset()),
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        capabilities: facts.support.map(capabilities).unwrap_or_default(),
        limits: facts.limits.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        counters: counters(facts).into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        clients: count(facts.clients.list().len()),
        live_connections: count(facts.live_connections),
        programs: facts.support.map(|support| programs(support, facts.costs)).unwrap_or_default(),
    }
}

fn capabilities(support: &Support) -> Vec<Capability> {
    let view = |state: &collect::CapabilityState| Capability {
        name: state.capability.name().to_owned(),
        served_by: state.served_by.map(str::to_owned),
        degradation: state.degradation.as_ref().map(|reason| DegradationView {
            name: state.capability.name().to_owned(),
            reason: reason.clone(),
        }),
    };
    support.capabilities.iter().map(view).collect()
}

fn programs(support: &Support, costs: &ProgramCosts) -> Vec<Program> {
    let costs_or_none = costs.programs.iter().map(Some).chain(std::iter::repeat(None));
    let view = |((name, id), runs): (&(String, u32), Option<&ProgramRuns>)| Program {
        name: name.clone(),
        id: Some(*id),
        sampled: runs.map(|runs| Sampled {
            window_ms: u64::try_from(costs.sampled.as_millis()).unwrap_or(u64::MAX),
            runs: runs.runs,
            run_time_ns: runs.run_time_ns,
        }),
    };
    support.programs.iter().zip(costs_or_none).map(view).collect()
}

fn counters(facts: &Facts<'_>) -> [(&'static str, u64); 25] {
    let KernelCounts {
        claimed,
        closed,
        overflowed,
        rolled_up,
        rolled_up_in_rest,
        table_full,
        spilled,
        spilled_now,
        closed_unclaimed,
        deferred,
        deferred_full,
        malformed,
    } = facts.kernel;
    let table = facts.table;
    [
        ("kernel_claimed", claimed),
        ("kernel_closed", closed),
        ("kernel_overflowed", overflowed),
        ("kernel_rolled_up", rolled_up),
        ("kernel_rolled_up_in_rest", rolled_up_in_rest),
        ("kernel_table_full", table_full),
        ("kernel_spilled", spilled),
        ("kernel_spilled_now", spilled_now),
        ("kernel_closed_unclaimed", closed_unclaimed),
        ("kernel_deferred", deferred),
        ("kernel_deferred_full", deferred_full),
        ("records_malformed", malformed),
        ("connections_closed", table.closed),
        ("connections_close_not_seen", table.close_not_seen.connections),
        ("connections_untracked", table.untracked),
        ("connections_without_room", table.without_room),
        ("connections_rolled_up", table.rolled_up),
        ("connections_ring_full", table.ring_full.connections),
        ("anomalies", table.anomalies),
        ("closed_records_kept", count(facts.clients.closed_kept())),
        ("closed_records_given_up", facts.clients.given_up_count()),
        ("clients_refused", facts.clients.refused_count()),
        ("clients_expired", facts.clients.expired_count()),
        ("polls_waiting", count(facts.polls_waiting)),
        ("passes", facts.passes),
    ]
}

fn count(number: usize) -> u64 {
    number.try_into().unwrap_or(u64::MAX)
}
