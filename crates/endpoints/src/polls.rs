//! Polls in both dialects: admitted, asked, streamed, and resolved exactly once.
//!
//! What a poll asks of the state outlives the request: a task of its own waits for the answer, finds out
//! whether it arrived and tells the state, also when the client went away in between, or when another poll has put
//! an end to this one. Only then it gives the client's place back.

use std::sync::Arc;
use std::time::Duration;

use axum::response::Response;
use connections::WallOffset;
use deltas::{Ask, ClientId, Delta, Refusal};
use encode::Answer;
use encode::native::Fields;
use tokio::sync::oneshot;
use tokio::time::sleep;

use crate::admission::{Crowded, Place, PlaceKey};
use crate::api::{Api, Call, Caller};
use crate::body::{ChunkWriter, stream};
use crate::coding::Coded;
use crate::delivery::{Fate, read, sent};
use crate::dialect::Dialect;
use crate::forms::{self, Form};
use crate::link::Link;
use crate::problem::Problem;
use crate::query::{Backend, Poll, PollAnswer, Query, Unavailable};
use crate::request::{self, refuse_head};
use crate::response::streamed;

/// `GET /v1/clients/{id}/connections`.
pub(crate) async fn native<B: Backend>(mut call: Call<B>) -> Result<Response, Problem> {
    refuse_head(&call.parts)?;
    let id = request::client_in_path(&mut call.parts).await?;
    let ask = request::native_ask(&call.parts)?;
    let fields = request::fields(&call.parts)?;
    let form = forms::native(&call.parts.headers)?;
    answer(call, id, ask, form, fields).await
}

/// `GET /network_tracer/connections`.
pub(crate) async fn reference<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    refuse_head(&call.parts)?;
    let id = request::client_in_query(&call.parts)?;
    let ask = request::reference_ask(&call.parts)?;
    let form = forms::reference(&call.parts.headers);
    answer(call, id, ask, form, Fields::ALL).await
}

async fn answer<B: Backend>(
    call: Call<B>,
    id: ClientId,
    ask: Ask,
    form: Form,
    fields: Fields,
) -> Result<Response, Problem> {
    let Call { api, caller: Caller { link, .. }, parts, .. } = call;
    let key = PlaceKey { client: Some(id.clone()), peer: link.peer() };
    let place = api.admission.admit_before_slow(key, &api.readers).await;
    let place = place.inspect_err(|crowded| api.counts.poll_crowded(*crowded))?;
    let (made, outcome) = oneshot::channel();
    let create = form.dialect() == Dialect::Reference;
    let poll = Admitted { id, ask, create, link: Arc::clone(&link), place };
    api.polls.spawn(poll.run(Arc::clone(&api), made));
    // The task ends without a word only when the API does.
    let made = outcome.await.map_err(|_| Problem::from(Unavailable))??;
    let Made { delta, wall, flushed } = made;
    let backend = api.backend.clone();
    let encode = move |out: &mut Coded<ChunkWriter>| {
        let identity = backend.identity();
        let (instance, degradations) = (&identity.instance, &backend.degradations()[..]);
        let context = &*backend.context();
        form.write(out, &Answer { delta: &delta, wall, instance, degradations, context }, fields)
    };
    let reading = api.readers.begin(Arc::clone(&link), None);
    let coding = form.coding(&parts.headers);
    Ok(streamed(stream(link, flushed, reading, coding, encode).await?, form.content_type(), coding))
}

/// A poll that has a place.
struct Admitted {
    id: ClientId,
    ask: Ask,
    create: bool,
    link: Arc<Link>,
    place: Place,
}

/// An answer of the state on its way to the client. Dropped, it is lost: `flushed` is dropped with it.
struct Made {
    delta: Delta,
    wall: WallOffset,
    flushed: oneshot::Sender<()>,
}

