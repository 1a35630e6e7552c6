//! One thing that one of several has at a time, and that nobody waits for longer than they want.

use std::ops::{Deref, DerefMut};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Instant;

/// What is lent. A mutex has no waiting with a deadline.
#[derive(Debug)]
pub(super) struct Lending<T> {
    here: Mutex<Option<T>>,
    returned: Condvar,
}

/// It, until this is dropped.
#[derive(Debug)]
pub(super) struct Lent<'a, T> {
    lending: &'a Lending<T>,
    /// Present until the drop.
    it: Option<T>,
}

impl<T> Lending<T> {
    pub(super) fn new(it: T) -> Self {
        Self { here: Mutex::new(Some(it)), returned: Condvar::new() }
    }

    /// It, or nothing if somebody else has it until this time.
    pub(super) fn lend(&self, until: Instant) -> Option<Lent<'_, T>> {
        let mut here = self.here.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(it) = here.take() {
                return Some(Lent { lending: self, it: Some(it) });
            }
            let left = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())?;
            let woken = self.returned.wait_timeout(here, left);
            (here, _) = woken.unwrap_or_else(PoisonError::into_inner);
        }
    }
}

impl<T> Deref for Lent<'_, T> {
    type Target = T;

    fn deref(&self) -> &T {
        self.it.as_ref().expect("it is taken out by the drop alone")
    }
}

impl<T> DerefMut for Lent<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        self.it.as_mut().expect("it is taken out by the drop alone")
    }
}

impl<T> Drop for Lent<'_, T> {
    fn drop(&mut self) {
        let mut here = self.lending.here.lock().unwrap_or_else(PoisonError::into_inner);
        *here = self.it.take();
        drop(here);
        self.lending.returned.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn who_waits_gets_it_when_it_is_returned_and_gives_up_in_time() {
        let lending = Lending::new(1);
        let lent = lending.lend(Instant::now()).expect("it is there");
        assert!(lending.lend(Instant::now() + Duration::from_millis(20)).is_none());
        std::thread::scope(|scope| {
            let waits =
                scope.spawn(|| lending.lend(Instant::now() + Duration::from_secs(10)).map(|it| *it + 1));
            drop(lent);
            assert_eq!(waits.join().expect("it ends"), Some(2));
        });
        assert!(lending.lend(Instant::now()).is_some());
    }
}
