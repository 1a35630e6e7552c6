//! What single tests need of the host beyond what all of them need, and the reason where it lacks that.
//!
//! Judged by facts about the kernel, not by trying: a host that should work and does not, fails. What the tracer itself
//! can do there it says when it has started.

use std::panic::{catch_unwind, resume_unwind};
use std::path::Path;

use collect::{Capability, Support};

use crate::harness::polls_in_all;
use crate::world;

/// Why a test ended that needs what this kernel does not serve.
struct NotServed(String);

/// Ends the test where the tracer asked this kernel for the capability and did not get it.
pub fn served(support: &Support, capability: Capability) {
    let state = support.capabilities.iter().find(|state| state.capability == capability);
    let state = state.expect("every capability has a state");
    if state.served_by.is_none()
        && let Some(degradation) = &state.degradation
    {
        resume_unwind(Box::new(NotServed(format!("not served: {capability}: {degradation}"))));
    }
}

/// Runs the test; the reason if it ended for want of a capability.
pub fn unless_served(test: fn()) -> Option<String> {
    let end = catch_unwind(test).err()?;
    match end.downcast::<NotServed>() {
        Ok(reason) => Some(reason.0),
        Err(other) => resume_unwind(other),
    }
}

/// Programs in the kernel, their maps or what only they tell.
pub fn programs() -> Option<&'static str> {
    polls_in_all().then_some("what is polled has no programs (SOCKEYE_TEST_BACKEND)")
}

/// Programs in the kernel, and a queue that limits the rate of an interface.
pub fn limited_rate() -> Option<&'static str> {
    let queue = || {
        (!kernel_has("tbf_enqueue") && !modules()).then_some("the kernel cannot limit a rate (NET_SCH_TBF)")
    };
    programs().or_else(queue)
}

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
