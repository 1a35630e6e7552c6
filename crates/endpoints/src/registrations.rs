//! Registering and removing clients.

use axum::http::StatusCode;
use axum::response::Response;
use deltas::{ClientId, Registration};
use encode::ClientView;

use crate::api::{Api, Call, Caller};
use crate::problem::Problem;
use crate::query::{Backend, Query, Registered};
use crate::request;
use crate::response::{empty, json};

/// `PUT /v1/clients/{id}`.
pub(crate) async fn put<B: Backend>(mut call: Call<B>) -> Result<Response, Problem> {
    let id = request::client_in_path(&mut call.parts).await?;
    request::empty_body(std::mem::take(&mut call.body), &call.api.limits).await?;
    let Registered { registration, client } = register(&call.api, &call.caller, id).await?;
    let status = match registration {
        Registration::New => StatusCode::CREATED,
        Registration::Known => StatusCode::OK,
    };
    Ok(json(status, &ClientView::new(&client)))
}

/// `DELETE /v1/clients/{id}`.
pub(crate) async fn delete<B: Backend>(mut call: Call<B>) -> Result<Response, Problem> {
    let id = request::client_in_path(&mut call.parts).await?;
    let peer = call.caller.link.peer();
    call.api.ask(|reply| Query::Remove { id, peer, reply }).await??;
    Ok(empty(StatusCode::NO_CONTENT))
}

/// `GET /network_tracer/register`.
pub(crate) async fn reference<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    let id = request::client_in_query(&call.parts)?;
    register(&call.api, &call.caller, id).await?;
    Ok(empty(StatusCode::OK))
}

async fn register<B: Backend>(api: &Api<B>, caller: &Caller, id: ClientId) -> Result<Registered, Problem> {
    let peer = caller.link.peer();
    Ok(api.ask(|reply| Query::Register { id, peer, reply }).await??)
}
