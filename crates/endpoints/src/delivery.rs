//! What became of an answer: a poll acknowledges itself only when the other end has read all of it.
//!
//! Delivered means: the encoding was streamed to its end, hyper has written everything into the socket, the
//! socket's queue is empty and no error is on it. Everything else, a doubt included, is not delivered: then
//! the same news is told again, which loses nothing.

use std::time::Duration;

use tokio::sync::oneshot;
use tokio::time::{Instant, sleep};

use crate::link::{Link, Progress};

/// First and longest pause between two looks at the socket's queue: the kernel does not tell when the other
/// end has read it.
const PAUSE_FIRST: Duration = Duration::from_millis(1);
const PAUSE_LONGEST: Duration = Duration::from_millis(50);

/// Waits for the fate of the answer whose end `flushed` announces. True when the other end has read all of it
/// within `limit` from there; false when `flushed` is dropped, which is how every other ending shows.
pub(crate) async fn delivered(link: &Link, flushed: oneshot::Receiver<()>, limit: Duration) -> bool {
    if flushed.await.is_err() {
        return false;
    }
    let deadline = Instant::now() + limit;
    let mut pause = PAUSE_FIRST;
    loop {
        match link.progress() {
            Progress::Arrived => return true,
            Progress::Lost => return false,
            Progress::OnItsWay if Instant::now() >= deadline => return false,
            Progress::OnItsWay => {}
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = link.nudged() => {}
        }
        pause = (pause * 2).min(PAUSE_LONGEST);
    }
}
