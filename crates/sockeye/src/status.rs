//! The status of the tracer, put together from what every part knows of itself. `/v1/status` and `/metrics` are
//! its two forms; what is counted, and how it is called in each, is listed in `counts`.

use collect::{KernelCounts, ProgramCosts, ProgramRuns, Support};
use connections::{Audit, KernelTime, Losses, TableCounts, WallOffset};
use context::{Context, DnsCounts};
use deltas::Clients;
use encode::{
    About, AuditView, Capability, Count, DegradationView, Program, RefusedView, Sampled, Status, WallTime,
};
use endpoints::TurnCounts;

use crate::counts::{self, StateCounts, count};
use crate::own_cost::own_cost;

/// What the status is made from.
pub(crate) struct Facts<'a> {
    pub(crate) instance: &'a str,
    pub(crate) started_at: WallTime,
    pub(crate) support: Option<&'a Support>,
    pub(crate) limits: &'a [(&'static str, u64)],
    pub(crate) about: Option<&'a About>,
    pub(crate) table: TableCounts,
    pub(crate) live_connections: usize,
    pub(crate) audit: Option<Audit>,
    pub(crate) wall: WallOffset,
    /// As of the last pass.
    pub(crate) kernel: KernelCounts,
    /// As of the last pass.
    pub(crate) costs: &'a ProgramCosts,
    pub(crate) clients: &'a Clients,
    pub(crate) context: Option<&'a Context>,
    /// As of the last lookups.
    pub(crate) dns: DnsCounts,
    /// By the kernel's clock.
    pub(crate) now: KernelTime,
    /// Of all causes, those that are counted for each client included.
    pub(crate) losses: Losses,
    pub(crate) state: StateCounts,
    pub(crate) turns: TurnCounts,
    pub(crate) polls_waiting: usize,
}

pub(crate) fn status(facts: &Facts<'_>) -> Status {
    Status {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        instance: facts.instance.to_owned(),
        started_at: facts.started_at,
        kernel: rustix::system::uname().release().to_string_lossy().into_owned(),
        about: facts.about.cloned(),
        capabilities: facts
            .support
            .map(capabilities)
            .into_iter()
            .chain(facts.context.map(of_context))
            .flatten()
            .collect(),
        limits: facts.limits.iter().map(|(name, value)| ((*name).to_owned(), *value)).collect(),
        counters: counters(facts),
        lost: facts.losses.by_cause().into_iter().map(|(cause, loss)| (cause, loss.into())).collect(),
        audit: facts.audit.map(|audit| AuditView::new(audit, facts.wall)),
        clients: count(facts.clients.list().len()),
        live_connections: count(facts.live_connections),
        programs: facts.support.map(|support| programs(support, facts.costs)).unwrap_or_default(),
        process: own_cost(),
    }
}

fn refused(refusal: &collect::Refusal) -> RefusedView {
    RefusedView { alternative: refusal.hook.to_owned(), reason: refusal.reason.clone() }
}

/// How each capability is served.
pub(crate) fn capabilities(support: &Support) -> Vec<Capability> {
    let view = |state: &collect::CapabilityState| Capability {
        name: state.capability.name().to_owned(),
        served_by: state.served_by.map(str::to_owned),
        degradation: state.degradation.as_ref().map(|reason| DegradationView {
            name: state.capability.name().to_owned(),
            reason: reason.clone(),
        }),
        refused: state.refused.iter().map(refused).collect(),
    };
    support.capabilities.iter().map(view).collect()
}

/// What is to be known of who is behind connections, beside what the kernel's programs tell.
fn of_context(context: &Context) -> Vec<Capability> {
    let degradations = context.degradations();
    let view = |(name, source): (&str, &str)| {
        let reason = degradations.iter().find(|(degraded, _)| *degraded == name).map(|(_, reason)| reason);
        Capability {
            name: name.to_owned(),
            served_by: Some(source.to_owned()),
            degradation: reason
                .map(|reason| DegradationView { name: name.to_owned(), reason: reason.clone() }),
            refused: Vec::new(),
        }
    };
    context.sources().into_iter().map(view).collect()
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

fn counters(facts: &Facts<'_>) -> Vec<Count> {
    counts::of_kernel(facts.kernel)
        .chain(counts::of_table(facts.table))
        .chain(facts.context.into_iter().flat_map(|context| counts::of_context(context.counts(), facts.dns)))
        .chain(counts::of_clients(facts.clients, facts.now))
        .chain(counts::of_state(facts.state, facts.turns, facts.polls_waiting))
        .collect()
}
