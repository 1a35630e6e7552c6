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
    /// It was not in the socket in time.
    TooSlow,
}

/// Waits until all of the answer is in the socket, which `flushed` tells. It is dropped where that does not come to pass,
/// which is how every other ending shows. When the answer is `superseded` before, or takes longer than `limit`, its connection
/// is cut, so that what is missing of it shows.
///
/// # Errors
/// Its fate, when it is decided before.
pub(crate) async fn sent(
    link: &Link,
    flushed: oneshot::Receiver<()>,
    limit: Duration,
    superseded: impl Future<Output = ()>,
) -> Result<(), Fate> {
    tokio::select! {
        biased;
        flushed = flushed => flushed.map_err(|_| Fate::Lost),
        () = superseded => Err(cut(link, Fate::Superseded)),
        () = sleep(limit) => Err(cut(link, Fate::TooSlow)),
    }
}

/// Waits for the fate of an answer that is in the socket: delivered when the other end has read all of it within `limit`.
/// When it is `superseded` before, its connection is cut.
pub(crate) async fn read(
    link: &Link,
    limit: Duration,
    mut superseded: std::pin::Pin<&mut impl Future<Output = ()>>,
) -> Fate {
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
                _ => return cut(link, Fate::Superseded),
            },
        }
        pause = (pause * 2).min(PAUSE_LONGEST);
    }
}

fn cut(link: &Link, fate: Fate) -> Fate {
    link.shut_down();
    fate
}
