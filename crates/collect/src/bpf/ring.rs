//! The consumer of a ring buffer: records come out decoded.
//!
//! What the records mean, the inbox knows.

use std::cell::{Cell, RefCell};
use std::os::fd::{BorrowedFd, RawFd};
use std::rc::Rc;

use libbpf_rs::{MapMut, RingBuffer, RingBufferBuilder};

use crate::error::CollectError;
use crate::inbox::{Inbox, Intake};
use crate::payloads::PayloadInbox;
use crate::processes::ProcessInbox;

/// At most this many records are taken from the ring at once: as many as a reading's chunk has.
const DRAIN_RECORDS: usize = 128;

/// A drain ends after this many takes though more keeps coming: as much as a ring of 32 MiB holds of closed connections.
const DRAIN_TAKES: usize = 1024;

/// What the kernel puts before each record in the ring.
const HEADER_BYTES: u64 = 8;

/// Final records of connections.
pub(crate) type ClosedRecords<'a> = Ring<'a, Inbox>;

/// What processes did.
pub(crate) type ProcessRecords<'a> = Ring<'a, ProcessInbox>;

/// Messages from and to name servers.
pub(crate) type PayloadRecords<'a> = Ring<'a, PayloadInbox>;

/// The consumer of one ring buffer.
pub(crate) struct Ring<'a, I> {
    ring: RingBuffer<'a>,
    name: &'static str,
    inbox: &'a RefCell<I>,
    /// Bytes that the running drain has taken, and the most that one has.
    drained_bytes: Rc<Cell<u64>>,
    most_bytes: Cell<u64>,
}

impl<'a, I: Intake> Ring<'a, I> {
    /// Consumes the ring `map`, which is called `name`, into `inbox`.
    pub(super) fn of(
        name: &'static str,
        map: &'a MapMut<'_>,
        inbox: &'a RefCell<I>,
    ) -> Result<Self, CollectError> {
        let failed = |source| CollectError::Map { operation: "consume", map: name, source };
        let mut builder = RingBufferBuilder::new();
        let drained_bytes = Rc::new(Cell::new(0));
        let drained = Rc::clone(&drained_bytes);
        let take_in = move |bytes: &[u8]| {
            drained.set(drained.get() + HEADER_BYTES + u64::try_from(bytes.len()).unwrap_or(0));
            inbox.borrow_mut().take_in(bytes);
            0
        };
        builder.add(map, take_in).map_err(failed)?;
        let ring = builder.build().map_err(failed)?;
        Ok(Self { ring, name, inbox, drained_bytes, most_bytes: Cell::new(0) })
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
    pub(crate) fn drain(&self, mut events: impl FnMut(Vec<I::Event>)) -> Result<u64, CollectError> {
        self.drained_bytes.set(0);
        for _ in 0..DRAIN_TAKES {
            let taken = self.ring.consume_raw_n(DRAIN_RECORDS);
            let Ok(taken) = usize::try_from(taken) else {
                let source = libbpf_rs::Error::from_raw_os_error(-taken);
                return Err(CollectError::Map { operation: "consume", map: self.name, source });
            };
            let batch = self.inbox.borrow_mut().take();
            if !batch.is_empty() {
                events(batch);
            }
            if taken < DRAIN_RECORDS {
                break;
            }
        }
        self.most_bytes.set(self.most_bytes.get().max(self.drained_bytes.get()));
        Ok(self.inbox.borrow_mut().take_malformed())
    }

    /// The most bytes that one drain has taken out: about as many as were in the ring at once.
    pub(crate) fn most_bytes(&self) -> u64 {
        self.most_bytes.get()
    }
}
