//! Every answer that is not the one that was asked for: RFC 9457 on native paths, the reference's status
//! codes with a short JSON body on its paths.
//!
//! Public text never holds data of another user, paths of this host or error numbers; those go to the log
//! with the request id that the answer carries too.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::{HeaderValue, StatusCode};
use axum::response::Response;
use deltas::Refusal;
use encode::{ErrorView, Json, ProblemView};

use crate::admission::Crowded;
use crate::body::Truncated;
use crate::dialect::Dialect;
use crate::query::Unavailable;

/// What went wrong, with a stable name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    InvalidClientId,
    InvalidRequest,
    InvalidParameter,
    Unauthorized,
    NotOwner,
    NotPermitted,
    UnknownClient,
    UnknownPath,
    MethodNotAllowed,
    NotAcceptable,
    BodyTooSlow,
    OutOfSequence,
    Superseded,
    BodyTooLarge,
    TooManyClients,
    TooManyPolls,
    EncodingFailed,
    Unavailable,
    NotReady,
}

/// The public side of a [`Kind`].
pub(crate) struct Facts {
    /// The `type` of RFC 9457.
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    pub(crate) status: StatusCode,
    /// Seconds after which the same request may succeed.
    pub(crate) retry_after_s: Option<u8>,
}

impl Kind {
    /// All kinds, in the order of their status.
    #[cfg(test)]
    pub(crate) const ALL: [Kind; 19] = [
        Kind::InvalidClientId,
        Kind::InvalidRequest,
        Kind::InvalidParameter,
        Kind::Unauthorized,
        Kind::NotOwner,
        Kind::NotPermitted,
        Kind::UnknownClient,
        Kind::UnknownPath,
        Kind::MethodNotAllowed,
        Kind::NotAcceptable,
        Kind::BodyTooSlow,
        Kind::OutOfSequence,
        Kind::Superseded,
        Kind::BodyTooLarge,
        Kind::TooManyClients,
        Kind::TooManyPolls,
        Kind::EncodingFailed,
        Kind::Unavailable,
        Kind::NotReady,
    ];

    pub(crate) fn facts(self) -> Facts {
        use StatusCode as S;
        let (name, title, status, retry_after_s) = match self {
            Kind::InvalidClientId => ("invalid-client-id", "Invalid client id", S::BAD_REQUEST, None),
            Kind::InvalidRequest => ("invalid-request", "Invalid request", S::BAD_REQUEST, None),
            Kind::InvalidParameter => ("invalid-parameter", "Invalid parameter", S::BAD_REQUEST, None),
            Kind::Unauthorized => ("unauthorized", "Unauthorized", S::UNAUTHORIZED, None),
            Kind::NotOwner => ("not-owner", "Client of another user", S::FORBIDDEN, None),
            Kind::NotPermitted => ("not-permitted", "Not permitted", S::FORBIDDEN, None),
            Kind::UnknownClient => ("unknown-client", "Unknown client", S::NOT_FOUND, None),
            Kind::UnknownPath => ("unknown-path", "Unknown path", S::NOT_FOUND, None),
            Kind::MethodNotAllowed => {
                ("method-not-allowed", "Method not allowed", S::METHOD_NOT_ALLOWED, None)
            }
            Kind::NotAcceptable => ("not-acceptable", "Not acceptable", S::NOT_ACCEPTABLE, None),
            Kind::BodyTooSlow => ("body-too-slow", "Body too slow", S::REQUEST_TIMEOUT, None),
            Kind::OutOfSequence => ("out-of-sequence", "Out of sequence", S::CONFLICT, None),
            Kind::Superseded => ("superseded", "Superseded", S::CONFLICT, None),
            Kind::BodyTooLarge => ("body-too-large", "Body too large", S::PAYLOAD_TOO_LARGE, None),
            Kind::TooManyClients => ("too-many-clients", "Too many clients", S::TOO_MANY_REQUESTS, Some(10)),
            Kind::TooManyPolls => ("too-many-polls", "Too many polls", S::TOO_MANY_REQUESTS, Some(1)),
            Kind::EncodingFailed => ("encoding-failed", "Encoding failed", S::INTERNAL_SERVER_ERROR, None),
            Kind::Unavailable => ("unavailable", "Unavailable", S::SERVICE_UNAVAILABLE, Some(1)),
            Kind::NotReady => ("not-ready", "Not ready", S::SERVICE_UNAVAILABLE, Some(1)),
        };
        Facts { name, title, status, retry_after_s }
    }
}

