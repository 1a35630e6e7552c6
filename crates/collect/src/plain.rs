//! Structs that cross between the kernel side and here, as bytes and back.
//!
//! Checks lengths only: what the numbers mean is for `record` and `rollup`.

use crate::bpf::process_types::process_record;
use crate::bpf::types::{
    connection_record, datagram_record, kernel_counts, orders, rollup, rollup_key, tcp_audit,
    unchanged_record,
};
use crate::bpf::udp_types::{payload_record, udp_audit};

/// Made of integers without padding: every byte is initialized, and every pattern of bits is a value.
///
/// # Safety
/// The type must be so.
#[expect(unsafe_code, reason = "the generated types have no safe conversion from and to bytes")]
pub(crate) unsafe trait Plain: Default {}

macro_rules! plain {
    ($($name:ident: $bytes:literal),*) => {
        $(
            const _: () = assert!(size_of::<$name>() == $bytes, "as in record.h, process_record.h and maps.h");
            // SAFETY: integers and arrays and structs of integers; the C side asserts that the size, which is
            // the same here, has no padding in it.
            #[expect(unsafe_code, reason = "the trait promises it")]
            unsafe impl Plain for $name {}
        )*
    };
}

plain!(
    connection_record: 256, datagram_record: 256, unchanged_record: 256, rollup_key: 24, rollup: 752, orders: 40,
    kernel_counts: 200, tcp_audit: 24, udp_audit: 24, payload_record: 88, process_record: 48
);

/// The struct of these bytes; `None` when there are more or fewer than it has.
pub(crate) fn from_bytes<T: Plain>(bytes: &[u8]) -> Option<T> {
    if bytes.len() != size_of::<T>() {
        return None;
    }
    // SAFETY: the length was checked, the read need not be aligned, and all patterns of bits are values.
    #[expect(unsafe_code, reason = "the generated type has no safe conversion from bytes")]
    Some(unsafe { std::ptr::read_unaligned(bytes.as_ptr().cast::<T>()) })
}

/// The bytes of the struct.
pub(crate) fn to_bytes<T: Plain>(value: &T) -> &[u8] {
    // SAFETY: the bytes are those of one value that is borrowed for as long, and all are initialized.
    #[expect(unsafe_code, reason = "the generated type has no safe conversion to bytes")]
    unsafe {
        std::slice::from_raw_parts(std::ptr::from_ref(value).cast::<u8>(), size_of::<T>())
    }
}
