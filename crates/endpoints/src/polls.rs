//! Polls in both dialects: admitted, asked, streamed, and resolved exactly once.
//!
//! What a poll asks of the state outlives the request: a task of its own waits for the answer, finds out
//! whether it arrived and tells the state, also when the client went away in between. Only then it gives the
//! client's place back, so that the next poll finds the outcome.

use std::sync::Arc;

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Method};
use axum::response::Response;
use connections::WallOffset;
use deltas::{ClientId, Delta, Refusal};
use encode::{Answer, native, reference};
use tokio::sync::oneshot;

use crate::admission::{Permit, PollKey};
use crate::api::{Api, Call, Caller};
use crate::body::{ChunkWriter, stream};
use crate::delivery::delivered;
use crate::dialect::Dialect;
use crate::link::Link;
use crate::problem::{Kind, Problem};
use crate::query::{Backend, PollAnswer, Query, Unavailable};
use crate::request;

/// `GET /v1/clients/{id}/connections`.
pub(crate) async fn native<B: Backend>(mut call: Call<B>) -> Result<Response, Problem> {
    refuse_head(&call)?;
    let id = request::client_in_path(&mut call.parts).await?;
    request::refuse_after(&call.parts)?;
    request::accepts_json(&call.parts.headers)?;
    answer(call, id, Dialect::Native).await
}

/// `GET /network_tracer/connections`.
pub(crate) async fn reference<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    refuse_head(&call)?;
    let id = request::client_in_query(&call.parts)?;
    request::refuse_protobuf(&call.parts.headers)?;
    answer(call, id, Dialect::Reference).await
}

/// The answer to a `HEAD` has no body, so it could tell nothing and would be made in vain.
fn refuse_head<B>(call: &Call<B>) -> Result<(), Problem> {
    if call.parts.method == Method::HEAD {
        return Err(Problem::method_not_allowed(Method::GET.to_string()));
    }
    Ok(())
}

async fn answer<B: Backend>(call: Call<B>, id: ClientId, dialect: Dialect) -> Result<Response, Problem> {
    let Call { api, caller: Caller { link, .. }, .. } = call;
    let admitted = api.admission.admit(PollKey { id: id.clone(), peer: link.peer() }).await;
    let permit = admitted.inspect_err(|crowded| api.counts.poll_crowded(*crowded))?;
    let (made, outcome) = oneshot::channel();
    let poll = Poll { id, create: dialect == Dialect::Reference, link: Arc::clone(&link), permit };
    api.polls.spawn(poll.run(Arc::clone(&api), made));
    // The task ends without a word only when the API does.
    let made = outcome.await.map_err(|_| Problem::from(Unavailable))??;
    let Made { delta, wall, flushed } = made;
    let backend = api.backend.clone();
    let encode = move |out: &mut ChunkWriter| encode(out, &backend, &delta, wall, dialect);
    let body = stream(link, flushed, encode)
        .await
        .map_err(|_| Problem::new(Kind::EncodingFailed, "the answer could not be encoded"))?;
    let mut response = Response::new(Body::new(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

fn encode<B: Backend>(
    out: &mut ChunkWriter,
    backend: &B,
    delta: &Delta,
    wall: WallOffset,
    dialect: Dialect,
) -> std::io::Result<()> {
    let identity = backend.identity();
    let answer = Answer { delta, wall, instance: &identity.instance, degradations: &identity.degradations };
    match dialect {
        Dialect::Native => native::write_delta(out, &answer),
        Dialect::Reference => reference::write_connections(out, &answer),
    }
}

/// A poll that was admitted.
struct Poll {
    id: ClientId,
    create: bool,
    link: Arc<Link>,
    permit: Permit,
}

/// An answer of the state on its way to the client. Dropped, it is lost: `flushed` is dropped with it.
struct Made {
    delta: Delta,
    wall: WallOffset,
    flushed: oneshot::Sender<()>,
}

impl Poll {
    async fn run<B: Backend>(self, api: Arc<Api<B>>, made: oneshot::Sender<Result<Made, Problem>>) {
        let Self { id, create, link, permit } = self;
        let peer = link.peer();
        let turn = link.turn().await;
        let asked = api.ask(|reply| Query::Poll { id, peer, create, reply }).await;
        if let Ok(Err(Refusal::AnswerPending)) = asked {
            api.counts.poll_while_answer_pending();
        }
        let PollAnswer { delta, wall } = match asked.and_then(|answer| answer.map_err(Problem::from)) {
            Ok(answer) => answer,
            Err(problem) => {
                // Nobody listens any more when the client went away.
                let _ = made.send(Err(problem));
                return;
            }
        };
        let receipt = delta.receipt.clone();
        let (flushed, is_flushed) = oneshot::channel();
        // When the client went away the answer comes back here and is dropped, which resolves it as lost.
        let _ = made.send(Ok(Made { delta, wall, flushed }));
        let delivered = delivered(&link, is_flushed, api.limits.write_stall).await;
        // A state that has ended has nothing to resolve.
        let _ = api.backend.ask(Query::Resolve { receipt, delivered }).await;
        drop((turn, permit));
    }
}
