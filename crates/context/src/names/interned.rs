//! Each name once in memory, for as long as somebody refers to it.

use std::collections::HashSet;
use std::sync::Arc;

use foldhash::fast::RandomState;

/// Names are looked through when there are so many more than were referred to the last time, or an eighth more.
const UNUSED_MAX: usize = 1024;

/// All names that are referred to, and some that are not any more: at most an eighth as many, or 1024.
#[derive(Debug, Default)]
pub(super) struct Interned {
    names: HashSet<Arc<str>, RandomState>,
    max: usize,
}

impl Interned {
    /// The name, if it is known.
    pub(super) fn known(&self, name: &str) -> Option<&Arc<str>> {
        self.names.get(name)
    }

    /// The one copy of this name.
    pub(super) fn of(&mut self, name: &str) -> Arc<str> {
        if let Some(known) = self.names.get(name) {
            return known.clone();
        }
        if self.names.len() >= self.max {
            self.names.retain(|name| Arc::strong_count(name) > 1);
            self.max = self.names.len() + UNUSED_MAX.max(self.names.len() / 8);
        }
        let name: Arc<str> = name.into();
        self.names.insert(name.clone());
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_in_memory_once() {
        let mut names = Interned::default();
        let one = names.of("one");
        assert!(Arc::ptr_eq(&one, &names.of("one")));
        assert!(names.known("two").is_none());
    }

    #[test]
    fn names_that_nobody_refers_to_do_not_accumulate() {
        let mut names = Interned::default();
        let kept: Vec<_> = (0..1000).map(|number| names.of(&format!("kept-{number}"))).collect();
        for number in 0..100_000 {
            names.of(&format!("gone-{number}"));
        }
        assert!(names.names.len() <= 1000 + UNUSED_MAX, "{}", names.names.len());
        assert!(kept.iter().all(|name| names.known(name).is_some_and(|known| Arc::ptr_eq(known, name))));
    }
}
