//! Who is behind a connection, beyond what the kernel side tells with it.
//!
//! Reads `/proc` and answers from bounded caches. Sees no event and no client: `sockeye` asks it, on the thread of the
//! collector, so that the state never waits for a file.

mod cgroups;
mod containers;
mod names;
mod namespaces;
mod nat;
mod proc;
mod processes;

pub use containers::Containers;
pub use names::{DnsCounts, DnsLimits, KnownName, Look, Lookups, Names, NamesCounts};
pub use namespaces::{Namespace, Namespaces};
pub use nat::{
    Heard, HostListing, Looking, NatCounts, NatLimits, TrackedConnection, Translations, read_conntrack,
};
pub use processes::{Looking, ProcessCounts, ProcessSettings, Processes, Scrub};
