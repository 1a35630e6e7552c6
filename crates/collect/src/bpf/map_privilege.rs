//! Whether this kernel asks for a privilege at each access to a map, or only where one is made.

use libbpf_rs::{MapCore, MapFlags, MapHandle, MapType};
use rustix::thread::{CapabilitySet, capabilities, set_capabilities};

/// True on kernels before 5.19 where `kernel.unprivileged_bpf_disabled` is set: every call of bpf(2) then takes `CAP_BPF`
/// (commit c8644cd0efe7). Tried with a map of one entry, while this thread does without its privileges. Where it cannot be
/// tried, true.
pub(crate) fn maps_take_privilege() -> bool {
    let options = libbpf_sys::bpf_map_create_opts {
        sz: libbpf_sys::size_t::try_from(size_of::<libbpf_sys::bpf_map_create_opts>()).unwrap_or_default(),
        ..Default::default()
    };
    let Ok(map) = MapHandle::create(MapType::Array, Some("sockeye_probe"), 4, 4, 1, &options) else {
        return true;
    };
    let Ok(held) = capabilities(None) else { return true };
    let without = rustix::thread::CapabilitySets { effective: CapabilitySet::empty(), ..held };
    if set_capabilities(None, without).is_err() {
        return true;
    }
    let read = map.lookup(&0u32.to_ne_bytes(), MapFlags::ANY);
    // What was effective was permitted, and still is.
    let restored = set_capabilities(None, held);
    read.is_err() || restored.is_err()
}
