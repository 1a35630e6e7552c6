//! Reading what a request says: client ids, query parameters, accepted types, the body.

use axum::body::Body;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::header::ACCEPT;
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method};
use connections::Criteria;
use deltas::{Ask, ClientId, InvalidClientId, Settings, View};
use encode::native::{CRITERIA_ALLOWED, Fields, InvalidCriterion, UnknownField, read_criterion};
use encode::{Form, InvalidSettings, ROLLUP_ALLOWED, SETTINGS_ALLOWED, read_settings, view_named};
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
    let parameters = Parameters::of(parts)?;
    let text = parameters.get("client_id")?.filter(|text| !text.is_empty());
    ClientId::parse(text.unwrap_or(ClientId::DEFAULT)).map_err(|_| invalid_id())
}

/// The texts of a parameter that has several, separated by commas; none when it is missing.
///
/// # Errors
/// The problem of an unreadable query.
pub(crate) fn list_in_query(parts: &Parts, name: &str) -> Result<Vec<String>, Problem> {
    let parameters = Parameters::of(parts)?;
    let texts = parameters.get(name)?.unwrap_or_default().split(',').map(str::trim);
    Ok(texts.filter(|text| !text.is_empty()).map(str::to_owned).collect())
}

/// What a native poll says. A parameter that is not known is refused: ignoring it would break what it asks for.
///
/// # Errors
/// The problem of an invalid parameter or an unreadable query.
pub(crate) fn native_ask(parts: &Parts) -> Result<Ask, Problem> {
    let parameters = Parameters::of(parts)?;
    let unknown =
        parameters.0.iter().find(|(name, _)| !matches!(name.as_str(), "after" | "rollup" | "fields"));
    if let Some((name, _)) = unknown {
        return Err(unknown_parameter(name, "after, rollup and fields"));
    }
    let after =
        parameters.get("after")?.map(|text| number(text).ok_or_else(|| invalid_number("after", text)));
    Ok(Ask { after: after.transpose()?, view: parameters.view()? })
}

/// Which fields of connections are asked for; all, unless something is said.
///
/// # Errors
/// The problem of an unknown field or an unreadable query.
pub(crate) fn fields(parts: &Parts) -> Result<Fields, Problem> {
    Parameters::of(parts)?.fields()
}

/// What a listing is asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) criteria: Criteria,
    pub(crate) fields: Fields,
    pub(crate) limit: Option<u64>,
}

/// What a listing is asked for. A parameter that is not known is refused: ignoring it would list what was not asked for.
///
/// # Errors
/// The problem of an invalid parameter or an unreadable query.
pub(crate) fn listed(parts: &Parts) -> Result<Listed, Problem> {
    let parameters = Parameters::of(parts)?;
    let mut criteria = Criteria::default();
    for (name, value) in &parameters.0 {
        // One that is there twice says two things.
        parameters.get(name)?;
        if matches!(name.as_str(), "fields" | "limit") {
            continue;
        }
        read_criterion(name, value, &mut criteria).map_err(|invalid| match invalid {
            InvalidCriterion::Unknown => {
                unknown_parameter(name, &format!("{CRITERIA_ALLOWED}, fields and limit"))
            }
            InvalidCriterion::Value { allowed } => invalid_parameter(name, &format!("{value:?}"), &allowed),
        })?;
    }
    let limit =
        parameters.get("limit")?.map(|text| number(text).ok_or_else(|| invalid_number("limit", text)));
    Ok(Listed { criteria, fields: parameters.fields()?, limit: limit.transpose()? })
}

/// What a poll on the reference's path says. What is not known there is ignored, as in the reference.
///
/// # Errors
/// The problem of an invalid parameter or an unreadable query.
pub(crate) fn reference_ask(parts: &Parts) -> Result<Ask, Problem> {
    Ok(Ask { after: None, view: Parameters::of(parts)?.view()? })
}

