//! What this host offers to a tracer, read without changing anything. What cannot be read is absent, which is not "no".
//!
//! Judges nothing: what follows from a fact is seen when something is loaded.

use std::fs;
use std::path::Path;

use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities, capability_is_in_bounding_set};

use crate::cgroups;

/// What was read of the host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostFacts {
    /// Release of the kernel, as `uname -r` prints it.
    pub kernel: String,
    /// The machine, as `uname -m` prints it.
    pub machine: String,
    /// The kernel has type information of itself: `/sys/kernel/btf/vmlinux`.
    pub btf: bool,
    /// `none`, `integrity` or `confidentiality`: `/sys/kernel/security/lockdown`.
    pub lockdown: Option<String>,
    /// The hierarchies of cgroups.
    pub cgroups: CgroupFacts,
    /// Capabilities of this process.
    pub capabilities: CapabilityFacts,
    /// `kernel.unprivileged_bpf_disabled`: 0 to 2.
    pub unprivileged_bpf_disabled: Option<u32>,
    /// `net.core.bpf_jit_enable`: 0 to 2.
    pub bpf_jit: Option<u32>,
    /// `kernel.perf_event_paranoid`: counts for tracing programs where `CAP_PERFMON` is missing.
    pub perf_event_paranoid: Option<i32>,
    /// `RLIMIT_MEMLOCK` in bytes, absent when there is none; maps count before Linux 5.11.
    pub locked_memory_bytes: Option<u64>,
    /// The process is in the host's pid namespace.
    pub host_pid_namespace: Option<bool>,
    /// Processes of others are hidden in `/proc` (`hidepid`): the mount option, absent when there is none.
    pub hidepid: Option<String>,
    /// Connection tracking is there, in this network namespace.
    pub connection_tracking: bool,
    /// Socket diagnosis by protocol: true when it is loaded or built in, absent when that is not known.
    pub sock_diag: SockDiagFacts,
}

/// The hierarchies of cgroups.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CgroupFacts {
    /// What is mounted.
    pub layout: CgroupLayout,
    /// Where the root of version 2 is mounted.
    pub unified_at: Option<String>,
    /// The process is in the host's cgroup namespace.
    pub host_namespace: Option<bool>,
}

/// Which versions are mounted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CgroupLayout {
    /// None.
    None,
    /// Version 1 alone.
    V1,
    /// Version 2 alone.
    V2,
    /// Both.
    Hybrid,
}

/// Capabilities by their names, or by their numbers where they are younger than this program.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct CapabilityFacts {
    /// In force.
    pub effective: Vec<String>,
    /// At hand.
    pub permitted: Vec<String>,
    /// The most that a program that is executed can get.
    pub bounding: Vec<String>,
}

/// Socket diagnosis (`NETLINK_SOCK_DIAG`) by protocol.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SockDiagFacts {
    /// Of the internet protocols at all: `inet_diag`.
    pub inet: Option<bool>,
    /// `tcp_diag`
    pub tcp: Option<bool>,
    /// `udp_diag`
    pub udp: Option<bool>,
}

impl HostFacts {
    /// Reads them.
    #[must_use]
    pub fn read() -> Self {
        let uname = rustix::system::uname();
        let mounts = read("/proc/self/mountinfo").unwrap_or_default();
        Self {
            kernel: uname.release().to_string_lossy().into_owned(),
            machine: uname.machine().to_string_lossy().into_owned(),
            btf: Path::new("/sys/kernel/btf/vmlinux").exists(),
            lockdown: read("/sys/kernel/security/lockdown").and_then(|text| chosen(&text)),
            cgroups: cgroup_facts(&mounts),
            capabilities: capability_facts(),
            unprivileged_bpf_disabled: number("/proc/sys/kernel/unprivileged_bpf_disabled"),
            bpf_jit: number("/proc/sys/net/core/bpf_jit_enable"),
            perf_event_paranoid: number("/proc/sys/kernel/perf_event_paranoid"),
            locked_memory_bytes: getrlimit(Resource::Memlock).current,
            // PROC_PID_INIT_INO of include/linux/proc_ns.h.
            host_pid_namespace: is_namespace("pid", 4_026_531_836),
            hidepid: hidepid(&mounts),
            connection_tracking: Path::new("/proc/sys/net/netfilter/nf_conntrack_count").exists(),
            sock_diag: sock_diag(&uname.release().to_string_lossy()),
        }
    }
}

fn read(path: &str) -> Option<String> {
    fs::read_to_string(path).ok().map(|text| text.trim().to_owned())
}

fn number<N: std::str::FromStr>(path: &str) -> Option<N> {
    read(path)?.parse().ok()
}

/// The word in brackets: `none [integrity] confidentiality`.
fn chosen(text: &str) -> Option<String> {
    Some(text.split_once('[')?.1.split_once(']')?.0.to_owned())
}

fn is_namespace(kind: &str, inode: u64) -> Option<bool> {
    let name = fs::read_link(format!("/proc/self/ns/{kind}")).ok()?;
    Some(name.as_os_str() == format!("{kind}:[{inode}]").as_str())
}

