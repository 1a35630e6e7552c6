//! Translations of addresses, as the kernel makes them between network namespaces: a client, a router and a server.
//!
//! The tests need root. Each has namespaces of its own, and sees no others.

mod absent;
mod cost;
mod found;
mod namespaces;
#[path = "../../../sockeye/tests/fixtures/not_run.rs"]
#[allow(unreachable_pub, reason = "it belongs to other tests too")]
mod not_run;
mod repaired;
#[path = "../../../sockeye/tests/fixtures/routed.rs"]
#[allow(missing_docs, unreachable_pub, reason = "it belongs to other tests too")]
mod routed;
mod router;
#[path = "../../../sockeye/tests/fixtures/world.rs"]
#[allow(dead_code, missing_docs, unreachable_pub, reason = "it belongs to other tests too")]
mod world;
