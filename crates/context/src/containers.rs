//! The container of a process: from the path of its cgroup, which is remembered.
//!
//! Where the hierarchy of version 2 names no container and there are some of version 1, `/proc/<pid>/cgroup` is read, and
//! read again after a time, because a process can be moved. How a path is found by the id of a cgroup is the caller's
//! business.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use connections::{ContainerId, Owner, ProcessKey};
use foldhash::fast::RandomState;

use crate::cgroups::{Place, has_v1};
use crate::proc::{Directory, Looked};

/// Answers that are remembered of each kind, about 72 bytes each. When there are more, all are forgotten.
const REMEMBERED_MAX: usize = 16_384;
/// How long what `/proc` says of a process is used. A cgroup of version 2 has its id for ever, so its path stays true.
pub(crate) const PLACED_MAX: Duration = Duration::from_secs(10);

/// Containers by cgroup and by process.
#[derive(Debug)]
pub struct Containers<P> {
    path_of: P,
    by_cgroup: HashMap<u64, Option<ContainerId>, RandomState>,
    by_process: Option<ByProcess>,
}

/// Answers of `/proc`, those that there is no container included, with the time at which they were true.
#[derive(Debug)]
struct ByProcess {
    proc: PathBuf,
    remembered: HashMap<ProcessKey, (Instant, Option<ContainerId>), RandomState>,
}

impl<P: FnMut(u64) -> Option<PathBuf>> Containers<P> {
    /// `path_of` gives the path of a cgroup in the hierarchy of version 2 by its id; it is asked once for each, as long as
    /// that is remembered.
    #[must_use]
    pub fn new(path_of: P) -> Self {
        let own = std::fs::read("/proc/self/cgroup").unwrap_or_default();
        let by_process = has_v1(&String::from_utf8_lossy(&own)).then(|| ByProcess::new(Path::new("/proc")));
        Self { path_of, by_cgroup: HashMap::default(), by_process }
    }

    /// The container that the process runs in; `None` when it runs in none, or when that cannot be found out. It is that of
    /// the cgroup which the owner was recorded with; where only a hierarchy of version 1 has it, what `/proc` said at most
    /// 10 s ago, or of one that has ended, at last. What is remembered costs less than 100 ns.
    pub fn of(&mut self, owner: &Owner) -> Option<ContainerId> {
        let Self { path_of, by_cgroup, by_process } = self;
        let in_v2 = owner.cgroup_id.and_then(|id| {
            if let Some(known) = by_cgroup.get(&id) {
                return *known;
            }
            if by_cgroup.len() >= REMEMBERED_MAX {
                by_cgroup.clear();
            }
            let container = path_of(id).and_then(|path| Place::of_path(path.to_str()?).container);
            *by_cgroup.entry(id).or_insert(container)
        });
        in_v2.or_else(|| by_process.as_mut()?.of(owner, Instant::now()))
    }
}

impl ByProcess {
    fn new(proc: &Path) -> Self {
        Self { proc: proc.to_owned(), remembered: HashMap::default() }
    }

