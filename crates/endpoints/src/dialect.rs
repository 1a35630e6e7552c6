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
        if path.starts_with("/network_tracer/") { Dialect::Reference } else { Dialect::Native }
    }
}