fn cgroup_facts(mounts: &str) -> CgroupFacts {
    let mounted = |kind: &str| mounts.lines().any(|line| line.contains(&format!(" - {kind} ")));
    let layout = match (mounted("cgroup"), mounted("cgroup2")) {
        (false, false) => CgroupLayout::None,
        (true, false) => CgroupLayout::V1,
        (false, true) => CgroupLayout::V2,
        (true, true) => CgroupLayout::Hybrid,
    };
    CgroupFacts {
        layout,
        unified_at: mounts.lines().find_map(cgroups::mounted_root).map(str::to_owned),
        host_namespace: fs::read_link("/proc/self/ns/cgroup").is_ok().then(cgroups::sees_all),
    }
}

/// The option of the `/proc` that is seen: the last one that was mounted there.
fn hidepid(mounts: &str) -> Option<String> {
    let proc = mounts.lines().rfind(|line| line.split(' ').nth(4) == Some("/proc"))?;
    let (_, options) = proc.rsplit_once(' ')?;
    let value = options.split(',').find_map(|option| option.strip_prefix("hidepid="))?;
    Some(value.to_owned())
}

fn capability_facts() -> CapabilityFacts {
    let sets = capabilities(None);
    let bounding = (0..64)
        .map(|number| CapabilitySet::from_bits_retain(1 << number))
        .filter(|one| capability_is_in_bounding_set(*one).unwrap_or(false));
    CapabilityFacts {
        effective: sets.as_ref().map(|sets| names(sets.effective)).unwrap_or_default(),
        permitted: sets.as_ref().map(|sets| names(sets.permitted)).unwrap_or_default(),
        bounding: names(bounding.fold(CapabilitySet::empty(), |all, one| all | one)),
    }
}

fn names(set: CapabilitySet) -> Vec<String> {
    let known = set.iter_names().fold(0, |known, (_, one)| known | one.bits());
    let unknown = set.bits() & !known;
    let numbers = (0..64).filter(|number| unknown >> number & 1 == 1).map(|number| format!("CAP_{number}"));
    set.iter_names().map(|(name, _)| format!("CAP_{name}")).chain(numbers).collect()
}

/// A module that is not loaded may still be there: only where it is neither on disk nor built in, it is known to be missing.
fn sock_diag(release: &str) -> SockDiagFacts {
    let modules = format!("/lib/modules/{release}");
    let built_in = read(&format!("{modules}/modules.builtin"));
    let on_disk = read(&format!("{modules}/modules.dep"));
    let symbols = read("/proc/kallsyms");
    let there = |module: &str, symbol: &str| {
        let file = format!("/{module}.ko");
        let has = |list: &Option<String>| list.as_ref().map(|list| list.contains(&file));
        let loaded = Path::new(&format!("/sys/module/{module}")).exists();
        let symbol = symbols.as_ref().map(|all| all.contains(symbol));
        if loaded || [symbol, has(&built_in), has(&on_disk)].contains(&Some(true)) {
            return Some(true);
        }
        (symbol.is_some() && built_in.is_some()).then_some(false)
    };
    SockDiagFacts {
        inet: there("inet_diag", " inet_diag_handler_cmd"),
        tcp: there("tcp_diag", " tcp_diag_dump"),
        udp: there("udp_diag", " udp_diag_dump"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_mounted_tells_the_layout_of_cgroups() {
        let first = "31 23 0:27 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu";
        let second = "30 23 0:26 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw";
        let layout = |mounts: &[&str]| cgroup_facts(&mounts.join("\n")).layout;
        assert_eq!(layout(&[]), CgroupLayout::None);
        assert_eq!(layout(&[first]), CgroupLayout::V1);
        assert_eq!(layout(&[second]), CgroupLayout::V2);
        assert_eq!(layout(&[first, second]), CgroupLayout::Hybrid);
        let at = cgroup_facts(second).unified_at;
        assert_eq!(at.as_deref(), Some("/sys/fs/cgroup/unified"));
    }

    #[test]
    fn hidden_processes_and_lockdown_are_read_as_the_kernel_writes_them() {
        let hidden = "22 1 0:20 / /proc rw,nosuid - proc proc rw,gid=4,hidepid=invisible";
        assert_eq!(hidepid(hidden).as_deref(), Some("invisible"));
        assert_eq!(hidepid("22 1 0:20 / /proc rw - proc proc rw"), None);
        assert_eq!(chosen("none [integrity] confidentiality").as_deref(), Some("integrity"));
        assert_eq!(chosen(""), None);
    }

    #[test]
    fn capabilities_have_the_names_that_the_status_of_the_process_has_bits_for() {
        let status = fs::read_to_string("/proc/thread-self/status").expect("proc is mounted");
        let bits = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it has the field");
            u64::from_str_radix(line.trim(), 16).expect("it is a number").count_ones()
        };
        let facts = HostFacts::read().capabilities;
        let counted =
            [("CapEff:", facts.effective), ("CapPrm:", facts.permitted), ("CapBnd:", facts.bounding)];
        for (field, names) in counted {
            assert_eq!(usize::try_from(bits(field)), Ok(names.len()), "{field} {names:?}");
        }
        let own = CapabilitySet::BPF | CapabilitySet::from_bits_retain(1 << 50);
        assert_eq!(names(own), ["CAP_BPF", "CAP_50"]);
    }
}
