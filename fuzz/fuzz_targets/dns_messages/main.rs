//! Packets of any bytes from and to name servers, over UDP and TCP: nothing panics, every query ends once, and every bound
//! holds.
//!
//! Owns the loop; what the bytes of an input mean is in `packets`, and what must hold is that of the property tests of
//! `context`.

#![no_main]
#![allow(missing_docs, reason = "the entry point that the macro makes has none")]

#[path = "../../../crates/context/tests/fixtures/bounds.rs"]
mod bounds;
mod packets;

use std::sync::Arc;

use context::{Lookups, Names};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|bytes: &[u8]| {
    let limits = bounds::small();
    let names = Arc::new(Names::new(&limits));
    let mut dns = Lookups::new(&limits, names.clone());
    let mut ended = Vec::new();
    for packet in packets::read(bytes) {
        dns.take(&packet, &mut ended);
    }
    let told = u64::try_from(ended.len()).expect("few");
    bounds::check(&dns, &names, &limits, told);
});