impl Admitted {
    async fn run<B: Backend>(mut self, api: Arc<Api<B>>, mut made: oneshot::Sender<Result<Made, Problem>>) {
        let turn = self.link.turn().await;
        let PollAnswer { ticket, delta, wall, superseded } = match self.ask(&api, &mut made).await {
            Ok(answer) => answer,
            Err(problem) => {
                // Who reads that the poll is over finds its place free.
                drop((turn, self.place));
                // Nobody listens any more when the client went away.
                let _ = made.send(Err(problem));
                return;
            }
        };
        let (flushed, is_flushed) = oneshot::channel();
        // When the client went away the answer comes back here and is dropped, which resolves it as lost.
        let _ = made.send(Ok(Made { delta, wall, flushed }));
        let mut superseded = std::pin::pin!(told(superseded));
        let fate = match sent(&self.link, is_flushed, api.limits.answer, superseded.as_mut()).await {
            Err(fate) => fate,
            Ok(()) => {
                self.place.sent();
                read(&self.link, api.limits.write_stall, superseded).await
            }
        };
        match fate {
            Fate::Superseded => api.counts.poll_superseded(),
            Fate::TooSlow => api.counts.answer_too_slow(),
            Fate::Delivered | Fate::Lost => {}
        }
        let delivered = fate == Fate::Delivered;
        // A state that has ended has nothing to resolve.
        let _ = api.backend.ask(Query::Resolve { ticket, delivered }).await;
        drop((turn, self.place));
    }

    /// Asks the state; once more, when slow readers had to give way before there was memory for the answer.
    async fn ask<B: Backend>(
        &self,
        api: &Api<B>,
        made: &mut oneshot::Sender<Result<Made, Problem>>,
    ) -> Result<PollAnswer, Problem> {
        let mut answered = self.ask_once(api, made).await?;
        if matches!(answered, Err(Refusal::AnswersTooLarge)) && api.readers.make_room().await {
            answered = self.ask_once(api, made).await?;
        }
        Ok(answered.inspect_err(|refusal| count(api, refusal))?)
    }

    /// Asks the state, and waits for its answer for as long as it takes; but not for another poll of the client.
    /// Who asks is gone when `made` is closed.
    async fn ask_once<B: Backend>(
        &self,
        api: &Api<B>,
        made: &mut oneshot::Sender<Result<Made, Problem>>,
    ) -> Result<Result<PollAnswer, Refusal>, Problem> {
        let ((begun, has_begun), (reply, mut answer)) = (oneshot::channel(), oneshot::channel());
        let (id, peer, ask) = (self.id.clone(), self.link.peer(), self.ask);
        api.backend.ask(Query::Poll(Poll { id, peer, create: self.create, ask, begun, reply })).await?;
        if ask.after.is_none()
            && let Err(problem) = wait_in_line(has_begun, api.limits.poll_wait, made).await
        {
            // From here on the state can send no answer; one that it has sent before is not lost.
            answer.close();
            return answer.try_recv().map_err(|_| {
                if !made.is_closed() {
                    api.counts.poll_crowded(Crowded::WaitedTooLong);
                }
                problem
            });
        }
        answer.await.map_err(|_| Unavailable.into())
    }
}

/// Waits until a poll has begun; not longer than `limit`, and not when who asks is gone.
async fn wait_in_line<T>(
    has_begun: oneshot::Receiver<()>,
    limit: Duration,
    made: &mut oneshot::Sender<T>,
) -> Result<(), Problem> {
    tokio::select! {
        biased;
        // Dropped unsent, there will be no answer, which shows there.
        _ = has_begun => Ok(()),
        () = sleep(limit) => Err(Crowded::WaitedTooLong.into()),
        () = made.closed() => Err(Unavailable.into()),
    }
}

fn count<B>(api: &Api<B>, refusal: &Refusal) {
    match refusal {
        Refusal::Superseded => api.counts.poll_superseded(),
        Refusal::OutOfSequence { .. } => api.counts.poll_out_of_sequence(),
        Refusal::AnswersTooLarge => api.counts.poll_crowded(Crowded::AnswersTooLarge),
        _ => {}
    }
}

/// Done when something is told; never when it is not.
async fn told(word: oneshot::Receiver<()>) {
    if word.await.is_err() {
        std::future::pending().await
    }
}

