//! Which privileges tracing needs, and which of them this process lacks.

use rustix::thread::{CapabilitySet, capabilities};

/// The process may not trace.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "missing privilege {}: run as root, or give the binary the capabilities: setcap cap_bpf,cap_perfmon,cap_sys_admin+ep sockeye",
    .missing.join(" and ")
)]
pub struct MissingPrivilege {
    /// Names of the missing capabilities.
    pub missing: Vec<&'static str>,
}

/// Checks that the BPF programs can be loaded: `CAP_BPF` and `CAP_PERFMON`, for which `CAP_SYS_ADMIN` stands
/// in. Without `CAP_SYS_ADMIN` sockets of other network namespaces that are older than the tracer are found
/// through their files alone, which is no error.
///
/// # Errors
/// [`MissingPrivilege`] names what is missing.
pub fn check_privileges() -> Result<(), MissingPrivilege> {
    let effective = capabilities(None).map_or(CapabilitySet::empty(), |sets| sets.effective);
    let missing = missing_of(effective);
    if missing.is_empty() { Ok(()) } else { Err(MissingPrivilege { missing }) }
}

fn missing_of(effective: CapabilitySet) -> Vec<&'static str> {
    if effective.contains(CapabilitySet::SYS_ADMIN) {
        return Vec::new();
    }
    let needed = [(CapabilitySet::BPF, "CAP_BPF"), (CapabilitySet::PERFMON, "CAP_PERFMON")];
    needed.into_iter().filter(|(needed, _)| !effective.contains(*needed)).map(|(_, name)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_missing_capability_is_named() {
        assert_eq!(missing_of(CapabilitySet::empty()), ["CAP_BPF", "CAP_PERFMON"]);
        assert_eq!(missing_of(CapabilitySet::BPF), ["CAP_PERFMON"]);
        assert!(missing_of(CapabilitySet::BPF | CapabilitySet::PERFMON).is_empty());
        assert!(missing_of(CapabilitySet::SYS_ADMIN).is_empty());
    }
}
