//! What single tests need of the host beyond what all of them need, and the reason where it lacks that.
//!
//! Judged by facts about the kernel, not by trying: a host that should work and does not, fails.

use std::path::Path;

use crate::world;

/// Rules of nftables that answer with resets and ICMP.
pub fn packet_filter() -> Option<&'static str> {
    if !world::runs("nft") {
        return Some("nftables is missing");
    }
    (!kernel_has("nf_reject") && !modules()).then_some("the kernel has no packet filter")
}

/// `ss -K`.
pub fn socket_destruction() -> Option<&'static str> {
    (!kernel_has("tcp_diag_destroy")).then_some("the kernel cannot destroy sockets (INET_DIAG_DESTROY)")
}

/// `io_uring` for everybody.
pub fn io_uring() -> Option<&'static str> {
    let off = std::fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    if off.trim() == "2" {
        return Some("io_uring is switched off");
    }
    (!kernel_has("__x64_sys_io_uring_setup") && !kernel_has("__arm64_sys_io_uring_setup"))
        .then_some("the kernel has no io_uring")
}

/// MPTCP, on by default in new namespaces.
pub fn mptcp() -> Option<&'static str> {
    (!Path::new("/proc/sys/net/mptcp/enabled").exists()).then_some("the kernel has no MPTCP")
}

/// Python, whose threads can end on their own.
pub fn python() -> Option<&'static str> {
    (!world::runs("python3")).then_some("python3 is missing")
}

/// NFS, whose client asks over UDP from sockets of the kernel's own.
pub fn nfs() -> Option<&'static str> {
    let known = std::fs::read_to_string("/proc/filesystems").unwrap_or_default();
    let module = || {
        let release = rustix::system::uname().release().to_string_lossy().into_owned();
        Path::new(&format!("/lib/modules/{release}/kernel/fs/nfs")).exists()
    };
    (!known.contains("\tnfs\n") && !module()).then_some("the kernel has no NFS")
}

/// True when the kernel has a function whose name begins so.
fn kernel_has(function: &str) -> bool {
    let symbols = std::fs::read_to_string("/proc/kallsyms").unwrap_or_default();
    symbols.lines().filter_map(|line| line.split(' ').nth(2)).any(|name| name.starts_with(function))
}

/// True when what the kernel lacks may come as a module.
fn modules() -> bool {
    Path::new("/lib/modules").exists()
}
