//! The container of one process by what `/proc` says of its cgroups in all hierarchies.

use std::fs;
use std::path::Path;

use connections::{ContainerId, Owner};

use super::paths;

const NANOSECONDS_PER_SECOND: u64 = 1_000_000_000;

/// `None` also when the process is gone, or another one has its id.
pub(super) fn container(proc: &Path, owner: &Owner) -> Option<ContainerId> {
    let directory = proc.join(owner.pid.to_string());
    let cgroups = fs::read_to_string(directory.join("cgroup")).ok()?;
    let container = cgroups.lines().find_map(of_line)?;
    // Read after it: so it was this process.
    let stat = fs::read_to_string(directory.join("stat")).ok()?;
    let ticks_per_second = rustix::param::clock_ticks_per_second();
    let tick_ns = NANOSECONDS_PER_SECOND.checked_div(ticks_per_second)?;
    (started_ticks(&stat)? == owner.started_at_boot_ns / tick_ns).then_some(container)
}

/// Of `4:memory:/docker/<id>`.
fn of_line(line: &str) -> Option<ContainerId> {
    paths::container(line.splitn(3, ':').nth(2)?)
}

/// The name of the task, which may hold anything, is in parentheses.
fn started_ticks(stat: &str) -> Option<u64> {
    let (_, fields) = stat.rsplit_once(") ")?;
    // Field 22, and the state is field 3.
    fields.split(' ').nth(22 - 3)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use connections::{Command, OwnerSource};

    use super::*;

    const ID: &str = "9f7a5c0e3b1d2f4a6c8e0b2d4f6a8c0e1f3b5d7a9c0e2f4b6d8a0c1e3f5b7d9a";

    fn owner(started_at_boot_ns: u64) -> Owner {
        Owner {
            pid: 77,
            tid: 77,
            uid: 0,
            command: Command::default(),
            cgroup_id: Some(1),
            container: None,
            started_at_boot_ns,
            kernel: false,
            source: OwnerSource::Connect,
        }
    }

    #[test]
    fn a_process_is_in_the_container_that_any_hierarchy_names_and_another_with_its_id_is_not() {
        let proc = std::env::temp_dir().join(format!("sockeye-context-{}", std::process::id()));
        fs::create_dir_all(proc.join("77")).expect("the temporary directory is writable");
        let cgroups = format!("9:name=systemd:/\n4:memory:/docker/{ID}\n1:cpu,cpuacct:/docker/{ID}\n0::/\n");
        fs::write(proc.join("77/cgroup"), cgroups).expect("it is writable");
        let stat = format!("77 (a) b) S {}5000 0 0\n", "1 ".repeat(18));
        fs::write(proc.join("77/stat"), stat).expect("it is writable");
        let found = |started_at| container(&proc, &owner(started_at)).map(|id| id.to_string());
        assert_eq!(found(50_001_234_567).as_deref(), Some(ID));
        assert_eq!((found(50_010_000_000), found(49_999_999_999)), (None, None));
        fs::remove_dir_all(&proc).expect("it was made above");
        assert_eq!(found(50_001_234_567), None);
    }
}
