//! Answers as HTTP has them: JSON or text that fits into one piece, what is streamed, and nothing at all.

use axum::body::Body;
use axum::http::header::{CACHE_CONTROL, CONTENT_ENCODING, CONTENT_TYPE, VARY};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use encode::Json;
use http_body_util::{BodyExt, Collected};
use hyper::body::Body as _;

use crate::body::AnswerBody;
use crate::coding::{Coding, coded};

/// A small JSON answer.
pub(crate) fn json(status: StatusCode, body: &impl Json) -> Response {
    let mut response = Response::new(Body::from(body.json()));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

/// A small text.
pub(crate) fn text(body: String, content_type: &'static str) -> Response {
    let mut response = Response::new(Body::from(body));
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// An answer that is streamed.
pub(crate) fn streamed(body: AnswerBody, content_type: &'static str, coding: Coding) -> Response {
    let mut response = Response::new(Body::new(body));
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    headers.extend(coding.name().map(|name| (CONTENT_ENCODING, HeaderValue::from_static(name))));
    response
}

/// Smaller answers do not become smaller by compressing them.
const COMPRESSED_BYTES_MIN: u64 = 1024;

/// Compresses an answer that fits into one piece, if the request accepts that and it is worth it.
pub(crate) async fn compressed(response: Response, coding: Coding) -> Response {
    let Some(name) = coding.name() else { return response };
    // What is streamed is compressed as it is encoded.
    let is_whole = response.body().size_hint().exact().is_some_and(|bytes| bytes >= COMPRESSED_BYTES_MIN);
    if !is_whole || response.headers().contains_key(CONTENT_ENCODING) || !response.status().is_success() {
        return response;
    }
    let (mut parts, body) = response.into_parts();
    let bytes = body.collect().await.map(Collected::to_bytes).expect("a body that is there cannot fail");
    let Ok(smaller) = coded(coding, &bytes) else {
        return Response::from_parts(parts, Body::from(bytes));
    };
    parts.headers.insert(CONTENT_ENCODING, HeaderValue::from_static(name));
    parts.headers.insert(VARY, HeaderValue::from_static("Accept, Accept-Encoding"));
    Response::from_parts(parts, Body::from(smaller))
}

/// An answer without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
