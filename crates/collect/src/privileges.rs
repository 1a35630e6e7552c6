//! Which privileges tracing takes, which of them this process has, and giving up the others.
//!
//! What each of them is for stands in `table`, from which the checks, `sockeye doctor` and docs/privileges.md follow.

mod relinquish;
mod table;

use rustix::thread::{CapabilitySet, capabilities};

use crate::Backend;
pub use relinquish::{RelinquishError, relinquish};
pub use table::{FEATURES, Feature, FeatureRow, When};

/// A capability of Linux (capabilities(7)) that the tracer has a use for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Privilege {
    /// `CAP_BPF`
    Bpf,
    /// `CAP_PERFMON`
    Perfmon,
    /// `CAP_NET_ADMIN`
    NetAdmin,
    /// `CAP_SYS_PTRACE`
    SysPtrace,
    /// `CAP_DAC_READ_SEARCH`
    DacReadSearch,
    /// `CAP_SYS_ADMIN`
    SysAdmin,
    /// `CAP_SYS_RESOURCE`
    SysResource,
    /// `CAP_CHOWN`
    Chown,
    /// `CAP_NET_BIND_SERVICE`
    NetBindService,
    /// `CAP_DAC_OVERRIDE`
    DacOverride,
}

/// A set of capabilities of Linux.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Privileges(CapabilitySet);

/// The process may not trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "missing privilege {}: run as root, or give the binary the capabilities: \
     setcap cap_bpf,cap_perfmon,cap_net_admin,cap_sys_ptrace,cap_dac_read_search,cap_sys_admin+ep sockeye; \
     `sockeye doctor` and docs/privileges.md say what each is for",
    names(.missing).join(" and ")
)]
pub struct MissingPrivilege {
    /// What is missing.
    pub missing: Vec<Privilege>,
}

impl Privilege {
    /// Every one.
    pub const ALL: [Self; 10] = [
        Self::Bpf,
        Self::Perfmon,
        Self::NetAdmin,
        Self::SysPtrace,
        Self::DacReadSearch,
        Self::SysAdmin,
        Self::SysResource,
        Self::Chown,
        Self::NetBindService,
        Self::DacOverride,
    ];

    /// As capabilities(7) writes it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Bpf => "CAP_BPF",
            Self::Perfmon => "CAP_PERFMON",
            Self::NetAdmin => "CAP_NET_ADMIN",
            Self::SysPtrace => "CAP_SYS_PTRACE",
            Self::DacReadSearch => "CAP_DAC_READ_SEARCH",
            Self::SysAdmin => "CAP_SYS_ADMIN",
            Self::SysResource => "CAP_SYS_RESOURCE",
            Self::Chown => "CAP_CHOWN",
            Self::NetBindService => "CAP_NET_BIND_SERVICE",
            Self::DacOverride => "CAP_DAC_OVERRIDE",
        }
    }

    fn set(self) -> CapabilitySet {
        match self {
            Self::Bpf => CapabilitySet::BPF,
            Self::Perfmon => CapabilitySet::PERFMON,
            Self::NetAdmin => CapabilitySet::NET_ADMIN,
            Self::SysPtrace => CapabilitySet::SYS_PTRACE,
            Self::DacReadSearch => CapabilitySet::DAC_READ_SEARCH,
            Self::SysAdmin => CapabilitySet::SYS_ADMIN,
            Self::SysResource => CapabilitySet::SYS_RESOURCE,
            Self::Chown => CapabilitySet::CHOWN,
            Self::NetBindService => CapabilitySet::NET_BIND_SERVICE,
            Self::DacOverride => CapabilitySet::DAC_OVERRIDE,
        }
    }
}

impl Privileges {
    /// None.
    #[must_use]
    pub fn none() -> Self {
        Self(CapabilitySet::empty())
    }