/// A request that is answered with a problem.
#[derive(Debug)]
pub(crate) struct Problem {
    kind: Kind,
    detail: Cow<'static, str>,
    /// Methods that the path knows.
    allow: Option<String>,
    /// Numbers of the acknowledged and the pending answer, where a poll contradicts them.
    acknowledged: Option<u64>,
    pending: Option<u64>,
}

impl Problem {
    pub(crate) fn new(kind: Kind, detail: impl Into<Cow<'static, str>>) -> Self {
        Self { kind, detail: detail.into(), allow: None, acknowledged: None, pending: None }
    }

    pub(crate) fn method_not_allowed(allow: String) -> Self {
        let detail = format!("this path knows the methods {allow}");
        Self { allow: Some(allow), ..Self::new(Kind::MethodNotAllowed, detail) }
    }

    /// The answer on a path of `dialect`.
    pub(crate) fn response(self, dialect: Dialect, request_id: &str) -> Response {
        let Facts { name, title, status, retry_after_s } = self.kind.facts();
        if status.is_server_error() {
            tracing::warn!(request_id, problem = name, detail = %self.detail, "a request was not answered");
        }
        let (status, content_type, body) = match dialect {
            Dialect::Native => {
                let Self { acknowledged, pending, .. } = self;
                let body = ProblemView {
                    kind: format!("/problems/{name}"),
                    title,
                    status: status.as_u16(),
                    detail: &self.detail,
                    request_id,
                    acknowledged,
                    pending,
                };
                (status, "application/problem+json", body.json())
            }
            Dialect::Reference => {
                let body = ErrorView { error: &self.detail };
                (reference_status(status), "application/json", body.json())
            }
        };
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
        if status == StatusCode::UNAUTHORIZED {
            headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
        }
        if let Some(seconds) = retry_after_s {
            headers.insert(RETRY_AFTER, HeaderValue::from(u16::from(seconds)));
        }
        if let Some(allow) = self.allow.and_then(|allow| HeaderValue::from_str(&allow).ok()) {
            headers.insert(ALLOW, allow);
        }
        response
    }
}

/// The reference has no 503: what it cannot retrieve is a 500.
fn reference_status(status: StatusCode) -> StatusCode {
    if status == StatusCode::SERVICE_UNAVAILABLE { StatusCode::INTERNAL_SERVER_ERROR } else { status }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let kind = match refusal {
            Refusal::UnknownClient => Kind::UnknownClient,
            Refusal::NotOwner => Kind::NotOwner,
            Refusal::TooManyClients { .. } | Refusal::TooManyClientsOfUser { .. } => Kind::TooManyClients,
            Refusal::Busy | Refusal::AnswersTooLarge => Kind::TooManyPolls,
            Refusal::OutOfSequence { .. } => Kind::OutOfSequence,
            Refusal::Superseded => Kind::Superseded,
        };
        let problem = Self::new(kind, refusal.to_string());
        match refusal {
            Refusal::OutOfSequence { acknowledged, pending } => {
                Self { acknowledged: Some(acknowledged), pending, ..problem }
            }
            _ => problem,
        }
    }
}

impl From<Crowded> for Problem {
    fn from(crowded: Crowded) -> Self {
        let detail = match crowded {
            Crowded::OfClient => "this client has as many polls in flight as one may have",
            Crowded::InAll => "there are as many polls in flight as may be in all",
            Crowded::WaitedTooLong => "another poll of this client takes too long",
            Crowded::AnswersTooLarge => "the answers that are on their way take as much memory as they may",
        };
        Self::new(Kind::TooManyPolls, detail)
    }
}

impl From<Truncated> for Problem {
    fn from(_: Truncated) -> Self {
        Self::new(Kind::EncodingFailed, "the answer could not be encoded")
    }
}

impl From<Unavailable> for Problem {
    fn from(_: Unavailable) -> Self {
        Self::new(Kind::Unavailable, "the tracer does not answer; it may be starting or stopping")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_poll_for_which_there_is_no_memory_may_come_again() {
        let response = Problem::from(Refusal::AnswersTooLarge).response(Dialect::Native, "1");
        assert_eq!(response.status(), StatusCode::TOO_MANY_REQUESTS);
        assert_eq!(response.headers().get(RETRY_AFTER), Some(&HeaderValue::from(1)));
    }
}
