//! The role of the test binary that tells how this kernel serves each capability, for `cargo x test --kernels`.
//!
//! It loads everything, also what is loaded only on request, and judges nothing.

use std::ops::ControlFlow;

use collect::{CollectLimits, Collector, PassRequests};

pub const ROLE: &str = "support";

/// One line for each capability: its name, the hook that serves it or nothing, and what is missing, with a tab between.
pub fn main() {
    let requests = PassRequests::new().expect("descriptors are left");
    let limits = CollectLimits { follow_attempts: true, follow_dns_tcp: true, ..CollectLimits::default() };
    let collector = match Collector::start(limits, &requests, |_| ControlFlow::Continue(())) {
        Ok(collector) => collector,
        Err(error) => {
            println!("the tracer does not start: {error:?}");
            std::process::exit(1);
        }
    };
    for state in &collector.support().capabilities {
        let absent = state.degradation.as_deref().unwrap_or_default().replace(['\t', '\n'], " ");
        println!("{}\t{}\t{absent}", state.capability, state.served_by.unwrap_or_default());
    }
}