    /// The effective ones of this thread; none where the kernel does not tell.
    #[must_use]
    pub fn effective() -> Self {
        Self(capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective))
    }

    /// True when this one is among them.
    #[must_use]
    pub fn has(self, privilege: Privilege) -> bool {
        self.0.contains(privilege.set())
    }

    /// With this one.
    #[must_use]
    pub fn with(self, privilege: Privilege) -> Self {
        Self(self.0 | privilege.set())
    }

    /// The names of those that the tracer has a use for, in the order of [`Privilege::ALL`].
    #[must_use]
    pub fn names(self) -> Vec<&'static str> {
        names(&Privilege::ALL.into_iter().filter(|one| self.has(*one)).collect::<Vec<_>>())
    }

    /// What of these is needed beyond the start, when these features are used. Of two ways the one that takes less.
    #[must_use]
    pub fn needed_on(self, used: &[Feature]) -> Self {
        let running = FEATURES.iter().filter(|row| row.when == When::Running && used.contains(&row.feature));
        let needed = running.flat_map(|row| row.needs).filter(|one| self.has(**one));
        let kept = needed.fold(Self::none(), |kept, one| kept.with(*one));
        // Before 5.19 the kernel asks for it at each access to a map, unless CAP_SYS_ADMIN stands in.
        let maps = used.contains(&Feature::Programs) && self.has(Privilege::Bpf);
        if maps && !kept.has(Privilege::SysAdmin) && crate::bpf::maps_take_privilege() {
            return kept.with(Privilege::Bpf);
        }
        kept
    }
}

/// What of the privileges that this backend cannot do without is missing among `held`: for the programs `CAP_BPF` and
/// `CAP_PERFMON`, for which `CAP_SYS_ADMIN` stands in; for polling nothing. Without a word about the backend, who has
/// `CAP_NET_ADMIN` may poll, and who has none of these is told what is missing for the programs.
#[must_use]
pub fn missing_for(backend: Backend, held: Privileges) -> Vec<Privilege> {
    let may_poll = match backend {
        Backend::Bpf => false,
        Backend::Auto => held.has(Privilege::NetAdmin),
        Backend::Polling => true,
    };
    if may_poll { Vec::new() } else { Feature::Programs.row().missing(held) }
}

/// Checks that this thread may do what the backend cannot do without.
///
/// # Errors
/// [`MissingPrivilege`] names what is missing.
pub fn check_privileges(backend: Backend) -> Result<(), MissingPrivilege> {
    let missing = missing_for(backend, Privileges::effective());
    if missing.is_empty() { Ok(()) } else { Err(MissingPrivilege { missing }) }
}

fn names(privileges: &[Privilege]) -> Vec<&'static str> {
    privileges.iter().map(|one| one.name()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(privileges: &[Privilege]) -> Privileges {
        privileges.iter().fold(Privileges::none(), |set, one| set.with(*one))
    }

    #[test]
    fn each_missing_capability_is_named() {
        let missing = |held: &[Privilege]| names(&missing_for(Backend::Bpf, of(held)));
        assert_eq!(missing(&[]), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing(&[Privilege::Bpf]), ["CAP_PERFMON"]);
        assert!(missing(&[Privilege::Bpf, Privilege::Perfmon]).is_empty());
        assert!(missing(&[Privilege::SysAdmin]).is_empty());
        assert!(missing_for(Backend::Polling, Privileges::none()).is_empty());
        assert!(missing_for(Backend::Auto, of(&[Privilege::NetAdmin])).is_empty());
        assert_eq!(names(&missing_for(Backend::Auto, of(&[Privilege::Chown]))), ["CAP_BPF", "CAP_PERFMON"]);
    }

    #[test]
    fn what_only_the_start_takes_is_not_kept_and_neither_is_what_nobody_uses() {
        let all = of(&Privilege::ALL);
        let kept = all.needed_on(&[Feature::SocketOwner, Feature::LockedMemory, Feature::CgroupPrograms]);
        assert_eq!(kept, Privileges::none());
        let kept = all.needed_on(&[Feature::Programs, Feature::Cost, Feature::Executables]);
        assert_eq!(kept, of(&[Privilege::SysAdmin, Privilege::SysPtrace]));
        assert_eq!(all.needed_on(&[Feature::Translations]), of(&[Privilege::NetAdmin]));
        assert_eq!(Privileges::none().needed_on(&[Feature::Cost]), Privileges::none(), "what it has not");
    }
}
