//! What is there now, told to whoever asks and to no client in particular.

use axum::http::StatusCode;
use axum::response::Response;
use connections::WallOffset;
use deltas::{Delta, Peer, Refusal};
use encode::native::{ListenersView, Listing, write_listing};

use crate::admission::{Crowded, Place, PlaceKey};
use crate::api::{Api, Call, Caller};
use crate::body::{ChunkWriter, stream_apart};
use crate::coding::{Coded, Coding};
use crate::forms;
use crate::problem::Problem;
use crate::query::{Backend, Everything, ListenersAnswer, Query, Unavailable};
use crate::request::{self, Listed, refuse_head};
use crate::response::{json, streamed};

/// All that lives, of one moment.
pub(crate) struct Snapshot {
    /// It is a delta of no client.
    pub(crate) delta: Delta,
    pub(crate) wall: WallOffset,
    /// To be held until it is read.
    pub(crate) place: Place,
}

/// What lives as of a pass that begins after the request.
///
/// # Errors
/// The problem of too many polls and listings at once, of too much memory, or of an unavailable state.
pub(crate) async fn snapshot<B: Backend>(api: &Api<B>, peer: Peer) -> Result<Snapshot, Problem> {
    let place = place(api, peer).await?;
    let mut everything = api.ask(|reply| Query::Everything { reply }).await?;
    if matches!(everything, Err(Refusal::AnswersTooLarge)) && api.readers.make_room().await {
        everything = api.ask(|reply| Query::Everything { reply }).await?;
    }
    if matches!(everything, Err(Refusal::AnswersTooLarge)) {
        api.counts.poll_crowded(Crowded::AnswersTooLarge);
    }
    let Everything { delta, wall } = everything?;
    Ok(Snapshot { delta, wall, place })
}

/// A place for what is of no client.
///
/// # Errors
/// The problem of too many polls and listings at once.
pub(crate) async fn place<B: Backend>(api: &Api<B>, peer: Peer) -> Result<Place, Problem> {
    let place = api.admission.admit_before_slow(PlaceKey { client: None, peer }, &api.readers).await;
    Ok(place.inspect_err(|crowded| api.counts.poll_crowded(*crowded))?)
}

/// `GET /v1/connections`.
pub(crate) async fn connections<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    refuse_head(&call.parts)?;
    let Listed { criteria, fields, limit } = request::listed(&call.parts)?;
    let (form, content_type) = forms::native_form(&call.parts.headers)?;
    let Call { api, caller: Caller { link, .. }, parts, .. } = call;
    let Snapshot { delta, wall, place } = snapshot(&api, link.peer()).await?;
    let backend = api.backend.clone();
    let encode = move |out: &mut Coded<ChunkWriter>| {
        let instance = &backend.identity().instance;
        let context = &*backend.context();
        let listing = Listing { delta: &delta, wall, instance, criteria: &criteria, fields, limit, context };
        write_listing(out, &listing, form)
    };
    let coding = Coding::accepted(&parts.headers);
    let body = stream_apart(&api.readers, &link, place, coding, encode).await?;
    Ok(streamed(body, content_type, coding))
}

/// `GET /v1/listeners`.
pub(crate) async fn listeners<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    request::accepts_json(&call.parts.headers)?;
    let ListenersAnswer { listeners, at, wall } = call.api.ask(|reply| Query::Listeners { reply }).await?;
    let backend = call.api.backend.clone();
    // Files may be read for it.
    let written = tokio::task::spawn_blocking(move || {
        let (instance, context) = (&backend.identity().instance, &*backend.context());
        json(StatusCode::OK, &ListenersView::new(&listeners, at, wall, instance, context))
    });
    written.await.map_err(|_| Problem::from(Unavailable))
}
