//! What the reference system's tools look at: its debug paths, without their side effects on clients.
//!
//! Owns the paths and who may see what at them. Their forms are the business of `encode`, the maps those of the backend.

use std::time::{SystemTime, UNIX_EPOCH};

use axum::response::Response;
use encode::native::Fields;
use encode::{Answer, StatsView, WallTime, reference};

use crate::api::{Call, Caller};
use crate::body::{ChunkWriter, stream_apart};
use crate::coding::{Coded, Coding};
use crate::forms;
use crate::listings::{Snapshot, place, snapshot};
use crate::problem::{Kind, Problem};
use crate::query::{Backend, Page, Query};
use crate::request::{self, refuse_head};
use crate::response::{self, json, streamed};

/// `GET /network_tracer/debug/net_maps`: all live connections with their totals, told to nobody in particular.
pub(crate) async fn net_maps<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    refuse_head(&call.parts)?;
    let form = forms::reference(&call.parts.headers);
    let Call { api, caller: Caller { link, .. }, .. } = call;
    let Snapshot { delta, wall, place } = snapshot(&api, link.peer()).await?;
    let backend = api.backend.clone();
    let encode = move |out: &mut Coded<ChunkWriter>| {
        let identity = backend.identity();
        let (instance, degradations) = (&identity.instance, &backend.degradations()[..]);
        let context = &*backend.context();
        form.write(out, &Answer { delta: &delta, wall, instance, degradations, context }, Fields::ALL)
    };
    Ok(streamed(
        stream_apart(&api.readers, &link, place, Coding::Identity, encode).await?,
        form.content_type(),
        Coding::Identity,
    ))
}

/// `GET /network_tracer/debug/net_state`: what the client was told of the connections that live. A client that is not
/// known was told nothing.
pub(crate) async fn net_state<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    refuse_head(&call.parts)?;
    let id = request::client_in_query(&call.parts)?;
    let Call { api, caller: Caller { link, .. }, .. } = call;
    let peer = link.peer();
    let place = place(&api, peer).await?;
    let remembered = match api.ask(|reply| Query::Remembered { id, peer, reply }).await? {
        Err(deltas::Refusal::UnknownClient) => connections::Remembered::default(),
        remembered => remembered?,
    };
    let encode = move |out: &mut Coded<ChunkWriter>| reference::write_net_state(out, &remembered);
    Ok(streamed(
        stream_apart(&api.readers, &link, place, Coding::Identity, encode).await?,
        "application/json",
        Coding::Identity,
    ))
}

/// `GET /network_tracer/debug/ebpf_maps`: the maps that `maps` names, separated by commas; all of them without it.
pub(crate) async fn ebpf_maps<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    refuse_head(&call.parts)?;
    let names = request::list_in_query(&call.parts, "maps")?;
    let Call { api, caller: Caller { link, .. }, .. } = call;
    let place = place(&api, link.peer()).await?;
    let backend = api.backend.clone();
    let encode = move |out: &mut Coded<ChunkWriter>| backend.write_maps(&names, out);
    let body = stream_apart(&api.readers, &link, place, Coding::Identity, encode).await?;
    Ok(streamed(body, "text/plain; charset=utf-8", Coding::Identity))
}

/// `GET /network_tracer/debug/conntrack/…` and `…/process_cache`: what is remembered, or 404 where that is off.
pub(crate) async fn page<B: Backend>(call: Call<B>, page: Page) -> Result<Response, Problem> {
    refuse_head(&call.parts)?;
    let Call { api, caller: Caller { link, .. }, .. } = call;
    if !api.backend.has_page(page) {
        return Err(disabled(match page {
            Page::ConntrackCached | Page::ConntrackHost => "connection tracking",
            Page::ProcessCache => "the process cache",
        }));
    }
    let place = place(&api, link.peer()).await?;
    let backend = api.backend.clone();
    let encode = move |out: &mut Coded<ChunkWriter>| backend.write_page(page, out);
    let body = stream_apart(&api.readers, &link, place, Coding::Identity, encode).await?;
    Ok(streamed(body, "application/json", Coding::Identity))
}

/// `GET /debug/stats`.
pub(crate) async fn stats<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    let status = call.api.status().await?;
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = WallTime(i128::try_from(since_epoch.as_nanos()).unwrap_or(i128::MAX));
    Ok(json(axum::http::StatusCode::OK, &StatsView::new(status, now)))
}

/// `GET /config`: the configuration that holds. It has no secrets: tokens are in files of their own.
pub(crate) fn config<B: Backend>(call: &Call<B>) -> Response {
    response::text(call.api.backend.identity().config.clone(), "application/toml")
}

/// What the reference answers where a feature is off.
pub(crate) fn disabled(feature: &'static str) -> Problem {
    Problem::new(Kind::UnknownPath, format!("{feature} is disabled"))
}
