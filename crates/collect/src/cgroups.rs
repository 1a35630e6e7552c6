//! The cgroup hierarchy of version 2: its root, to which programs are attached, and the paths of the others by their ids.
//! What a path means is not known here.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::libc;
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

/// What follows where the root is not that of the host.
pub(crate) const ONLY_OWN: &str = "only the sockets of the own cgroup namespace are seen";

/// True when the root is that of the host and not of a container: only the first namespace of cgroups sees all.
pub(crate) fn sees_all() -> bool {
    // PROC_CGROUP_INIT_INO of include/linux/proc_ns.h.
    fs::read_link("/proc/self/ns/cgroup").is_ok_and(|name| name.as_os_str() == "cgroup:[4026531835]")
}

/// The mount point, if the line of mountinfo mounts the root of a hierarchy of version 2.
pub(crate) fn mounted_root(line: &str) -> Option<&str> {
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

/// Directories that are looked at, at most, where a cgroup cannot be opened by its id.
const WALKED_MAX: usize = 16_384;

/// Finds cgroups by their ids.
#[derive(Debug)]
pub struct CgroupPaths {
    root: OwnedFd,
    /// The kernel opens a cgroup by its id: that takes `CAP_DAC_READ_SEARCH`.
    opens_by_id: bool,
}

impl CgroupPaths {
    /// Opens the hierarchy.
    ///
    /// # Errors
    /// As where programs are to be attached to its root: it is not mounted, and cannot be.
    pub fn open() -> io::Result<Self> {
        Ok(Self { root: root()?, opens_by_id: true })
    }

    /// The path of a cgroup by its id, as in [`connections::Owner::cgroup_id`], as this process sees it; `None` when there
    /// is no such cgroup, or it is not found among the first 16 384 where the tracer may not open it by its id.
    pub fn path(&mut self, id: u64) -> Option<PathBuf> {
        if self.opens_by_id {
            match open_by_id(&self.root, id) {
                Ok(directory) => return fs::read_link(own_path(&directory)).ok(),
                Err(error) if error.raw_os_error() == Some(libc::EPERM) => self.opens_by_id = false,
                Err(_) => return None,
            }
        }
        walk(&own_path(&self.root), id)
    }
}

fn own_path(directory: &OwnedFd) -> PathBuf {
    format!("/proc/self/fd/{}", directory.as_raw_fd()).into()
}

/// A handle of a file as the kernel knows it, with room for the id of a cgroup, which is all of it.
#[repr(C)]
struct CgroupHandle {
    bytes: libc::c_uint,
    kind: libc::c_int,
    id: [u8; 8],
}

fn open_by_id(root: &OwnedFd, id: u64) -> io::Result<OwnedFd> {
    // FILEID_KERNFS of include/linux/exportfs.h.
    const KERNFS: libc::c_int = 0xfe;
    let mut handle = CgroupHandle { bytes: 8, kind: KERNFS, id: id.to_ne_bytes() };
    let (root, handle) = (root.as_raw_fd(), std::ptr::from_mut(&mut handle).cast::<libc::file_handle>());
    let flags = libc::O_PATH | libc::O_CLOEXEC;
    #[expect(unsafe_code, reason = "no safe wrapper has this call")]
    // SAFETY: the handle has the layout of `struct file_handle` with the 8 bytes that it says follow, and lives until the
    // call has returned. The kernel only reads it.
    let opened = unsafe { libc::open_by_handle_at(root, handle, flags) };
    if opened < 0 {
        return Err(io::Error::last_os_error());
    }
    #[expect(unsafe_code, reason = "the descriptor comes as a number")]
    // SAFETY: the call above has opened it, and nobody else knows it.
    Ok(unsafe { OwnedFd::from_raw_fd(opened) })
}

/// The id of a cgroup is the inode number of its directory.
fn walk(root: &Path, id: u64) -> Option<PathBuf> {
    let mut open = vec![root.to_owned()];
    let mut walked = 0;
    while let Some(directory) = open.pop().filter(|_| walked < WALKED_MAX) {
        walked += 1;
        // One that is gone meanwhile is not the one.
        let children = fs::read_dir(&directory).into_iter().flatten().flatten();
        for child in children.filter(|child| child.file_type().is_ok_and(|kind| kind.is_dir())) {
            if child.metadata().is_ok_and(|child| child.ino() == id) {
                return Some(child.path());
            }
            open.push(child.path());
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::{mounted_root, walk};

    #[test]
    fn a_directory_is_found_by_its_inode_number() {
        let root = std::env::temp_dir().join(format!("sockeye-walk-{}", std::process::id()));
        let inner = root.join("a/b");
        std::fs::create_dir_all(&inner).expect("the temporary directory is writable");
        let id = std::fs::metadata(&inner).expect("it is there").ino();
        assert_eq!(walk(&root, id).as_deref(), Some(inner.as_path()));
        std::fs::remove_dir_all(&root).expect("it was made above");
        assert_eq!(walk(&root, id), None);
    }

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
