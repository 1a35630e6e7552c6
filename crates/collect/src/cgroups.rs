//! The root of the cgroup hierarchy of version 2, to which programs are attached.

use std::fs::{self, File};
use std::io;
use std::os::fd::OwnedFd;

use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// The root: as it is mounted, or where it is not (cgroups of version 1 alone), through a mount that nobody else
/// sees and that ends with the descriptor.
///
/// # Errors
/// No mount can be opened, and none can be made: that takes `CAP_SYS_ADMIN` and Linux 5.2.
pub(crate) fn root() -> io::Result<OwnedFd> {
    let mounts = fs::read_to_string("/proc/self/mountinfo")?;
    let mounted = mounts.lines().filter_map(mounted_root).find_map(|path| File::open(path).ok());
    match mounted {
        Some(root) => Ok(root.into()),
        None => Ok(own_mount()?),
    }
}

/// True when the root is that of the host and not of a container: only the first namespace of cgroups sees all.
pub(crate) fn sees_all() -> bool {
    // PROC_CGROUP_INIT_INO of include/linux/proc_ns.h.
    fs::read_link("/proc/self/ns/cgroup").is_ok_and(|name| name.as_os_str() == "cgroup:[4026531835]")
}

/// The mount point, if the line of mountinfo mounts the root of a hierarchy of version 2.
fn mounted_root(line: &str) -> Option<&str> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut fields = mount.split(' ').skip(3);
    let (root, mount_point) = (fields.next()?, fields.next()?);
    (root == "/" && filesystem.starts_with("cgroup2 ")).then_some(mount_point)
}

fn own_mount() -> rustix::io::Result<OwnedFd> {
    let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_create(&context)?;
    fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())
}

#[cfg(test)]
mod tests {
    use super::mounted_root;

    #[test]
    fn the_root_is_found_among_the_mounts() {
        let unified = "30 23 0:26 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw,nsdelegate";
        assert_eq!(mounted_root(unified), Some("/sys/fs/cgroup/unified"));
        let inside = "30 23 0:26 /system.slice /mnt/part rw - cgroup2 cgroup2 rw";
        assert_eq!(mounted_root(inside), None, "a part of it would not see everything");
        let first = "31 23 0:27 / /sys/fs/cgroup/cpu rw shared:9 - cgroup cgroup rw,cpu";
        assert_eq!((mounted_root(first), mounted_root("")), (None, None));
    }
}
