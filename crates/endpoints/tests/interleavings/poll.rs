//! One poll as who asked for it sees it, and how far it must have come.

use connections::ConnectionId;
use deltas::{Delta, Peer, Refusal, Ticket};
use endpoints::PollAnswer;
use tokio::sync::oneshot;
use tokio::sync::oneshot::error::TryRecvError;

/// How far a poll has come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Stage {
    InLine,
    /// It has begun and waits for a pass.
    Waits,
    /// Its answer is on its way.
    OnItsWay,
    /// The same, but a later poll has put an end to it.
    Cut,
    Over,
}

/// What an answer tells: its number, the one that it goes on from, and of each connection what is new and whether it is
/// closed.
pub(crate) type Told = (u64, u64, Vec<(ConnectionId, u64, bool)>);

/// What came of a poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outcome {
    Nothing,
    Answer(Told),
    Refused(Refusal),
    /// It was told that there is no answer.
    None,
}

impl Outcome {
    /// With numbers that count from `first`.
    pub(crate) fn counted_from(self, first: u64) -> Self {
        let count = |number: u64| number.saturating_sub(first);
        match self {
            Self::Answer((sequence, acknowledged, changes)) => {
                Self::Answer((count(sequence), count(acknowledged), changes))
            }
            Self::Refused(Refusal::OutOfSequence { acknowledged, pending }) => {
                let (acknowledged, pending) = (count(acknowledged), pending.map(count));
                Self::Refused(Refusal::OutOfSequence { acknowledged, pending })
            }
            other => other,
        }
    }
}

#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) client: usize,
    pub(crate) peer: Peer,
    pub(crate) after: Option<u64>,
    /// The registration that it began in, or waits to.
    pub(crate) registration: usize,
    pub(crate) stage: Stage,
    pub(crate) outcome: Outcome,
    /// Nobody listens any more to what becomes of it.
    pub(crate) is_left: bool,
    pub(crate) begun: Option<oneshot::Receiver<()>>,
    pub(crate) reply: Option<oneshot::Receiver<Result<PollAnswer, Refusal>>>,
    /// Of the answer, what is left of it.
    pub(crate) ticket: Option<Ticket>,
    superseded: Option<oneshot::Receiver<()>>,
}

impl Asked {
    pub(crate) fn new(
        (client, registration): (usize, usize),
        peer: Peer,
        after: Option<u64>,
        begun: oneshot::Receiver<()>,
        reply: oneshot::Receiver<Result<PollAnswer, Refusal>>,
    ) -> Self {
        Self {
            client,
            peer,
            after,
            registration,
            stage: Stage::InLine,
            outcome: Outcome::Nothing,
            is_left: false,
            begun: Some(begun),
            reply: Some(reply),
            ticket: None,
            superseded: None,
        }
    }

    /// True when another poll of its client has to wait for it, or is put an end to it.
    pub(crate) fn is_in_flight(&self) -> bool {
        matches!(self.stage, Stage::Waits | Stage::OnItsWay)
    }

    /// Looks for the answer, which comes in this moment or not at all.
    pub(crate) fn look(&mut self) -> Option<Delta> {
        let received = self.reply.as_mut()?.try_recv();
        if matches!(received, Err(TryRecvError::Empty)) {
            return None;
        }
        self.reply = None;
        let (outcome, delta) = match received {
            Ok(Ok(PollAnswer { ticket, delta, superseded, .. })) => {
                (self.ticket, self.superseded) = (Some(ticket), Some(superseded));
                (Outcome::Answer(told(&delta)), Some(delta))
            }
            Ok(Err(refusal)) => (Outcome::Refused(refusal), None),
            Err(_) => (Outcome::None, None),
        };
        self.outcome = outcome;
        delta
    }

    /// What it was told must be what its stage says.
    pub(crate) fn check(&mut self) {
        if let Some(begun) = &mut self.begun {
            // A refusal may be told by a drop too.
            let told = begun.try_recv() != Err(TryRecvError::Empty);
            assert_eq!(told, self.stage != Stage::InLine, "{:?}", self.stage);
            self.begun = self.begun.take().filter(|_| !told);
        }
        if let Some(superseded) = self.superseded.as_mut().filter(|_| self.stage != Stage::Over) {
            let told = superseded.try_recv() == Ok(());
            assert_eq!(told, self.stage == Stage::Cut, "{:?}", self.stage);
            self.superseded = self.superseded.take().filter(|_| !told);
        }
        let waits = matches!(self.stage, Stage::InLine | Stage::Waits);
        assert_eq!(self.outcome == Outcome::Nothing, waits || self.is_left, "{:?}", self.stage);
    }

    /// Nobody waits for it any more.
    pub(crate) fn leave(&mut self) {
        (self.begun, self.reply, self.is_left) = (None, None, true);
    }
}

fn told(delta: &Delta) -> Told {
    let mut changes: Vec<_> = delta
        .changes
        .iter()
        .map(|change| (change.connection.id, change.delta.sent_bytes, change.connection.closed_at.is_some()))
        .collect();
    changes.sort_unstable();
    (delta.sequence, delta.acknowledged, changes)
}
