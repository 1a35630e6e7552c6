//! The changed connections of an answer, one after the other.

use crate::delta::Change;

/// Live and closed connections that changed, each once.
#[derive(Debug, Clone, Default)]
pub struct Changes(Vec<Change>);

impl Changes {
    /// Each of them. The order is the same every time, and means nothing.
    pub fn iter(&self) -> impl Iterator<Item = Change> {
        self.0.iter().copied()
    }

    /// How many they are. Looks at all of them.
    #[must_use]
    pub fn count(&self) -> usize {
        self.iter().count()
    }
}

impl From<Vec<Change>> for Changes {
    fn from(changes: Vec<Change>) -> Self {
        Self(changes)
    }
}
