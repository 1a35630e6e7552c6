//! The consumer of the ring buffer, through which final records come.

use std::cell::RefCell;
use std::os::fd::{BorrowedFd, RawFd};

use connections::Event;
use libbpf_rs::{MapMut, RingBuffer, RingBufferBuilder};

use crate::error::CollectError;
use crate::inbox::Inbox;

/// At most this many closed records are taken from the ring at once: as many as a reading's chunk has.
const DRAIN_RECORDS: usize = 128;

/// A drain ends after this many takes though more keeps coming: as much as a ring of 32 MiB holds.
const DRAIN_TAKES: usize = 1024;

/// The consumer of the ring buffer: closed records come out decoded.
pub(crate) struct ClosedRecords<'a> {
    ring: RingBuffer<'a>,
    inbox: &'a RefCell<Inbox>,
}

impl<'a> ClosedRecords<'a> {
    /// Consumes `ring` into `inbox`.
    pub(super) fn of(ring: &'a MapMut<'_>, inbox: &'a RefCell<Inbox>) -> Result<Self, CollectError> {
        let failed = |source| CollectError::Map { operation: "consume", map: "closed_records", source };
        let mut builder = RingBufferBuilder::new();
        let take_in = |bytes: &[u8]| {
            inbox.borrow_mut().take_in(bytes);
            0
        };
        builder.add(ring, take_in).map_err(failed)?;
        Ok(Self { ring: builder.build().map_err(failed)?, inbox })
    }

    /// Readable when the kernel wants the ring drained.
    pub(crate) fn descriptor(&self) -> BorrowedFd<'_> {
        let descriptor: RawFd = self.ring.epoll_fd();
        // SAFETY: the ring owns the descriptor and lives as long as the borrow.
        #[expect(unsafe_code, reason = "libbpf gives the descriptor as a number")]
        unsafe {
            BorrowedFd::borrow_raw(descriptor)
        }
    }

    /// Takes out what the ring holds, in order; answers how many records could not be decoded.
    pub(crate) fn drain(&self, mut events: impl FnMut(Vec<Event>)) -> Result<u64, CollectError> {
        for _ in 0..DRAIN_TAKES {
            let taken = self.ring.consume_raw_n(DRAIN_RECORDS);
            let Ok(taken) = usize::try_from(taken) else {
                let source = libbpf_rs::Error::from_raw_os_error(-taken);
                return Err(CollectError::Map { operation: "consume", map: "closed_records", source });
            };
            let batch = self.inbox.borrow_mut().take();
            if !batch.is_empty() {
                events(batch);
            }
            if taken < DRAIN_RECORDS {
                break;
            }
        }
        Ok(self.inbox.borrow_mut().take_malformed())
    }
}
