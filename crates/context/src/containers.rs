//! The container of a process: from the path of its cgroup, which is remembered.
//!
//! Where the hierarchy of version 2 names no container and one of version 1 is mounted, `/proc/<pid>/cgroup` is read once
//! for each process. How a path is found by the id of a cgroup is the caller's business.

mod paths;
mod process;

use std::collections::HashMap;
use std::hash::Hash;
use std::path::{Path, PathBuf};

use connections::{ContainerId, Owner};
use foldhash::fast::RandomState;

/// Answers that are remembered of each kind, about 64 bytes each. When there are more, all are forgotten.
const REMEMBERED_MAX: usize = 16_384;

/// Containers by cgroup and by process.
#[derive(Debug)]
pub struct Containers<P> {
    path_of: P,
    by_cgroup: Remembered<u64>,
    /// By process id and start, only where a hierarchy of version 1 is mounted.
    by_process: Option<Remembered<(u32, u64)>>,
}

/// Answers, those that there is no container included.
#[derive(Debug)]
struct Remembered<K>(HashMap<K, Option<ContainerId>, RandomState>);

impl<P: FnMut(u64) -> Option<PathBuf>> Containers<P> {
    /// `path_of` gives the path of a cgroup in the hierarchy of version 2 by its id; it is asked once for each, as long as
    /// that is remembered.
    #[must_use]
    pub fn new(path_of: P) -> Self {
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
        let has_v1 = mounts.lines().any(|line| line.contains(" - cgroup "));
        Self { path_of, by_cgroup: Remembered::default(), by_process: has_v1.then(Remembered::default) }
    }

    /// The container that the process runs in; `None` when it runs in none, or when that cannot be found out. What is
    /// remembered costs less than 100 ns.
    pub fn of(&mut self, owner: &Owner) -> Option<ContainerId> {
        let Self { path_of, by_cgroup, by_process } = self;
        let in_v2 =
            owner.cgroup_id.and_then(|id| by_cgroup.get_or(id, || paths::container(path_of(id)?.to_str()?)));
        let key = (owner.pid, owner.started_at_boot_ns);
        in_v2.or_else(|| by_process.as_mut()?.get_or(key, || process::container(Path::new("/proc"), owner)))
    }
}

impl<K: Eq + Hash> Remembered<K> {
    fn get_or(&mut self, key: K, find: impl FnOnce() -> Option<ContainerId>) -> Option<ContainerId> {
        if let Some(known) = self.0.get(&key) {
            return *known;
        }
        if self.0.len() >= REMEMBERED_MAX {
            self.0.clear();
        }
        *self.0.entry(key).or_insert(find())
    }
}

impl<K> Default for Remembered<K> {
    fn default() -> Self {
        Self(HashMap::default())
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::hint::black_box;
    use std::time::{Duration, Instant};

    use connections::{Command, OwnerSource};

    use super::*;

    fn owner(pid: u32, cgroup_id: u64) -> Owner {
        Owner {
            pid,
            tid: pid,
            uid: 0,
            command: Command::default(),
            cgroup_id: Some(cgroup_id),
            container: None,
            // No process began then.
            started_at_boot_ns: 1,
            kernel: false,
            source: OwnerSource::Connect,
        }
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
    fn what_is_remembered_is_bounded() {
        let mut containers = Containers::new(|_| None);
        for number in 0..=u32::try_from(REMEMBERED_MAX).expect("it is small") {
            assert_eq!(containers.of(&owner(number, number.into())), None);
        }
        assert_eq!(containers.by_cgroup.0.len(), 1);
        assert!(containers.by_process.is_none_or(|processes| processes.0.len() == 1));
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
