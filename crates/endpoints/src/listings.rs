//! What is there now, told to whoever asks and to no client in particular.

use axum::http::StatusCode;
use axum::response::Response;
use encode::native::ListenersView;

use crate::api::Call;
use crate::problem::Problem;
use crate::query::{Backend, ListenersAnswer, Query};
use crate::request;
use crate::response::json;

/// `GET /v1/listeners`.
pub(crate) async fn listeners<B: Backend>(call: Call<B>) -> Result<Response, Problem> {
    request::accepts_json(&call.parts.headers)?;
    let ListenersAnswer { listeners, at, wall } = call.api.ask(|reply| Query::Listeners { reply }).await?;
    let instance = &call.api.backend.identity().instance;
    Ok(json(StatusCode::OK, &ListenersView::new(&listeners, at, wall, instance)))
}
