//! Registering, showing and removing clients.

use axum::http::StatusCode;
use axum::response::Response;
use deltas::{ClientId, Registration, Settings};
use encode::{ClientView, ClientsView};

use crate::api::{Api, Call, Caller};
use crate::problem::Problem;
use crate::query::{Backend, ClientAnswer, ClientsAnswer, Query, Registered};
use crate::request;
use crate::response::{empty, json};

/// `PUT /v1/clients/{id}`.
pub(crate) async fn put<B: Backend>(mut call: Call<B>) -> Result<Response, Problem> {
    let id = request::client_in_path(&mut call.parts).await?;
    let settings = request::settings(std::mem::take(&mut call.body), &call.api.limits).await?;
    let Registered { registration, client, wall } = register(&call.api, &call.caller, id, settings).await?;
    let status = match registration {
        Registration::New => StatusCode::CREATED,
        Registration::Known => StatusCode::OK,
    };
    Ok(json(status, &ClientView::new(&client, wall)))
}

/// `GET /v1/clients/{id}`.
pub(crate) async fn get<B: Backend>(mut call: Call<B>) -> Result<Response, Problem> {
    let id = request::client_in_path(&mut call.parts).await?;
    request::accepts_json(&call.parts.headers)?;
    let peer = call.caller.link.peer();
    let ClientAnswer { client, wall } = call.api.ask(|reply| Query::Client { id, peer, reply }).await??;
    Ok(json(StatusCode::OK, &ClientView::new(&client, wall)))
}

/// `GET /v1/clients`.
pub(crate) async fn list<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    request::accepts_json(&call.parts.headers)?;
    let peer = call.caller.link.peer();
    let ClientsAnswer { clients, wall } = call.api.ask(|reply| Query::Clients { peer, reply }).await?;
    Ok(json(StatusCode::OK, &ClientsView::new(&clients, wall)))
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
    register(&call.api, &call.caller, id, Settings::default()).await?;
    Ok(empty(StatusCode::OK))
}

async fn register<B: Backend>(
    api: &Api<B>,
    caller: &Caller,
    id: ClientId,
    settings: Settings,
) -> Result<Registered, Problem> {
    let peer = caller.link.peer();
    Ok(api.ask(|reply| Query::Register { id, peer, settings, reply }).await??)
}
