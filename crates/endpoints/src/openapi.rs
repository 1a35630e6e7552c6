//! The contract of the API as an OpenAPI document, and the path at which it is told.
//!
//! The document is written by hand, in parts: each file of `openapi/` is members of one object, without its braces.
//! What is in it is what is promised; what is answered is held against it by `tests/openapi`.

use axum::http::HeaderMap;
use axum::response::Response;

use crate::accept::{Offer, best};
use crate::problem::{Kind, Problem};
use crate::request::accepted;
use crate::response::text;

/// The API as an OpenAPI 3.1 document in JSON.
pub const OPENAPI: &str = concat!(
    "{",
    include_str!("../openapi/info.json"),
    ",\"paths\":{",
    include_str!("../openapi/paths_native.json"),
    ",",
    include_str!("../openapi/paths_reference.json"),
    "},\"components\":{",
    include_str!("../openapi/parameters.json"),
    ",",
    include_str!("../openapi/responses.json"),
    ",\"schemas\":{",
    include_str!("../openapi/schemas_connection.json"),
    ",",
    include_str!("../openapi/schemas_answers.json"),
    ",",
    include_str!("../openapi/schemas_state.json"),
    ",",
    include_str!("../openapi/schemas_host.json"),
    ",",
    include_str!("../openapi/schemas_problems.json"),
    ",",
    include_str!("../openapi/schemas_reference.json"),
    "}}}",
);

/// `GET /openapi.json`.
///
/// # Errors
/// The problem of an answer that would not be acceptable.
pub(crate) fn document(headers: &HeaderMap) -> Result<Response, Problem> {
    let json = Offer { essence: "application/json", version: "", answer: "application/json" };
    let openapi = Offer {
        essence: "application/vnd.oai.openapi+json",
        version: "3.1",
        answer: "application/vnd.oai.openapi+json;version=3.1",
    };
    let content_type = best(&accepted(headers), &[json, openapi]).ok_or_else(|| {
        let detail = "this path answers application/json and application/vnd.oai.openapi+json version 3.1";
        Problem::new(Kind::NotAcceptable, detail)
    })?;
    Ok(text(OPENAPI.to_owned(), content_type))
}
