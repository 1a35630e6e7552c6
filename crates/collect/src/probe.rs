//! Trying what this kernel takes: everything is loaded, attached and adopted into, and then given back.
//!
//! Its programs and maps are its own, so that a tracer that runs beside it notices nothing but their runs.

use crate::bpf::{Programs, Storage};
use crate::collector::Support;
use crate::error::CollectError;
use crate::polling::{self, ASKED_FOR};
use crate::{Backend, CollectLimits};

/// What the kernel took.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Probed {
    /// How each capability would be served.
    pub support: Support,
    /// Each map, and the bytes of kernel memory that it took, as the kernel tells them.
    pub map_bytes: Vec<(String, u64)>,
}

/// Tries with these limits. Takes about as long as a start, and nothing is attached any more when it returns.
///
/// # Errors
/// [`CollectError`] when tracing could not start.
pub fn probe(limits: CollectLimits) -> Result<Probed, CollectError> {
    let polled =
        |reason: &str| Ok(Probed { support: polling::tried(limits, reason)?, map_bytes: Vec::new() });
    if limits.backend == Backend::Polling {
        return polled(ASKED_FOR);
    }
    let mut storage = Storage::empty();
    let mut programs = match Programs::start(&mut storage, limits) {
        Ok(programs) => programs,
        Err(error) if limits.backend == Backend::Auto => return polled(&error.to_string()),
        Err(error) => return Err(error),
    };
    programs.adopt(|_| ())?;
    Ok(Probed { support: programs.support(), map_bytes: programs.maps()?.memory() })
}
