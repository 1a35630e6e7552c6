//! Giving up privileges, for good: of the calling thread and of those that it starts from then on.
//!
//! Which ones are kept is the caller's business.

use rustix::io::Errno;
use rustix::thread::{
    CapabilitySet, CapabilitySets, capabilities, capability_is_in_bounding_set, clear_ambient_capability_set,
    remove_capability_from_bounding_set, set_capabilities, set_no_new_privs,
};

use super::Privileges;

/// Numbers that capabilities can have.
const NUMBERS: u32 = 64;

/// Privileges could not be given up.
#[derive(Debug, thiserror::Error)]
#[error("cannot {operation}: the privileges of the thread stay as they are")]
pub struct RelinquishError {
    /// What was tried.
    operation: &'static str,
    /// Why.
    source: std::io::Error,
}

/// Leaves the calling thread, and whatever it starts, no capabilities but those of `kept` that it has, and no way to others:
/// the inheritable, ambient and bounding sets are emptied, and `no_new_privs` is set. Other threads are not touched: to be
/// called before they start. Emptying the bounding set takes `CAP_SETPCAP`; without it that set stays, and gives nothing any
/// more to a process that may have no new privileges.
///
/// # Errors
/// The kernel refuses, which it does for no process that may give up what it has.
pub fn relinquish(kept: Privileges) -> Result<(), RelinquishError> {
    let failed = |operation| move |error: Errno| RelinquishError { operation, source: error.into() };
    set_no_new_privs(true).map_err(failed("set no_new_privs"))?;
    clear_ambient_capability_set().map_err(failed("empty the ambient set"))?;
    let held = capabilities(None).map_err(failed("read the capabilities"))?;
    if held.effective.contains(CapabilitySet::SETPCAP) {
        empty_bounding_set().map_err(failed("empty the bounding set"))?;
    }
    let left = held.permitted & kept.0;
    let sets = CapabilitySets { effective: left, permitted: left, inheritable: CapabilitySet::empty() };
    set_capabilities(None, sets).map_err(failed("set the capabilities"))
}

fn empty_bounding_set() -> Result<(), Errno> {
    for number in 0..NUMBERS {
        let one = CapabilitySet::from_bits_retain(1 << number);
        match capability_is_in_bounding_set(one) {
            Ok(true) => remove_capability_from_bounding_set(one)?,
            Ok(false) => {}
            // There are no higher ones on this kernel.
            Err(Errno::INVAL) => break,
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Privilege;

    #[test]
    fn a_thread_keeps_what_it_is_to_keep_and_its_parent_everything() {
        let before = capabilities(None).expect("the kernel tells");
        let own = move || {
            relinquish(Privileges::none().with(Privilege::SysPtrace)).expect("everybody may");
            let of_child = std::thread::spawn(|| capabilities(None).expect("the kernel tells"));
            (std::fs::read_to_string("/proc/thread-self/status"), of_child.join())
        };
        let (status, of_child) = std::thread::spawn(own).join().expect("it does not panic");
        let status = status.expect("proc is mounted");
        let field = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name)).expect("it has the field");
            u64::from_str_radix(line.trim(), 16).expect("it is a number")
        };
        let left = before.permitted & CapabilitySet::SYS_PTRACE;
        assert_eq!((field("CapPrm:"), field("CapEff:")), (left.bits(), left.bits()));
        assert_eq!((field("CapInh:"), field("CapAmb:"), field("NoNewPrivs:")), (0, 0, 1));
        if before.effective.contains(CapabilitySet::SETPCAP) {
            assert_eq!(field("CapBnd:"), 0);
        }
        assert_eq!(of_child.expect("it does not panic").permitted, left);
        assert_eq!(capabilities(None).expect("the kernel tells"), before);
    }
}
