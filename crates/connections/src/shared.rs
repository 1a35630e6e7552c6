//! What is told and remembered at the same time: whoever remembers it shares it with whoever tells it.
//!
//! Owns the two ways of sharing. For how long something is lent is the business of who lends it.

use std::fmt;
use std::ops::Deref;
use std::sync::Arc;

/// Something that is lent for as long as an answer takes, or counted. To count takes longer than to find it, when it is done for
/// each of many connections: it waits for the memory, and for the other processors.
pub enum Shared<'a, T: ?Sized> {
    /// Who lends it keeps it that long.
    Lent(&'a T),
    /// It is kept until nobody has it.
    Counted(Arc<T>),
}

impl<T: ?Sized> Deref for Shared<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        match self {
            Self::Lent(it) => it,
            Self::Counted(it) => it,
        }
    }
}

impl<T: ?Sized> Clone for Shared<'_, T> {
    fn clone(&self) -> Self {
        match self {
            Self::Lent(it) => Self::Lent(it),
            Self::Counted(it) => Self::Counted(Arc::clone(it)),
        }
    }
}

impl<T: ?Sized> From<Arc<T>> for Shared<'_, T> {
    fn from(it: Arc<T>) -> Self {
        Self::Counted(it)
    }
}

/// However they are shared, they are equal when what is shared is.
impl<T: ?Sized + PartialEq> PartialEq for Shared<'_, T> {
    fn eq(&self, other: &Self) -> bool {
        **self == **other
    }
}

impl<T: ?Sized + Eq> Eq for Shared<'_, T> {}

impl<T: ?Sized + fmt::Debug> fmt::Debug for Shared<'_, T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lent_is_what_is_counted() {
        let text = String::from("web");
        let (lent, counted) = (Shared::Lent(text.as_str()), Shared::from(Arc::<str>::from("web")));
        assert_eq!((&lent, &lent.clone()), (&counted, &counted.clone()));
        assert_eq!(format!("{lent:?} {counted:?}"), r#""web" "web""#);
        assert_ne!(lent, Shared::Lent("db"));
    }
}
