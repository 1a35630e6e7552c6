//! How many polls may be in flight: a bound per client and one in all.
//!
//! Of one client's polls one is answered at a time; the others wait for it, not long. A place is held from
//! the request until the fate of its answer is known, so the next poll starts from that.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use deltas::{ClientId, Peer};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// Whose polls share a bound: those of one user to one client. So a user who may not use a client cannot
/// take its places either.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PollKey {
    pub(crate) id: ClientId,
    pub(crate) peer: Peer,
}

/// Why a poll is not admitted now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// All places of this client are taken.
    OfClient,
    /// All places are taken.
    InAll,
    /// Another poll of this client took too long.
    WaitedTooLong,
}

/// The places.
#[derive(Debug)]
pub(crate) struct Admission {
    polls_max: usize,
    polls_per_client_max: usize,
    wait_max: Duration,
    taken: Mutex<Taken>,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    by_client: HashMap<PollKey, Line>,
}

/// The polls of one client: the one being answered, and those that wait for it.
#[derive(Debug)]
struct Line {
    length: usize,
    turn: Arc<Semaphore>,
}

/// The right to have one poll answered, until it is dropped.
#[derive(Debug)]
pub(crate) struct Permit {
    // Dropped in this order: whoever is next finds the place free.
    _place: Place,
    _turn: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Place {
    admission: Arc<Admission>,
    key: PollKey,
}

impl Admission {
    pub(crate) fn new(polls_max: usize, polls_per_client_max: usize, wait_max: Duration) -> Arc<Self> {
        Arc::new(Self { polls_max, polls_per_client_max, wait_max, taken: Mutex::default() })
    }

    /// Takes a place, and waits until no other poll of this client is being answered.
    ///
    /// # Errors
    /// [`Crowded`] at once when there is no place, or when the wait took too long.
    pub(crate) async fn admit(self: &Arc<Self>, key: PollKey) -> Result<Permit, Crowded> {
        let (place, turn) = self.take_place(key)?;
        match timeout(self.wait_max, turn.acquire_owned()).await {
            Ok(Ok(turn)) => Ok(Permit { _place: place, _turn: turn }),
            // The semaphore is never closed, so this is the time-out.
            Ok(Err(_)) | Err(_) => Err(Crowded::WaitedTooLong),
        }
    }

    fn take_place(self: &Arc<Self>, key: PollKey) -> Result<(Place, Arc<Semaphore>), Crowded> {
        let mut taken = self.taken();
        if taken.by_client.get(&key).is_some_and(|line| line.length >= self.polls_per_client_max) {
            return Err(Crowded::OfClient);
        }
        if taken.in_all >= self.polls_max {
            return Err(Crowded::InAll);
        }
        taken.in_all += 1;
        let line = taken.by_client.entry(key.clone()).or_insert_with(Line::empty);
        line.length += 1;
        Ok((Place { admission: Arc::clone(self), key }, Arc::clone(&line.turn)))
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Line {
    fn empty() -> Self {
        Self { length: 0, turn: Arc::new(Semaphore::new(1)) }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut taken = self.admission.taken();
        taken.in_all -= 1;
        if let Some(line) = taken.by_client.get_mut(&self.key) {
            line.length -= 1;
            if line.length == 0 {
                taken.by_client.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: Duration = Duration::from_secs(60);

    fn key(id: &str, uid: u32) -> PollKey {
        PollKey { id: ClientId::parse(id).expect("a valid id"), peer: Peer { uid } }
    }

    #[tokio::test]
    async fn a_second_poll_waits_and_a_third_is_refused_at_once() {
        let admission = Admission::new(32, 2, LONG);
        let first = admission.admit(key("a", 0)).await.expect("the first is admitted");
        let mut second = Box::pin(admission.admit(key("a", 0)));
        tokio::select! {
            biased;
            _ = &mut second => panic!("the second has to wait"),
            () = std::future::ready(()) => {}
        }
        let third = admission.admit(key("a", 0)).await;
        assert_eq!(third.err(), Some(Crowded::OfClient));
        assert!(admission.admit(key("a", 1)).await.is_ok(), "another user has places of his own");
        drop(first);
        assert!(second.await.is_ok(), "its turn comes when the first is done");
    }

    #[tokio::test]
    async fn a_wait_ends() {
        let admission = Admission::new(32, 2, Duration::from_millis(5));
        let _first = admission.admit(key("a", 0)).await.expect("the first is admitted");
        for _ in 0..3 {
            let second = timeout(Duration::from_secs(20), admission.admit(key("a", 0))).await;
            let second = second.expect("the wait ends").err();
            assert_eq!(second, Some(Crowded::WaitedTooLong), "and gives its place back");
        }
    }

    #[tokio::test]
    async fn the_places_in_all_are_bounded_and_come_back() {
        let admission = Admission::new(2, 2, LONG);
        let first = admission.admit(key("a", 0)).await;
        let _second = admission.admit(key("b", 0)).await.expect("there is a place");
        assert_eq!(admission.admit(key("c", 0)).await.err(), Some(Crowded::InAll));
        drop(first);
        assert!(admission.admit(key("c", 0)).await.is_ok());
        assert_eq!(admission.taken().in_all, 1);
        assert_eq!(admission.taken().by_client.len(), 1, "an idle client costs nothing");
    }
}
