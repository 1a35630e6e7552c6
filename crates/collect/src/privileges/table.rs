//! The table of privileges: what each part takes, when, and what is missing without it.
//!
//! The rows are what was seen when the daemon ran with all but one of them (`crates/sockeye/tests/e2e/privileges.rs`).

use super::{Privilege, Privileges};

/// A part of the tracer that takes privileges.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Feature {
    /// Programs that trace.
    Programs,
    /// Programs at cgroups.
    CgroupPrograms,
    /// Looking into other network namespaces.
    OtherNamespaces,
    /// Namespaces that only processes of others name.
    NamespacesOfProcesses,
    /// Translated addresses.
    Translations,
    /// What others execute.
    Executables,
    /// Paths of cgroups by their ids.
    CgroupPaths,
    /// Who holds a socket, by polling.
    SocketFiles,
    /// What programs cost.
    Cost,
    /// Memory of programs on older kernels.
    LockedMemory,
    /// The socket belongs to another user or group.
    SocketOwner,
    /// Removing the socket from a directory of another user.
    SocketOfOthers,
    /// A port below 1024.
    LowPort,
}

/// When a privilege is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// At the start; it is given up before anybody is answered.
    Start,
    /// As long as the process lives.
    Running,
}

/// A row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FeatureRow {
    /// The part.
    pub feature: Feature,
    /// Its name, in lower case, stable.
    pub name: &'static str,
    /// All that it takes.
    pub needs: &'static [Privilege],
    /// What stands in for all of these.
    pub instead: Option<Privilege>,
    /// When it takes them.
    pub when: When,
    /// The configuration with which it is used; empty for always.
    pub used_with: &'static str,
    /// What is missing without them.
    pub without: &'static str,
}

/// All of them.
pub const FEATURES: [FeatureRow; 13] = [
    FeatureRow {
        feature: Feature::Programs,
        name: "programs",
        needs: &[Privilege::Bpf, Privilege::Perfmon],
        instead: Some(Privilege::SysAdmin),
        when: When::Start,
        used_with: "",
        without: "the programs cannot be loaded: exit code 77",
    },
    FeatureRow {
        feature: Feature::CgroupPrograms,
        name: "programs at cgroups",
        needs: &[Privilege::NetAdmin],
        instead: Some(Privilege::SysAdmin),
        when: When::Start,
        used_with: "collect.udp where the kernel has no trampolines, collect.connect_attempts, collect.dns_tcp",
        without: "nothing is known of UDP where it can only be counted at cgroups, of calls of connect that fail at once, \
                  and of DNS over TCP",
    },
    FeatureRow {
        feature: Feature::OtherNamespaces,
        name: "other network namespaces",
        needs: &[Privilege::SysAdmin],
        instead: None,
        when: When::Running,
        used_with: "the start; and unless collect.backend = bpf, collect.audit_interval_s = 0 and context.nat and context.routes are off",
        without: "in network namespaces other than its own, sockets older than the tracer that no process holds are not \
                  followed, audits do not look, and translations and routes are not known",
    },
    FeatureRow {
        feature: Feature::NamespacesOfProcesses,
        name: "network namespaces that are not mounted",
        needs: &[Privilege::SysPtrace],
        instead: None,
        when: When::Running,
        used_with: "as the row above",
        without: "network namespaces are found only where they are mounted, such as those of `ip netns`",
    },
    FeatureRow {
        feature: Feature::Translations,
        name: "translated addresses",
        needs: &[Privilege::NetAdmin],
        instead: None,
        when: When::Running,
        used_with: "context.nat",
        without: "translated addresses are not known",
    },
    FeatureRow {
        feature: Feature::Executables,
        name: "executables of others",
        needs: &[Privilege::SysPtrace],
        instead: None,
        when: When::Running,
        used_with: "context.processes",
        without: "the executable of a process that began before the tracer is not known",
    },
    FeatureRow {
        feature: Feature::CgroupPaths,
        name: "paths of cgroups",
        needs: &[Privilege::DacReadSearch],
        instead: None,
        when: When::Running,
        used_with: "",
        without: "a cgroup is searched for in the hierarchy, and is not found beyond the first 16 384; and without uid 0, \
                  network namespaces that are mounted where only root may look are not found",
    },
    FeatureRow {
        feature: Feature::SocketFiles,
        name: "owners by polling",
        needs: &[Privilege::SysPtrace, Privilege::DacReadSearch],
        instead: None,
        when: When::Running,
        used_with: "collect.backend other than bpf",
        without: "where connections are polled, it is not known who holds a socket of other users",
    },
    FeatureRow {
        feature: Feature::Cost,
        name: "cost of programs",
        needs: &[Privilege::SysAdmin],
        instead: None,
        when: When::Running,
        used_with: "collect.cost_sample_ms above 0",
        without: "what the programs cost is not sampled",
    },
    FeatureRow {
        feature: Feature::LockedMemory,
        name: "memory of maps",
        needs: &[Privilege::SysResource],
        instead: None,
        when: When::Start,
        used_with: "kernels before 5.11",
        without: "maps have to fit into RLIMIT_MEMLOCK",
    },
    FeatureRow {
        feature: Feature::SocketOwner,
        name: "owner of the socket",
        needs: &[Privilege::Chown],
        instead: None,
        when: When::Start,
        used_with: "listen.owner or listen.group of another user or group",
        without: "the socket cannot be given to them: exit code 1",
    },
    FeatureRow {
        feature: Feature::SocketOfOthers,
        name: "removing the socket",
        needs: &[Privilege::DacOverride],
        instead: None,
        when: When::Running,
        used_with: "listen.socket in a directory of another user",
        without: "the socket stays when the tracer stops, and is replaced when it starts again",
    },
    FeatureRow {
        feature: Feature::LowPort,
        name: "ports below 1024",
        needs: &[Privilege::NetBindService],
        instead: None,
        when: When::Start,
        used_with: "listen.tcp with such a port",
        without: "the port cannot be listened to: exit code 1",
    },
];

impl Feature {
    /// Its row.
    #[must_use]
    pub fn row(self) -> &'static FeatureRow {
        FEATURES.iter().find(|row| row.feature == self).expect("every feature has a row")
    }
}

impl FeatureRow {
    /// What of it is missing among `held`.
    #[must_use]
    pub fn missing(&self, held: Privileges) -> Vec<Privilege> {
        if self.instead.is_some_and(|instead| held.has(instead)) {
            return Vec::new();
        }
        self.needs.iter().copied().filter(|one| !held.has(*one)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn docs_have_the_table() {
        let docs = include_str!("../../../../docs/privileges.md");
        for row in &FEATURES {
            let needs: Vec<String> = row.needs.iter().map(|one| format!("`{}`", one.name())).collect();
            let instead = row.instead.map_or(String::new(), |one| format!(", or `{}`", one.name()));
            let when = if row.when == When::Start { "start" } else { "always" };
            let line = format!(
                "| {} | {}{instead} | {when} | {} | {} |\n",
                row.name,
                needs.join(", "),
                row.used_with,
                row.without
            );
            assert!(docs.contains(&line), "docs/privileges.md needs the line\n{line}");
        }
        assert_eq!(docs.lines().filter(|line| line.starts_with("| ")).count(), FEATURES.len() + 1);
    }

    #[test]
    fn every_feature_has_one_row_and_one_name() {
        for row in &FEATURES {
            assert_eq!(row.feature.row(), row);
            assert_eq!(FEATURES.iter().filter(|other| other.name == row.name).count(), 1, "{}", row.name);
        }
    }
}
