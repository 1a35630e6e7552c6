//! The root of the cgroups, where programs see every socket of the host.

use std::os::fd::OwnedFd;

use anyhow::Context;
use rustix::fs::{Mode, OFlags, openat};
use rustix::mount::{FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsmount, fsopen};

/// The root of the cgroups of version 2, through a mount that has no place and ends with its descriptors:
/// where a host mounts them, or whether it does, makes no difference.
pub fn root_cgroup() -> anyhow::Result<OwnedFd> {
    let context = fsopen("cgroup2", FsOpenFlags::FSOPEN_CLOEXEC).context("the kernel has no cgroups")?;
    fsconfig_create(&context).context("cannot mount the cgroups")?;
    let mount = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, MountAttrFlags::empty())?;
    Ok(openat(&mount, ".", OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?)
}
