//! How much memory the answers take that are being encoded and sent.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The memory of all answers in flight, in bytes, and its limit.
#[derive(Debug)]
pub(crate) struct InFlight {
    bytes: Arc<AtomicUsize>,
    bytes_max: usize,
}

/// The part of one answer. It is given back when it is dropped, on whatever thread that happens.
#[derive(Debug)]
pub struct Share {
    all: Arc<AtomicUsize>,
    bytes: usize,
}

impl InFlight {
    pub(crate) fn new(bytes_max: usize) -> Self {
        Self { bytes: Arc::default(), bytes_max }
    }

    /// Takes so much, unless the limit forbids it. One answer at a time is always possible, however large.
    pub(crate) fn take(&self, bytes: usize) -> Option<Share> {
        let taken = self.bytes.load(Ordering::Relaxed);
        if taken > 0 && taken.saturating_add(bytes) > self.bytes_max {
            return None;
        }
        // Others only give back meanwhile.
        self.bytes.fetch_add(bytes, Ordering::Relaxed);
        Some(Share { all: Arc::clone(&self.bytes), bytes })
    }

    pub(crate) fn bytes(&self) -> usize {
        self.bytes.load(Ordering::Relaxed)
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.all.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}
