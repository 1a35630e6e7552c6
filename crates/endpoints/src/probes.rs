//! How the tracer is: for a person, and for what restarts it.

use axum::http::StatusCode;
use axum::response::Response;
use encode::ProbeView;

use crate::api::Call;
use crate::problem::{Kind, Problem};
use crate::query::{Backend, Query};
use crate::response::json;

/// `GET /v1/status`.
pub(crate) async fn status<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    let status = call.api.ask(|reply| Query::Status { reply }).await?;
    Ok(json(StatusCode::OK, &status))
}

/// `GET /livez`: the process answers. It asks nothing of the state.
pub(crate) fn live() -> Response {
    json(StatusCode::OK, &ProbeView { status: "live" })
}

/// `GET /readyz`: polls are answered from a tracer that has begun.
pub(crate) fn ready<B: Backend>(call: &Call<B>) -> Result<Response, Problem> {
    if !call.api.backend.ready() {
        return Err(Problem::new(Kind::NotReady, "the tracer has not begun yet"));
    }
    Ok(json(StatusCode::OK, &ProbeView { status: "ready" }))
}
