//! Registering and removing clients.

use axum::body::Body;
use axum::http::header::CONTENT_TYPE;
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use deltas::{ClientId, Registration};
use encode::ClientView;
use serde::Serialize;

use crate::api::{Api, Call, Caller};
use crate::problem::Problem;
use crate::query::{Backend, Query, Registered};
use crate::request;

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

/// A small JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let bytes = serde_json::to_vec(body).expect("wire types have text keys and do not fail");
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
