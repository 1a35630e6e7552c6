//! The answers that are being encoded and read, and which of their readers is slow: it gives way when others need
//! what its answer holds.
//!
//! A slow reader holds a place among the polls, a thread, and the memory of its answer. As long as there is enough of
//! that, nobody minds. When there is not, its connection is cut, which loses nothing: what it was told is told again.
//! Who needs what is decided elsewhere.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::admission::Place;
use crate::counts::Counts;
use crate::link::Link;

/// Longest time in which a reader that was cut gives back what its answer held.
pub(crate) const GIVING_WAY: Duration = Duration::from_secs(1);

/// All answers that are being encoded and read.
#[derive(Debug)]
pub(crate) struct Readers {
    /// A reader that has taken nothing for so long, though there was something, is slow.
    slow: Duration,
    counts: Arc<Counts>,
    reading: Mutex<Vec<Weak<Reading>>>,
    gone: Notify,
}

/// One answer that is being encoded and read, as long as somebody holds this.
#[derive(Debug)]
pub(crate) struct Reading {
    link: Arc<Link>,
    pace: Mutex<Pace>,
    readers: Arc<Readers>,
    /// Given back with this, where nobody else holds it.
    _place: Option<Place>,
}

#[derive(Debug, Clone, Copy)]
struct Pace {
    /// When the reader last made room for a chunk.
    took_at: Instant,
    /// True while the reader waits for the encoding, not the other way round.
    waits: bool,
    cut: bool,
}

impl Readers {
    pub(crate) fn new(slow: Duration, counts: Arc<Counts>) -> Arc<Self> {
        Arc::new(Self { slow, counts, reading: Mutex::default(), gone: Notify::new() })
    }

    /// An answer begins to be encoded for the reader at the other end of `link`. Its `place` is held as long as it is read,
    /// unless somebody else holds it.
    pub(crate) fn begin(self: &Arc<Self>, link: Arc<Link>, place: Option<Place>) -> Arc<Reading> {
        let pace = Mutex::new(Pace { took_at: Instant::now(), waits: true, cut: false });
        let reading = Arc::new(Reading { link, pace, readers: Arc::clone(self), _place: place });
        self.reading().push(Arc::downgrade(&reading));
        reading
    }

    /// Cuts the reader that has taken nothing for the longest, if it is slow. True when there is one.
    pub(crate) fn cut_slowest(&self) -> bool {
        let slow = self.slow();
        let slowest = slow.iter().min_by_key(|reading| reading.pace().took_at);
        slowest.inspect(|reading| reading.cut()).is_some()
    }

    /// Cuts all slow readers, and waits until what their answers held is given back. True when there was one.
    pub(crate) async fn make_room(&self) -> bool {
        let deadline = Instant::now() + GIVING_WAY;
        let slow: Vec<Weak<Reading>> = self
            .slow()
            .iter()
            .map(|reading| {
                reading.cut();
                Arc::downgrade(reading)
            })
            .collect();
        if slow.is_empty() {
            return false;
        }
        loop {
            let mut gone = std::pin::pin!(self.gone.notified());
            gone.as_mut().enable();
            if slow.iter().all(|reading| reading.strong_count() == 0)
                || timeout_at(deadline, gone).await.is_err()
            {
                return true;
            }
        }
    }

    fn slow(&self) -> Vec<Arc<Reading>> {
        let now = Instant::now();
        let reading = self.reading().iter().filter_map(Weak::upgrade).collect::<Vec<_>>();
        reading.into_iter().filter(|reading| reading.pace().is_slow(now, self.slow)).collect()
    }

    fn reading(&self) -> MutexGuard<'_, Vec<Weak<Reading>>> {
        self.reading.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Pace {
    fn is_slow(&self, now: Instant, slow: Duration) -> bool {
        !self.waits && !self.cut && now.duration_since(self.took_at) >= slow
    }
}

impl Reading {
    /// The reader has made room for a chunk and got it.
    pub(crate) fn took(&self) {
        let mut pace = self.pace();
        *pace = Pace { took_at: Instant::now(), waits: false, ..*pace };
    }

    /// The reader has room, and there is nothing for it yet.
    pub(crate) fn waits(&self) {
        self.pace().waits = true;
    }

    fn cut(&self) {
        self.pace().cut = true;
        self.readers.counts.answer_gave_way();
        self.link.shut_down();
    }

    fn pace(&self) -> MutexGuard<'_, Pace> {
        self.pace.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Reading {
    fn drop(&mut self) {
        self.readers.reading().retain(|reading| reading.strong_count() > 0);
        self.readers.gone.notify_waiters();
    }
}
