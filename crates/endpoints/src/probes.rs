//! How the tracer is: for a person, and for what restarts it.

use axum::http::StatusCode;
use axum::response::Response;
use serde::Serialize;

use crate::api::Call;
use crate::problem::{Kind, Problem};
use crate::query::{Backend, Query};
use crate::registrations::json;

#[derive(Serialize)]
struct Probe {
    status: &'static str,
}

/// `GET /v1/status`.
pub(crate) async fn status<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    let status = call.api.ask(|reply| Query::Status { reply }).await?;
    Ok(json(StatusCode::OK, &status))
}

/// `GET /livez`: the process answers. It asks nothing of the state.
pub(crate) fn live() -> Response {
    json(StatusCode::OK, &Probe { status: "live" })
}

/// `GET /readyz`: polls are answered from a tracer that has begun.
pub(crate) fn ready<B: Backend>(call: &Call<B>) -> Result<Response, Problem> {
    if !call.api.backend.ready() {
        return Err(Problem::new(Kind::NotReady, "the tracer has not begun yet"));
    }
    Ok(json(StatusCode::OK, &Probe { status: "ready" }))
}
