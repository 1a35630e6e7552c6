//! Who is behind a connection, beyond what the kernel side tells with it.
//!
//! Reads `/proc`, asks the kernel, and answers from bounded caches. Sees no client: `sockeye` asks it, so that the state
//! never waits for a file or for the kernel.

mod address_bits;
mod annotator;
mod batch;
mod by_use;
mod cgroups;
mod containers;
mod ends;
#[cfg(test)]
#[path = "../tests/fixtures/connections.rs"]
mod fixtures;
mod lent;
mod names;
mod namespaces;
mod nat;
mod proc;
mod processes;
mod routes;

pub use annotator::{Annotator, Context, ContextCounts, ContextSettings};
pub use containers::Containers;
pub use ends::{EndCounts, EndLimits, Ends, Found};
pub use names::{DnsCounts, DnsLimits, KnownName, Lookups, Names, NamesCounts};
pub use namespaces::{Namespace, Namespaces};
pub use nat::{Heard, HostListing, NatCounts, NatLimits, TrackedConnection, Translations, read_conntrack};
pub use processes::{ProcessCounts, ProcessSettings, Processes, Scrub};
pub use routes::{RouteCounts, RouteLimits, Routes};
