//! Owners, each kept once: a process with thousands of connections is one.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

use crate::owner::Owner;

/// Fewer are not worth looking through.
const SWEPT_MIN: usize = 1024;

/// The owners in use. An owner takes 104 bytes, and about 16 here.
#[derive(Debug, Default)]
pub(crate) struct Owners {
    owners: HashSet<Arc<Owner>, RandomState>,
    /// How many were in use when it was last looked.
    in_use: usize,
}

impl Owners {
    /// The one copy of this owner.
    pub(crate) fn one(&mut self, owner: Owner) -> Arc<Owner> {
        if let Some(known) = self.owners.get(&owner) {
            return Arc::clone(known);
        }
        self.sweep();
        let owner = Arc::new(owner);
        self.owners.insert(Arc::clone(&owner));
        owner
    }

    /// Forgets those that nobody uses, whenever there are twice as many as were in use last time.
    fn sweep(&mut self) {
        if self.owners.len() < SWEPT_MIN.max(2 * self.in_use) {
            return;
        }
        self.owners.retain(|owner| Arc::strong_count(owner) > 1);
        self.owners.shrink_to(2 * self.owners.len());
        self.in_use = self.owners.len();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::owner::{Command, OwnerSource};

    fn owner(pid: u32) -> Owner {
        Owner {
            pid,
            tid: pid,
            uid: 0,
            command: Command::default(),
            cgroup_id: None,
            container: None,
            started_at_boot_ns: 1,
            kernel: false,
            source: OwnerSource::Connect,
        }
    }

    #[test]
    fn an_owner_is_kept_once() {
        let mut owners = Owners::default();
        assert!(Arc::ptr_eq(&owners.one(owner(1)), &owners.one(owner(1))));
        assert_ne!(owners.one(owner(1)), owners.one(owner(2)));
    }

    #[test]
    fn owners_that_nobody_uses_are_forgotten() {
        let mut owners = Owners::default();
        let used = owners.one(owner(0));
        for pid in 1..100_000 {
            owners.one(owner(pid));
            assert!(owners.owners.len() <= SWEPT_MIN);
        }
        assert!(Arc::ptr_eq(&owners.one(owner(0)), &used));
        let many: Vec<_> = (0..10_000).map(|pid| owners.one(owner(pid))).collect();
        assert_eq!((many.len(), owners.owners.len()), (10_000, 10_000));
    }
}
