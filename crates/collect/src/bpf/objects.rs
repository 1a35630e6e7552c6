//! Which of the two objects of a source is opened: that for kernels since 5.12, or that for older ones.
//!
//! A generated skeleton knows one object only; its names and types are those of both, so it asks here for the bytes.

use std::cell::Cell;

use crate::dialect::Dialect;

thread_local! {
    static OLDEST: Cell<bool> = const { Cell::new(false) };
}

/// As the loader of ELF files wants them.
#[repr(C, align(8))]
struct Aligned<B: ?Sized>(B);

static TRACER: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/tracer_5_8.bpf.o")));
static UDP: &Aligned<[u8]> = &Aligned(*include_bytes!(concat!(env!("OUT_DIR"), "/udp_5_8.bpf.o")));

/// Calls `open`, in which skeletons of this thread open the object of this dialect.
pub(super) fn of<T>(dialect: Dialect, open: impl FnOnce() -> T) -> T {
    OLDEST.set(dialect == Dialect::Oldest);
    let opened = open();
    OLDEST.set(false);
    opened
}

/// The object of TCP.
pub(super) fn tracer(newer: &'static [u8]) -> &'static [u8] {
    if OLDEST.get() { &TRACER.0 } else { newer }
}

/// The object of UDP.
pub(super) fn udp(newer: &'static [u8]) -> &'static [u8] {
    if OLDEST.get() { &UDP.0 } else { newer }
}
