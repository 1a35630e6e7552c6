//! How the tracer is: for a person, for what watches it, and for what restarts it.

use axum::http::StatusCode;
use axum::response::Response;
use encode::ProbeView;

use crate::api::Call;
use crate::problem::{Kind, Problem};
use crate::query::Backend;
use crate::request;
use crate::response::{json, text};

/// `GET /v1/status`.
pub(crate) async fn status<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    let status = call.api.status().await?;
    Ok(json(StatusCode::OK, &status))
}

/// `GET /metrics`: the same as the status, for Prometheus.
pub(crate) async fn metrics<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    let form = request::metrics_form(&call.parts.headers)?;
    let status = call.api.status().await?;
    Ok(text(encode::metrics(&status, form), form.content_type()))
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
