//! How much memory the answers take that are being encoded and sent.
//!
//! Answers that were made at one moment share most of it: of two, one has news of all that the other has, and more.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Weak};

/// The memory of all answers in flight, in bytes, and its limit.
#[derive(Debug)]
pub(crate) struct InFlight {
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
    /// Of the newest moment.
    moment: u64,
    shared: Weak<Part>,
}

/// Memory of one answer, or of several that share it. It is given back with the last of them, on whatever thread that is.
#[derive(Debug)]
struct Part {
    all: Arc<AtomicUsize>,
    bytes: AtomicUsize,
}

/// What one answer takes. It is given back when this is dropped.
#[derive(Debug)]
pub struct Share {
    _own: Part,
    _shared: Arc<Part>,
}

impl InFlight {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes: Arc::default(), bytes_max, moment: 0, shared: Weak::new() }
    }

    /// Takes so much for an answer alone, and so much that it shares with the others of this moment, unless the limit
    /// forbids it. One answer at a time is always possible, however large.
    pub(crate) fn take(&mut self, own: usize, moment: u64, shared: usize) -> Option<Share> {
        let of_moment = self.shared.upgrade().filter(|_| self.moment == moment);
        let known = of_moment.as_ref().map_or(0, |part| part.bytes.load(Ordering::Relaxed));
        let more = shared.saturating_sub(known);
        let taken = self.bytes();
        // Others only give back meanwhile.
        if taken > 0 && taken.saturating_add(own).saturating_add(more) > self.bytes_max {
            return None;
        }
        let part = of_moment.unwrap_or_else(|| Arc::new(Part::new(&self.bytes, 0)));
        part.grow(more);
        (self.moment, self.shared) = (moment, Arc::downgrade(&part));
        Some(Share { _own: Part::new(&self.bytes, own), _shared: part })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Part {
    fn new(all: &Arc<AtomicUsize>, bytes: usize) -> Self {
        let part = Self { all: Arc::clone(all), bytes: AtomicUsize::new(0) };
        part.grow(bytes);
        part
    }

    fn grow(&self, more: usize) {
        self.bytes.fetch_add(more, Ordering::Relaxed);
        self.all.fetch_add(more, Ordering::Relaxed);
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        self.all.fetch_sub(*self.bytes.get_mut(), Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_answers_of_one_moment_share_counts_once() {
        let mut in_flight = InFlight::new(100);
        let first = in_flight.take(1, 7, 60).expect("the first is always possible");
        let second = in_flight.take(1, 7, 50).expect("it shares all that is large");
        assert_eq!(in_flight.bytes(), 62);
        let third = in_flight.take(1, 7, 70).expect("10 more");
        assert_eq!(in_flight.bytes(), 73);
        assert!(in_flight.take(1, 8, 50).is_none(), "of another moment");
        assert!(in_flight.take(30, 7, 0).is_none());
        drop((first, third));
        assert_eq!(in_flight.bytes(), 71, "what is shared stays with the last");
        drop(second);
        assert_eq!(in_flight.bytes(), 0);
        assert!(in_flight.take(1000, 9, 1000).is_some(), "alone");
    }
}