#[cfg(test)]
mod tests {
    use connections::{Annotate, KernelTime, Table};
    use deltas::{ClientLimits, Clients, Health, Peer, Settings};
    use tokio::net::UnixStream;
    use tokio::sync::mpsc;

    use super::*;
    use crate::limits::HttpLimits;
    use crate::query::Identity;

    /// A state that answers each poll, and says of none that it has begun.
    #[derive(Clone)]
    struct Quiet {
        identity: Identity,
        queries: mpsc::UnboundedSender<Query>,
    }

    impl Backend for Quiet {
        async fn ask(&self, query: Query) -> Result<(), Unavailable> {
            let query = match query {
                Query::Poll(Poll { id, peer, begun, reply, .. }) => {
                    let _ = reply.send(Ok(answer_to(&id, peer)));
                    let (reply, _) = oneshot::channel();
                    Query::Poll(Poll { id, peer, create: false, ask: Ask::default(), begun, reply })
                }
                other => other,
            };
            self.queries.send(query).map_err(|_| Unavailable)
        }

        fn identity(&self) -> &Identity {
            &self.identity
        }

        fn ready(&self) -> bool {
            true
        }

        fn write_maps(&self, _: &[String], _: &mut dyn std::io::Write) -> std::io::Result<()> {
            Ok(())
        }

        fn degradations(&self) -> Vec<String> {
            Vec::new()
        }

        fn has_page(&self, _: crate::query::Page) -> bool {
            false
        }

        fn write_page(&self, _: crate::query::Page, _: &mut dyn std::io::Write) -> std::io::Result<()> {
            Ok(())
        }

        fn context(&self) -> Box<dyn Annotate + '_> {
            Box::new(())
        }
    }

    fn answer_to(id: &ClientId, peer: Peer) -> PollAnswer {
        let now = KernelTime(0);
        let mut clients = Clients::new(ClientLimits::default(), now);
        clients.register(id, peer, Settings::default(), now).expect("there is room");
        let begun = clients.begin(id, peer, Ask::default(), now).expect("it is registered");
        let delta = clients.answer(&begun.ticket, &Table::new(1), Health::default(), now).expect("an answer");
        let (_, superseded) = oneshot::channel();
        PollAnswer { ticket: begun.ticket, delta, wall: WallOffset(0), superseded }
    }

    /// Runs a poll that leaves the line in the moment in which its answer comes, for one who waits for it or is
    /// gone; gives whether an answer came, and what the state was asked.
    async fn leave_line(is_there: bool) -> (bool, mpsc::UnboundedReceiver<Query>) {
        let (queries, asked) = mpsc::unbounded_channel();
        let identity = Identity { instance: "test".to_owned(), config: String::new() };
        let limits = HttpLimits { poll_wait: Duration::ZERO, ..HttpLimits::default() };
        let api = Api::new(Quiet { identity, queries }, limits);
        let (ours, _theirs) = UnixStream::pair().expect("a socket pair");
        let link = Link::new(&ours).expect("a link");
        let id = ClientId::parse("a").expect("a valid id");
        let key = PlaceKey { client: Some(id.clone()), peer: link.peer() };
        let place = api.admission.admit(key).expect("there is a place");
        let (made, outcome) = oneshot::channel();
        let poll = Admitted { id, ask: Ask::default(), create: false, link, place };
        let running = tokio::spawn(poll.run(api, made));
        let mut came = false;
        if is_there {
            // Dropped, what was made is lost.
            came = outcome.await.is_ok_and(|made| made.is_ok());
        } else {
            drop(outcome);
        }
        running.await.expect("it does not panic");
        (came, asked)
    }

    #[tokio::test]
    async fn an_answer_that_comes_while_its_poll_leaves_the_line_is_used_or_taken_back() {
        for is_there in [true, false] {
            let (came, mut asked) = leave_line(is_there).await;
            assert_eq!(came, is_there);
            assert!(matches!(asked.recv().await, Some(Query::Poll(_))));
            assert!(matches!(asked.recv().await, Some(Query::Resolve { delivered: false, .. })));
            assert!(asked.recv().await.is_none(), "once");
        }
    }
}
