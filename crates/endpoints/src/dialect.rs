//! Whose rules an answer follows.

/// Whose rules an answer follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// Our own.
    Native,
    /// The reference system's.
    Reference,
}

impl Dialect {
    /// The dialect of a path.
    pub(crate) fn of(path: &str) -> Self {
        let of_reference = ["/network_tracer/", "/debug/"].iter().any(|start| path.starts_with(start));
        match of_reference || ["/config", "/telemetry"].contains(&path) {
            true => Dialect::Reference,
            false => Dialect::Native,
        }
    }
}
