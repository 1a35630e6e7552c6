//! The network namespaces of the host, as those need them who ask the kernel something in each.
//!
//! Entering a namespace is the caller's business: what is asked for here is a socket in one.

use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;

/// A network namespace that was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Namespace {
    /// Its inode number, by which connections name it. Given again when it is gone.
    pub inode: u32,
    /// A path that leads to it for as long as what holds it there lives.
    pub path: PathBuf,
}

/// Finds namespaces, and opens sockets in them.
pub trait Namespaces: Send + Sync {
    /// All that can be found: those of processes, and those that are mounted. Takes some microseconds for each process.
    fn all(&self) -> Vec<Namespace>;

    /// A netlink socket (`SOCK_RAW`, close on exec, not blocking) of this protocol (`NETLINK_ROUTE`, `NETLINK_NETFILTER`) in
    /// that namespace, and it stays there wherever it is used.
    ///
    /// # Errors
    /// The namespace is gone, or another one has its place; it may not be entered; there is no such protocol.
    fn netlink(&self, namespace: &Namespace, protocol: i32) -> io::Result<OwnedFd>;
}

#[cfg(test)]
pub(crate) mod fixtures {
    //! A host without namespaces.

    use super::*;

    #[derive(Debug)]
    pub(crate) struct Nowhere;

    impl Namespaces for Nowhere {
        fn all(&self) -> Vec<Namespace> {
            Vec::new()
        }

        fn netlink(&self, _: &Namespace, _: i32) -> io::Result<OwnedFd> {
            Err(io::ErrorKind::NotFound.into())
        }
    }
}
