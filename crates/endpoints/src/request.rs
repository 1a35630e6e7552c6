//! Reading what a request says: client ids, query parameters, accepted types, the body.

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::HeaderMap;
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use deltas::{ClientId, InvalidClientId};
use encode::Form;
use http_body_util::{BodyExt, LengthLimitError, Limited};
use tokio::time::timeout;

use crate::accept::{Offer, best};
use crate::limits::HttpLimits;
use crate::problem::{Kind, Problem};

/// The client id in the path.
///
/// # Errors
/// The problem of an invalid id.
pub(crate) async fn client_in_path(parts: &mut Parts) -> Result<ClientId, Problem> {
    let Path(text) = Path::<String>::from_request_parts(parts, &()).await.map_err(|_| invalid_id())?;
    ClientId::parse(&text).map_err(|_| invalid_id())
}

/// The client id in the query; missing or empty it is [`ClientId::DEFAULT`].
///
/// # Errors
/// The problem of an invalid id or an unreadable query.
pub(crate) fn client_in_query(parts: &Parts) -> Result<ClientId, Problem> {
    let text = parameter(parts, "client_id")?.filter(|text| !text.is_empty());
    ClientId::parse(text.as_deref().unwrap_or(ClientId::DEFAULT)).map_err(|_| invalid_id())
}

/// Refuses what the native poll will understand later: ignoring it would break what it promises.
///
/// # Errors
/// The problem of an unsupported parameter or an unreadable query.
pub(crate) fn refuse_after(parts: &Parts) -> Result<(), Problem> {
    match parameter(parts, "after")? {
        None => Ok(()),
        Some(_) => Err(Problem::new(
            Kind::NotSupported,
            "the parameter after is not supported yet; without it a poll acknowledges itself when it arrived",
        )),
    }
}

/// Checks that the answer may be JSON: nothing is said, or `application/json` or a wildcard that holds it.
///
/// # Errors
/// The problem of an answer that would not be acceptable.
pub(crate) fn accepts_json(headers: &HeaderMap) -> Result<(), Problem> {
    let accepted = accepted(headers);
    let holds_json = ["application/json", "application/*", "*/*"].iter().any(|json| accepted.contains(json));
    if accepted.trim().is_empty() || holds_json {
        return Ok(());
    }
    Err(Problem::new(Kind::NotAcceptable, "this path answers application/json only"))
}

/// The form of metrics that the request prefers: OpenMetrics only where it is asked for.
///
/// # Errors
/// The problem of an answer that would not be acceptable.
pub(crate) fn metrics_form(headers: &HeaderMap) -> Result<Form, Problem> {
    let text = Offer { essence: "text/plain", version: "0.0.4", answer: Form::Text };
    let open_metrics =
        Offer { essence: "application/openmetrics-text", version: "1.0.0", answer: Form::OpenMetrics };
    best(&accepted(headers), &[text, open_metrics]).ok_or_else(|| {
        let detail =
            "this path answers text/plain version 0.0.4 and application/openmetrics-text version 1.0.0";
        Problem::new(Kind::NotAcceptable, detail)
    })
}

/// Refuses a request for protobuf, by the reference's own rule: the header contains the text.
///
/// # Errors
/// The problem of an answer that would not be acceptable.
pub(crate) fn refuse_protobuf(headers: &HeaderMap) -> Result<(), Problem> {
    if accepted(headers).contains("application/protobuf") {
        let detail = "application/protobuf is not supported yet; ask for application/json";
        return Err(Problem::new(Kind::NotAcceptable, detail));
    }
    Ok(())
}

/// Reads the body of a registration, which must be empty or an empty JSON object.
///
/// # Errors
/// The problem of a body that is too large, too slow, or says something.
pub(crate) async fn empty_body(body: Body, limits: &HttpLimits) -> Result<(), Problem> {
    let read = timeout(limits.body_read, Limited::new(body, limits.body_bytes).collect()).await;
    let bytes = match read {
        Ok(Ok(collected)) => collected.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            let detail = format!("a body has at most {} bytes", limits.body_bytes);
            return Err(Problem::new(Kind::BodyTooLarge, detail));
        }
        Ok(Err(_)) => return Err(Problem::new(Kind::InvalidRequest, "the body cannot be read")),
        Err(_) => return Err(Problem::new(Kind::BodyTooSlow, "the body did not arrive in time")),
    };
    match bytes.trim_ascii() {
        b"" | b"{}" => Ok(()),
        _ => Err(Problem::new(Kind::NotSupported, "a registration takes no settings yet; send no body")),
    }
}

/// The value of a parameter of the query, if it is there. Given twice it says two things, which is refused.
fn parameter(parts: &Parts, name: &str) -> Result<Option<String>, Problem> {
    let Query(parameters) = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri)
        .map_err(|_| Problem::new(Kind::InvalidRequest, "the query of the request cannot be read"))?;
    let mut values = parameters.into_iter().filter(|(key, _)| key == name).map(|(_, value)| value);
    let first = values.next();
    match values.next() {
        None => Ok(first),
        Some(_) => Err(Problem::new(Kind::InvalidRequest, format!("the parameter {name} is given twice"))),
    }
}

/// All that the request accepts, in lower case. A header that is no text accepts nothing known.
fn accepted(headers: &HeaderMap) -> String {
    let values = headers.get_all(ACCEPT).iter().map(|value| value.to_str().unwrap_or("unreadable"));
    values.collect::<Vec<_>>().join(",").to_ascii_lowercase()
}

fn invalid_id() -> Problem {
    Problem::new(Kind::InvalidClientId, InvalidClientId.to_string())
}
