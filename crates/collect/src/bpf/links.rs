//! Attaching the programs of TCP. What cannot be attached and can be missing is a degradation.

use std::os::fd::{AsFd, AsRawFd};

use libbpf_rs::{Link, ProgramMut};

use super::load::Loaded;
use super::skeletons::tracer::TracerProgs;
use crate::cgroups;
use crate::dialect::Dialect;
use crate::error::CollectError;
use crate::hooks::{Capability, CapabilityState};

/// What is attached, and the iterators that can be read.
pub(super) struct Links {
    pub(super) connections: Link,
    /// Over the slots beside the table, where these are all that there are.
    pub(super) beside: Option<Link>,
    pub(super) adopting: Option<Link>,
    pub(super) auditing: Option<Link>,
    pub(super) owners: Option<Link>,
    /// Dropping them would detach the hooks.
    _hooks: [Link; 3],
    _connect_hooks: Vec<Link>,
}

impl Links {
    /// Attaches what was loaded; the hooks first, so that no connection begins unseen after the iterators have looked.
    ///
    /// # Errors
    /// [`CollectError::Attach`] for what nothing can stand in for.
    pub(super) fn attach(loaded: &mut Loaded<'_>) -> Result<Self, CollectError> {
        let Loaded { skeleton, dialect, states } = loaded;
        let progs = &skeleton.progs;
        let failed = |hook| move |source| CollectError::Attach { hook, source };
        let hooks = [
            progs.inet_sock_set_state.attach().map_err(failed("tp_btf/inet_sock_set_state"))?,
            progs.inet_sock_set_state_again.attach().map_err(failed("tp_btf/inet_sock_set_state"))?,
            progs.tcp_destroy_sock.attach().map_err(failed("tp_btf/tcp_destroy_sock"))?,
        ];
        let over = |program: &ProgramMut<'_>, map: &dyn AsFd| {
            program.attach_iter(map.as_fd()).map_err(failed("iter/bpf_map_elem"))
        };
        let connections = over(&progs.iter_connections, &skeleton.maps.connection_table)?;
        let beside = (*dialect == Dialect::Oldest)
            .then(|| over(&progs.iter_spilled, &skeleton.maps.spilled_slots))
            .transpose()?;
        let adopting = attach_if_served(states, Capability::TcpAdopted, &progs.iter_tcp);
        let auditing = attach_if_served(states, Capability::TcpAdopted, &progs.iter_tcp_audit);
        let owners = attach_if_served(states, Capability::TcpOwner, &progs.iter_task_file);
        let connect_hooks = attach_connect(states, progs);
        Ok(Self {
            connections,
            beside,
            adopting,
            auditing,
            owners,
            _hooks: hooks,
            _connect_hooks: connect_hooks,
        })
    }
}

/// The state of the capability tells why it is not served as well as it could be.
pub(super) fn degrade(states: &mut [CapabilityState], capability: Capability, reason: &str) {
    for state in states.iter_mut().filter(|state| state.capability == capability) {
        state.degradation = CapabilityState::refused(capability, reason).degradation;
    }
}

fn is_served(states: &[CapabilityState], capability: Capability) -> bool {
    states.iter().any(|state| state.capability == capability && state.served_by.is_some())
}

fn attach_if_served(
    states: &mut [CapabilityState],
    capability: Capability,
    program: &ProgramMut<'_>,
) -> Option<Link> {
    if !is_served(states, capability) {
        return None;
    }
    let attached = program.attach();
    attached.map_err(|error| degrade(states, capability, &error.to_string())).ok()
}

/// Every connect() of the host passes the root of the cgroups.
fn attach_connect(states: &mut [CapabilityState], programs: &TracerProgs<'_>) -> Vec<Link> {
    if !is_served(states, Capability::TcpAttempts) {
        return Vec::new();
    }
    let attach = || -> Result<Vec<Link>, libbpf_rs::Error> {
        let root = cgroups::root()?;
        let attach = |program: &ProgramMut<'_>| program.attach_cgroup(root.as_raw_fd());
        Ok(vec![attach(&programs.cgroup_connect4)?, attach(&programs.cgroup_connect6)?])
    };
    match attach() {
        Ok(links) => {
            if !cgroups::sees_all() {
                degrade(states, Capability::TcpAttempts, cgroups::ONLY_OWN);
            }
            links
        }
        Err(error) => {
            degrade(states, Capability::TcpAttempts, &error.to_string());
            Vec::new()
        }
    }
}