    fn of(&mut self, owner: &Owner, now: Instant) -> Option<ContainerId> {
        let process = ProcessKey { pid: owner.pid, started_at_boot_ns: owner.started_at_boot_ns };
        let former = self.remembered.get(&process).copied();
        if let Some((at, known)) = former
            && now.saturating_duration_since(at) < PLACED_MAX
        {
            return known;
        }
        if self.remembered.len() >= REMEMBERED_MAX {
            self.remembered.clear();
        }
        let container = match Directory::new(&self.proc, process).while_it_is(Directory::cgroups) {
            Looked::Found(cgroups) => cgroups.and_then(|cgroups| Place::of_process(&cgroups).container),
            // It has ended, and was where it was.
            Looked::Gone | Looked::Mismatched => former.and_then(|(_, known)| known),
            Looked::Refused => None,
        };
        self.remembered.insert(process, (now, container));
        container
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hint::black_box;

    use super::*;
    use crate::fixtures;
    use crate::proc::fixtures::FakeProc;

    const ID: &str = "9f7a5c0e3b1d2f4a6c8e0b2d4f6a8c0e1f3b5d7a9c0e2f4b6d8a0c1e3f5b7d9a";
    const OTHER: &str = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    fn owner(pid: u32, cgroup_id: u64) -> Owner {
        // No process began then.
        Owner { cgroup_id: Some(cgroup_id), started_at_boot_ns: 1, ..fixtures::owner(pid) }
    }

    #[test]
    fn a_cgroup_is_looked_up_once_whether_it_is_a_container_or_not() {
        let asked = Cell::new(0);
        let mut containers = Containers::new(|id| {
            asked.set(asked.get() + 1);
            (id != 3).then(|| format!("/sys/fs/cgroup/docker-{id:064x}.scope").into())
        });
        for _ in 0..3 {
            let found = containers.of(&owner(1, 2)).map(|id| id.to_string());
            assert_eq!(found, Some(format!("{:064x}", 2)));
            assert_eq!(containers.of(&owner(1, 3)), None);
        }
        assert_eq!(asked.get(), 2);
        assert_eq!(containers.of(&Owner { cgroup_id: None, ..owner(1, 1) }), None);
    }

    #[test]
    fn a_process_is_in_the_container_that_any_hierarchy_names() {
        let proc = FakeProc::new("containers");
        proc.start(77, 5000);
        let cgroups = format!("9:name=systemd:/\n4:memory:/docker/{ID}\n1:cpu,cpuacct:/docker/{ID}\n0::/\n");
        proc.write(77, "cgroup", cgroups.as_bytes());
        let found = |started_at_boot_ns| {
            let owner = Owner { started_at_boot_ns, ..owner(77, 1) };
            ByProcess::new(&proc.0).of(&owner, Instant::now()).map(|id| id.to_string())
        };
        assert_eq!(found(50_001_234_567).as_deref(), Some(ID));
        assert_eq!(found(50_010_000_000), None, "another process with its id");
        proc.end(77);
        assert_eq!(found(50_001_234_567), None);
    }

    #[test]
    fn a_process_that_was_moved_is_in_its_former_container_for_ten_seconds_at_most() {
        let proc = FakeProc::new("moved");
        proc.start(77, 5000);
        let owner = Owner { started_at_boot_ns: 50_000_000_000, ..owner(77, 1) };
        let (mut containers, began) = (ByProcess::new(&proc.0), Instant::now());
        let mut after =
            |seconds| containers.of(&owner, began + Duration::from_secs(seconds)).map(|id| id.to_string());
        proc.write(77, "cgroup", format!("4:memory:/docker/{ID}\n").as_bytes());
        assert_eq!(after(0).as_deref(), Some(ID));
        proc.write(77, "cgroup", format!("4:memory:/docker/{OTHER}\n").as_bytes());
        assert_eq!(after(9).as_deref(), Some(ID));
        assert_eq!(after(10).as_deref(), Some(OTHER));
        proc.write(77, "cgroup", b"4:memory:/\n");
        assert_eq!((after(19).as_deref(), after(20)), (Some(OTHER), None));
        proc.write(77, "cgroup", format!("4:memory:/docker/{ID}\n").as_bytes());
        assert_eq!(after(30).as_deref(), Some(ID));
        proc.end(77);
        assert_eq!(after(50).as_deref(), Some(ID), "what has ended is moved no more");
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let mut containers = Containers::new(|_| None);
        let proc = FakeProc::new("bounded");
        containers.by_process = Some(ByProcess::new(&proc.0));
        for number in 0..=u32::try_from(REMEMBERED_MAX).expect("it is small") {
            assert_eq!(containers.of(&owner(number, number.into())), None);
        }
        assert_eq!(containers.by_cgroup.len(), 1);
        assert_eq!(containers.by_process.expect("it was set").remembered.len(), 1);
    }

    /// The bound is that of a build without optimization.
    #[test]
    fn what_is_remembered_costs_little() {
        let mut containers = Containers::new(|id| Some(format!("/docker/{id:064x}").into()));
        let owners: Vec<_> = (0..1000).map(|number| owner(number, number.into())).collect();
        let mut round = || {
            let began = Instant::now();
            owners.iter().for_each(|owner| assert!(containers.of(black_box(owner)).is_some()));
            began.elapsed() / 1000
        };
        let cold = round();
        let warm = (0..20).map(|_| round()).min().expect("twenty");
        println!("cold {cold:?}, warm {warm:?}");
        assert!(warm < Duration::from_micros(2), "{warm:?}");
    }
}
