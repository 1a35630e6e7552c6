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

/// What became of an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The other end has read all of it.
    Delivered,
    /// It did not, or that is not known.
    Lost,
    /// A later poll has put an end to it before.
    Superseded,
}

/// Waits for the fate of the answer whose end `flushed` announces: delivered when the other end has read all of it
/// within `limit` from there; lost when `flushed` is dropped, which is how every other ending shows. When it is
/// `superseded` before, its connection is cut, so that what is missing of it shows.
pub(crate) async fn fate(
    link: &Link,
    flushed: oneshot::Receiver<()>,
    limit: Duration,
    superseded: impl Future<Output = ()>,
) -> Fate {
    let mut superseded = std::pin::pin!(superseded);
    tokio::select! {
        biased;
        flushed = flushed => if flushed.is_err() { return Fate::Lost },
        () = superseded.as_mut() => return cut(link),
    }
    let deadline = Instant::now() + limit;
    let mut pause = PAUSE_FIRST;
    loop {
        match link.progress() {
            Progress::Arrived => return Fate::Delivered,
            Progress::Lost => return Fate::Lost,
            Progress::OnItsWay if Instant::now() >= deadline => return Fate::Lost,
            Progress::OnItsWay => {}
        }
        tokio::select! {
            () = sleep(pause) => {}
            () = link.nudged() => {}
            // Who has read it and asks for the next one on another connection keeps this one.
            () = superseded.as_mut() => match link.progress() {
                Progress::Arrived => return Fate::Delivered,
                _ => return cut(link),
            },
        }
        pause = (pause * 2).min(PAUSE_LONGEST);
    }
}

fn cut(link: &Link) -> Fate {
    link.shut_down();
    Fate::Superseded
}