/// The answer to a `HEAD` has no body: what is streamed could tell nothing, and would be made in vain.
///
/// # Errors
/// The problem of a method that this path does not know.
pub(crate) fn refuse_head(parts: &Parts) -> Result<(), Problem> {
    match parts.method {
        Method::HEAD => Err(Problem::method_not_allowed(Method::GET.to_string())),
        _ => Ok(()),
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

/// Reads the body of a registration: nothing, or its settings as a JSON object.
///
/// # Errors
/// The problem of a body that is too large, too slow, unreadable, or asks for what there is not.
pub(crate) async fn settings(body: Body, limits: &HttpLimits) -> Result<Settings, Problem> {
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
    read_settings(&bytes).map_err(|invalid| match invalid {
        InvalidSettings::NotAnObject => Problem::new(Kind::InvalidRequest, "the body is no JSON object"),
        InvalidSettings::Twice { name } => given_twice(&name),
        InvalidSettings::UnknownField { name } => unknown_parameter(&name, SETTINGS_ALLOWED),
        InvalidSettings::InvalidValue { name, value, allowed } => invalid_parameter(name, &value, &allowed),
    })
}

/// The parameters of the query, in their order.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(parts: &Parts) -> Result<Self, Problem> {
        let Query(parameters) = Query::try_from_uri(&parts.uri)
            .map_err(|_| Problem::new(Kind::InvalidRequest, "the query of the request cannot be read"))?;
        Ok(Self(parameters))
    }

    /// The value of a parameter, if it is there. Given twice it says two things, which is refused.
    fn get(&self, name: &str) -> Result<Option<&str>, Problem> {
        let mut values = self.0.iter().filter(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let first = values.next();
        match values.next() {
            None => Ok(first),
            Some(_) => Err(given_twice(name)),
        }
    }

    fn fields(&self) -> Result<Fields, Problem> {
        let Some(text) = self.get("fields")? else { return Ok(Fields::ALL) };
        let allowed = format!("a list, separated by commas, of {}", Fields::allowed());
        Fields::parse(text)
            .map_err(|UnknownField { name }| invalid_parameter("fields", &format!("{name:?}"), &allowed))
    }

    fn view(&self) -> Result<Option<View>, Problem> {
        let named = |text: &str| {
            let invalid = || invalid_parameter("rollup", &format!("{text:?}"), ROLLUP_ALLOWED);
            view_named(text).ok_or_else(invalid)
        };
        self.get("rollup")?.map(named).transpose()
    }
}

/// A decimal number and nothing else: no sign, no blank.
fn number(text: &str) -> Option<u64> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

fn invalid_number(name: &str, text: &str) -> Problem {
    invalid_parameter(name, &format!("{text:?}"), &format!("a decimal number up to {}", u64::MAX))
}

fn invalid_parameter(name: &str, value: &str, allowed: &str) -> Problem {
    let value = shortened(value);
    Problem::new(Kind::InvalidParameter, format!("{name} is {value}; allowed is {allowed}"))
}

fn unknown_parameter(name: &str, allowed: &str) -> Problem {
    let name = shortened(name);
    Problem::new(Kind::InvalidParameter, format!("there is no parameter {name:?}; allowed are {allowed}"))
}

fn given_twice(name: &str) -> Problem {
    let name = shortened(name);
    Problem::new(Kind::InvalidRequest, format!("the parameter {name} is given twice"))
}

/// What the request says, short enough to be repeated in an answer.
fn shortened(text: &str) -> String {
    const CHARACTERS_MAX: usize = 64;
    match text.char_indices().nth(CHARACTERS_MAX) {
        Some((end, _)) => format!("{}…", &text[..end]),
        None => text.to_owned(),
    }
}

/// All that the request accepts, in lower case. A header that is no text accepts nothing known.
pub(crate) fn accepted(headers: &HeaderMap) -> String {
    let values = headers.get_all(ACCEPT).iter().map(|value| value.to_str().unwrap_or("unreadable"));
    values.collect::<Vec<_>>().join(",").to_ascii_lowercase()
}

fn invalid_id() -> Problem {
    Problem::new(Kind::InvalidClientId, InvalidClientId.to_string())
}

#[cfg(test)]
mod tests {
    use axum::http::Request;

    use super::*;

    fn parts(uri: &str) -> Parts {
        Request::get(uri).body(()).expect("a valid uri").into_parts().0
    }

    #[test]
    fn a_poll_asks_for_what_its_parameters_say() {
        for (query, after, view) in [
            ("", None, None),
            ("?after=0", Some(0), None),
            ("?after=18446744073709551615", Some(u64::MAX), None),
            ("?rollup=ports&after=7", Some(7), Some(View::Ports)),
            ("?rollup=none", None, Some(View::Each)),
        ] {
            let ask =
                native_ask(&parts(&format!("/v1/clients/a/connections{query}"))).expect("it is allowed");
            assert_eq!(ask, Ask { after, view }, "{query}");
            let path = "/network_tracer/connections";
            let ask = reference_ask(&parts(&format!("{path}{query}"))).expect("it is allowed");
            assert_eq!(ask, Ask { after: None, view }, "{query}");
        }
    }

    #[test]
    fn what_a_request_says_is_repeated_shortened_between_characters() {
        assert_eq!(shortened(&"é".repeat(64)), "é".repeat(64));
        assert_eq!(shortened(&"é".repeat(65)), format!("{}…", "é".repeat(64)));
    }
}
