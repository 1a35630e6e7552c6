//! On their way from the collector to the state, owners are told their containers: here `collect` and `context` meet.

use std::ops::ControlFlow;

use collect::{CgroupPaths, Report};
use connections::{Event, Owner};
use context::Containers;

/// A sink before `sink`, on the same thread.
pub(crate) fn with_containers(
    mut sink: impl FnMut(Report) -> ControlFlow<()> + Send + 'static,
) -> impl FnMut(Report) -> ControlFlow<()> + Send + 'static {
    let mut paths = CgroupPaths::open()
        .inspect_err(|error| tracing::warn!(%error, "cannot tell containers by their cgroups"))
        .ok();
    let mut containers = Containers::new(move |id| paths.as_mut()?.path(id));
    move |mut report| {
        if let Report::Events(events) = &mut report {
            for owner in events.iter_mut().filter_map(owner_of) {
                owner.container = containers.of(owner);
            }
        }
        sink(report)
    }
}

fn owner_of(event: &mut Event) -> Option<&mut Owner> {
    match event {
        Event::Adopted(observation) | Event::Read(observation) | Event::Closed(observation, _) => {
            observation.owner.as_mut()
        }
        Event::Listening(listener) | Event::ListenerClosed(listener) => listener.owner.as_mut(),
        Event::RollUp(rollup) => rollup.owner.as_mut(),
        Event::Unchanged(_)
        | Event::RolledUp(_)
        | Event::AuditPassEnded
        | Event::Audited(_)
        | Event::PassEnded { .. } => None,
    }
}
