//! The network namespaces of the host, and working inside one of them.
//!
//! Finds those of running processes and those that are mounted (`ip netns`, container runtimes). One that is
//! held by an open descriptor alone is not found.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::iter;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use nix::{getsockopt_impl, libc};
use rustix::net::Protocol as NetlinkProtocol;
use rustix::net::{AddressFamily, SocketFlags, SocketType, socket, socket_with};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

/// Sockets in any network namespace of the host.
#[derive(Debug, Clone, Copy, Default)]
pub struct NetworkNamespaces;

impl NetworkNamespaces {
    /// The inode number of each network namespace that can be found, and a path to it. Looks at every process.
    #[must_use]
    pub fn all(self) -> Vec<(u32, PathBuf)> {
        let inode = |path: &Path| u32::try_from(name_of(path)?.1).ok();
        paths().into_iter().filter_map(|path| Some((inode(&path)?, path))).collect()
    }

    /// A netlink socket of that protocol in the namespace with this inode number: close on exec, not blocking. A thread of
    /// its own enters the namespace, opens the socket and ends.
    ///
    /// # Errors
    /// The namespace is gone or cannot be entered; another one is at the path; there is no such protocol.
    pub fn netlink(self, inode: u32, path: &Path, protocol: i32) -> io::Result<OwnedFd> {
        let namespace = File::open(path)?;
        if namespace.metadata()?.ino() != u64::from(inode) {
            return Err(io::Error::new(io::ErrorKind::NotFound, "another namespace is at its path"));
        }
        let protocol = u32::try_from(protocol).ok().and_then(NonZeroU32::new).map(NetlinkProtocol::from_raw);
        let open = move || {
            enter(&namespace)?;
            let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
            Ok(socket_with(AddressFamily::NETLINK, SocketType::RAW, flags, protocol)?)
        };
        let thread = std::thread::Builder::new().name("namespace".into()).spawn(open)?;
        thread.join().unwrap_or_else(|_| Err(io::Error::other("the thread that enters the namespace ended")))
    }
}

/// A path to each network namespace that can be found: of several the one that stays longest, so that a namespace is not
/// taken for gone because a process in it has ended.
pub(crate) fn paths() -> Vec<PathBuf> {
    let mut found = BTreeMap::new();
    let of_processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in of_processes.filter(|entry| is_number(&entry.file_name().to_string_lossy())) {
        note(&mut found, process.path().join("ns/net"));
    }
    let mounts = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let own = iter::once("/proc/self/ns/net");
    for path in mounts.lines().filter_map(mounted_namespace).chain(own) {
        if let Some(name) = name_of(Path::new(path)) {
            found.insert(name, path.into());
        }
    }
    found.into_values().collect()
}

/// The mount point, if the line of mountinfo mounts a network namespace: its root is `net:[inode]`.
fn mounted_namespace(line: &str) -> Option<&str> {
    let mut fields = line.split(' ').skip(3);
    let root = fields.next()?;
    let mount_point = fields.next()?;
    root.starts_with("net:[").then_some(mount_point)
}

/// The first path to a namespace stays: `/proc` lists processes by their ids, so that it is most often that of the oldest.
fn note(found: &mut BTreeMap<(u64, u64), PathBuf>, path: PathBuf) {
    if let Some(name) = name_of(&path) {
        found.entry(name).or_insert(path);
    }
}

/// A process may have ended, and a foreign one may be closed to us: neither is an error.
fn name_of(path: &Path) -> Option<(u64, u64)> {
    fs::metadata(path).ok().map(|metadata| (metadata.dev(), metadata.ino()))
}

fn is_number(name: &str) -> bool {
    name.bytes().all(|byte| byte.is_ascii_digit())
}

/// What names the network namespace of this thread until the next boot: inode numbers are given again. 0 where the kernel
/// has no such names (before 5.14).
pub(crate) fn own_cookie() -> u64 {
    let socket = socket(AddressFamily::UNIX, SocketType::DGRAM, None);
    socket.ok().and_then(|socket| getsockopt(&socket, NamespaceCookie).ok()).unwrap_or(0)
}

getsockopt_impl!(NamespaceCookie, libc::SOL_SOCKET, libc::SO_NETNS_COOKIE, u64, GetStruct<u64>);

/// The option of a socket that tells the cookie of its namespace.
#[derive(Debug, Clone, Copy)]
struct NamespaceCookie;

/// Runs `work` in the network namespace, on this thread, and returns to the thread's own one.
///
/// # Errors
/// The outer error means that the thread could not return, and must not go on; the inner that the namespace
/// could not be entered.
pub(crate) fn inside<T>(namespace: &File, work: impl FnOnce() -> T) -> io::Result<io::Result<T>> {
    let home = File::open("/proc/thread-self/ns/net")?;
    if let Err(refused) = enter(namespace) {
        return Ok(Err(refused));
    }
    let result = work();
    enter(&home)?;
    Ok(Ok(result))
}

/// Where the thread is already it need not be let in, which takes `CAP_SYS_ADMIN`.
fn enter(namespace: &File) -> io::Result<()> {
    let there = namespace.metadata()?;
    if name_of(Path::new("/proc/thread-self/ns/net")) == Some((there.dev(), there.ino())) {
        return Ok(());
    }
    Ok(move_into_link_name_space(namespace.as_fd(), Some(LinkNameSpaceType::Network))?)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    #[test]
    fn a_mounted_namespace_is_recognised() {
        let line = "611 24 0:4 net:[4026532275] /run/netns/blue rw shared:1 - nsfs nsfs rw";
        assert_eq!(mounted_namespace(line), Some("/run/netns/blue"));
        assert_eq!(mounted_namespace("31 23 0:28 / /sys rw - sysfs sysfs rw"), None);
        assert_eq!(mounted_namespace(""), None);
    }

    #[test]
    fn the_own_namespace_is_found() {
        let own = fs::metadata("/proc/thread-self/ns/net").expect("proc is mounted").ino();
        assert!(paths().iter().any(|path| fs::metadata(path).is_ok_and(|metadata| metadata.ino() == own)));
    }

    #[test]
    fn a_socket_opens_in_a_namespace_by_its_number_and_in_no_other() {
        let own = fs::metadata("/proc/thread-self/ns/net").expect("proc is mounted").ino();
        let (inode, path) = NetworkNamespaces
            .all()
            .into_iter()
            .find(|(inode, _)| u64::from(*inode) == own)
            .expect("it is found");
        let refused = |opened: io::Result<OwnedFd>| opened.expect_err("it is refused").kind();
        assert_eq!(refused(NetworkNamespaces.netlink(inode + 1, &path, 0)), io::ErrorKind::NotFound);
        if rustix::process::geteuid().is_root() {
            NetworkNamespaces.netlink(inode, &path, 0).expect("root may enter its own namespace");
        }
    }

    #[test]
    fn a_namespace_is_not_found_by_the_process_in_it_that_began_last() {
        let mut newest = Command::new("sleep").arg("60").spawn().expect("coreutils are there");
        let of_newest = format!("/proc/{}/ns/net", newest.id());
        let found = paths();
        newest.kill().and_then(|()| newest.wait()).expect("it is a child");
        assert!(
            !found.contains(&of_newest.into()) && found.contains(&"/proc/self/ns/net".into()),
            "{found:?}"
        );
    }
}
