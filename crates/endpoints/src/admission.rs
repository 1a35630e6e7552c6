//! How many polls and listings may be in flight or wait: a bound per client and user, and one in all.
//!
//! A place is held from the request until the fate of its answer is known; the place among all only until the answer is
//! in the socket, where it holds nothing that others could need. Which of a client's polls is answered when is not decided
//! here.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use deltas::{ClientId, Peer};
use tokio::sync::Notify;
use tokio::time::{Instant, timeout_at};

use crate::readers::{GIVING_WAY, Readers};

/// Whose requests share a bound: those of one user to one client. So a user who may not use a client cannot
/// take its places either.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) struct PlaceKey {
    /// Absent for what is of no client.
    pub(crate) client: Option<ClientId>,
    pub(crate) peer: Peer,
}

/// Why there is no place for a poll now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Crowded {
    /// All places of this client are taken.
    OfClient,
    /// All places are taken.
    InAll,
    /// Another poll of this client took too long.
    WaitedTooLong,
    /// The answers on their way take as much memory as they may.
    AnswersTooLarge,
}

/// The places.
#[derive(Debug)]
pub(crate) struct Admission {
    polls_max: usize,
    polls_per_client_max: usize,
    taken: Mutex<Taken>,
    freed: Notify,
}

#[derive(Debug, Default)]
struct Taken {
    in_all: usize,
    by_client: HashMap<PlaceKey, usize>,
}

/// The right to have one poll answered, until it is dropped.
#[derive(Debug)]
pub(crate) struct Place {
    admission: Arc<Admission>,
    key: PlaceKey,
    among_all: bool,
}

impl Admission {
    pub(crate) fn new(polls_max: usize, polls_per_client_max: usize) -> Arc<Self> {
        Arc::new(Self { polls_max, polls_per_client_max, taken: Mutex::default(), freed: Notify::new() })
    }

    /// Takes a place. Where all are taken, one whose reader is slow gives way.
    ///
    /// # Errors
    /// [`Crowded`] when there is none, and no reader is slow.
    pub(crate) async fn admit_before_slow(
        self: &Arc<Self>,
        key: PlaceKey,
        readers: &Readers,
    ) -> Result<Place, Crowded> {
        let deadline = Instant::now() + GIVING_WAY;
        loop {
            let mut freed = std::pin::pin!(self.freed.notified());
            freed.as_mut().enable();
            match self.admit(key.clone()) {
                Err(Crowded::InAll) if readers.cut_slowest() => {
                    timeout_at(deadline, freed).await.map_err(|_| Crowded::InAll)?;
                }
                admitted => return admitted,
            }
        }
    }

    /// Takes a place.
    ///
    /// # Errors
    /// [`Crowded`] when there is none.
    pub(crate) fn admit(self: &Arc<Self>, key: PlaceKey) -> Result<Place, Crowded> {
        let mut taken = self.taken();
        if taken.by_client.get(&key).is_some_and(|places| *places >= self.polls_per_client_max) {
            return Err(Crowded::OfClient);
        }
        if taken.in_all >= self.polls_max {
            return Err(Crowded::InAll);
        }
        taken.in_all += 1;
        *taken.by_client.entry(key.clone()).or_default() += 1;
        Ok(Place { admission: Arc::clone(self), key, among_all: true })
    }

    fn taken(&self) -> MutexGuard<'_, Taken> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Place {
    /// Gives back the place among all: the whole answer is in the socket.
    pub(crate) fn sent(&mut self) {
        if std::mem::take(&mut self.among_all) {
            self.admission.taken().in_all -= 1;
            self.admission.freed.notify_waiters();
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.sent();
        let mut taken = self.admission.taken();
        if let Some(places) = taken.by_client.get_mut(&self.key) {
            *places -= 1;
            if *places == 0 {
                taken.by_client.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, uid: u32) -> PlaceKey {
        PlaceKey { client: Some(ClientId::parse(id).expect("a valid id")), peer: Peer::User(uid) }
    }

    #[test]
    fn a_third_poll_of_a_client_is_refused_until_one_is_done() {
        let admission = Admission::new(32, 2);
        let first = admission.admit(key("a", 0)).expect("the first is admitted");
        let _second = admission.admit(key("a", 0)).expect("the second is admitted");
        assert_eq!(admission.admit(key("a", 0)).err(), Some(Crowded::OfClient));
        assert!(admission.admit(key("a", 1)).is_ok(), "another user has places of his own");
        drop(first);
        assert!(admission.admit(key("a", 0)).is_ok());
    }

    #[test]
    fn an_answer_in_the_socket_has_a_place_of_its_client_and_none_among_all() {
        let admission = Admission::new(1, 1);
        let mut sent = admission.admit(key("a", 0)).expect("there is a place");
        sent.sent();
        sent.sent();
        assert_eq!(admission.admit(key("a", 0)).err(), Some(Crowded::OfClient));
        let other = admission.admit(key("b", 0)).expect("the place among all is free");
        assert_eq!(admission.admit(key("c", 0)).err(), Some(Crowded::InAll));
        drop((sent, other));
        assert_eq!(admission.taken().in_all, 0);
    }

    #[test]
    fn the_places_in_all_are_bounded_and_come_back() {
        let admission = Admission::new(2, 2);
        let first = admission.admit(key("a", 0));
        let _second = admission.admit(key("b", 0)).expect("there is a place");
        assert_eq!(admission.admit(key("c", 0)).err(), Some(Crowded::InAll));
        drop(first);
        assert!(admission.admit(key("c", 0)).is_ok());
        assert_eq!(admission.taken().in_all, 1);
        assert_eq!(admission.taken().by_client.len(), 1, "an idle client costs nothing");
    }
}
