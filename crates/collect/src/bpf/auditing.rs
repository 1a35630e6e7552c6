//! Reading one network namespace for an audit: its sockets, and what the kernel counted in it.

use std::os::unix::fs::MetadataExt;
use std::path::Path;

use connections::{KernelSums, NamespaceReading};
use libbpf_rs::{Link, MapCore, MapFlags};

use super::adoption::in_namespace;
use super::iterate::read_all;
use super::programs::Programs;
use crate::error::CollectError;
use crate::kernel_sums::kernel_sums;
use crate::namespaces;
use crate::plain::{Plain, from_bytes, to_bytes};

impl Programs<'_> {
    /// Reads a namespace before the pass of an audit: its sockets are counted, and those that nobody follows get a slot.
    /// `None` when it has ended; the inner error tells why it cannot be read.
    ///
    /// # Errors
    /// The thread cannot return from the namespace, and must not go on.
    pub(crate) fn audit_before(
        &self,
        path: &Path,
    ) -> Result<Result<Option<NamespaceReading>, String>, CollectError> {
        let read = || {
            let before = self.comparable(kernel_sums()?);
            let tcp = self.audit_tcp()?;
            Ok(NamespaceReading {
                netns: std::fs::metadata("/proc/thread-self/ns/net").map_or(0, |own| low_half(own.ino())),
                cookie: namespaces::own_cookie(),
                before,
                tcp_sockets: tcp.sockets,
                tcp_missing: tcp.missing,
                tcp_found: tcp.found,
                ..NamespaceReading::default()
            })
        };
        in_namespace(path, read)
    }

    /// Reads the same namespace after that pass. Another one that has its name by now does not count.
    ///
    /// # Errors
    /// As [`Programs::audit_before`].
    pub(crate) fn audit_after(
        &self,
        path: &Path,
        reading: NamespaceReading,
    ) -> Result<Result<Option<NamespaceReading>, String>, CollectError> {
        let read = || {
            // What waits comes before the counters: what is read between the two is in both, and not missing.
            if namespaces::own_cookie() != reading.cookie {
                return Ok(None);
            }
            let udp = self.audit_udp()?;
            Ok(Some(NamespaceReading {
                after: self.comparable(kernel_sums()?),
                udp_sockets: udp.sockets,
                udp_tunnels: udp.tunnels,
                udp_waiting: udp.waiting,
                ..reading
            }))
        };
        Ok(in_namespace(path, read)?.map(Option::flatten))
    }

    /// Without what is not followed. What was received can only be compared where it is known what waits.
    fn comparable(&self, sums: KernelSums) -> KernelSums {
        let (sent, received) = self.audits_udp();
        KernelSums {
            udp_sent: if sent { sums.udp_sent } else { 0 },
            udp_received: if received { sums.udp_received } else { 0 },
            ..sums
        }
    }
}

/// Counts with an iterator from nothing.
pub(super) fn count_anew<T: Plain>(
    (hook, link): (&'static str, &Link),
    map: &'static str,
    counts: &impl MapCore,
) -> Result<T, CollectError> {
    let failed = |operation| move |source| CollectError::Map { operation, map, source };
    let zero = 0u32.to_ne_bytes();
    counts.update(&zero, to_bytes(&T::default()), MapFlags::ANY).map_err(failed("write"))?;
    read_all(link, hook, |_| ())?;
    let counted = counts.lookup(&zero, MapFlags::ANY).map_err(failed("read"))?;
    Ok(counted.and_then(|bytes| from_bytes(&bytes)).unwrap_or_default())
}

/// Namespace inodes have 32 bits.
fn low_half(inode: u64) -> u32 {
    u32::try_from(inode).unwrap_or(0)
}
