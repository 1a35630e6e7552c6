//! Taking an entry out of a hash.

use libbpf_rs::{MapCore, MapFlags};

/// Reads and deletes the entry; `None` when there is none. At once where the kernel can (since 5.14), otherwise one after the
/// other: so only for entries that are not written any more.
pub(super) fn take_out(map: &impl MapCore, key: &[u8]) -> libbpf_rs::Result<Option<Vec<u8>>> {
    if let Ok(taken) = map.lookup_and_delete(key) {
        return Ok(taken);
    }
    let value = map.lookup(key, MapFlags::ANY)?;
    if value.is_some() {
        map.delete(key)?;
    }
    Ok(value)
}
