//! The network namespaces of the host, and working inside one of them.
//!
//! Finds those of running processes and those that are mounted (`ip netns`, container runtimes). One that is
//! held by an open descriptor alone is not found.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io;
use std::iter;
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::GetStruct;
use nix::{getsockopt_impl, libc};
use rustix::net::{AddressFamily, SocketType, socket};
use rustix::thread::{LinkNameSpaceType, move_into_link_name_space};

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

fn enter(namespace: &File) -> io::Result<()> {
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
