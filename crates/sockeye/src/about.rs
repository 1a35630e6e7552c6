//! What is known before anything is traced: the host, the privileges of each part, the memory of the limits. For the status
//! and for `sockeye doctor`.

use collect::{CgroupLayout, FEATURES, HostFacts, Privilege, Privileges, When};
use encode::{About, CapabilitySetsView, HostView, PrivilegeView};

use crate::config::Config;
use crate::memory::memory;
use crate::privileges::used;

/// As it is now, with the privileges that this thread has.
pub(crate) fn about(config: &Config) -> About {
    About {
        host: host(HostFacts::read()),
        privileges: privileges(config, Privileges::effective()),
        memory: memory(config),
    }
}

fn host(facts: HostFacts) -> HostView {
    let HostFacts {
        kernel,
        machine,
        btf,
        lockdown,
        cgroups,
        capabilities,
        unprivileged_bpf_disabled,
        bpf_jit,
        perf_event_paranoid,
        locked_memory_bytes,
        host_pid_namespace,
        hidepid,
        connection_tracking,
        sock_diag,
    } = facts;
    let collect::CapabilityFacts { effective, permitted, bounding } = capabilities;
    HostView {
        kernel,
        machine,
        btf,
        lockdown,
        cgroups: match cgroups.layout {
            CgroupLayout::None => "none",
            CgroupLayout::V1 => "v1",
            CgroupLayout::V2 => "v2",
            CgroupLayout::Hybrid => "hybrid",
        },
        cgroup2_at: cgroups.unified_at,
        host_cgroup_namespace: cgroups.host_namespace,
        host_pid_namespace,
        hidepid,
        capabilities: CapabilitySetsView { effective, permitted, bounding },
        unprivileged_bpf_disabled,
        bpf_jit,
        perf_event_paranoid,
        locked_memory_bytes,
        connection_tracking,
        inet_diag: sock_diag.inet,
        tcp_diag: sock_diag.tcp,
        udp_diag: sock_diag.udp,
    }
}

fn privileges(config: &Config, held: Privileges) -> Vec<PrivilegeView> {
    let used = used(config);
    let names = |privileges: &[Privilege]| privileges.iter().map(|one| one.name()).collect();
    let view = |row: &collect::FeatureRow| PrivilegeView {
        name: row.name,
        needs: names(row.needs),
        instead: row.instead.map(Privilege::name),
        when: if row.when == When::Start { "start" } else { "always" },
        used: used.contains(&row.feature),
        missing: names(&row.missing(held)),
        without: row.without,
    };
    FEATURES.iter().map(view).collect()
}
