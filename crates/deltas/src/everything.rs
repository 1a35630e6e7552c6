//! All that lives, as an answer to nobody: no client is registered for it, and none is any different afterwards.

use connections::{KernelTime, Table, Told};

use crate::baseline::{Baseline, Ends};
use crate::changes::Changes;
use crate::client_id::ClientId;
use crate::clients::Clients;
use crate::delta::{Delta, Health};
use crate::log::Slice;
use crate::looked_up::Lookups;
use crate::refusal::Refusal;
use crate::registration::View;
use crate::roll_ups::RollUps;

impl Clients {
    /// What a client would be told of the table, as of a pass that began at `to`, that is new and was registered when
    /// tracing began: all live connections with their totals. Closed ones and roll-ups are not in it. Its client is
    /// [`ClientId::DEFAULT`] and its numbers are 0, which mean nothing. Its memory counts like that of every other answer.
    ///
    /// # Errors
    /// [`Refusal::AnswersTooLarge`] when the answers on their way leave no room for this one.
    pub fn everything(&mut self, table: &Table, health: Health, to: KernelTime) -> Result<Delta, Refusal> {
        let changes = Changes::new(table.news_since(&Told::default()), Slice::default(), &Told::default());
        let (own, shared) = (changes.own_bytes(), changes.shared_bytes());
        let share = self.in_flight.take(own, table.moment(), shared).ok_or(Refusal::AnswersTooLarge)?;
        let start = Baseline::empty(self.began_at(), Ends::default());
        Ok(Delta {
            client: ClientId::parse(ClientId::DEFAULT).expect("the default id is a valid one"),
            sequence: 0,
            acknowledged: 0,
            from: start.to,
            to,
            view: View::Each,
            coverage: start.coverage(&health, to),
            changes,
            roll_ups: RollUps::default(),
            lookups: Lookups::default(),
            share,
        })
    }
}
