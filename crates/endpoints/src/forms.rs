//! The forms of an answer that tells connections: which one a request asks for, and how it is written.
//!
//! What is in them is the business of `encode`; streaming them that of `body`.

use std::io;

use axum::http::HeaderMap;
use encode::native::{self, Fields};
use encode::{Answer, reference};

use crate::accept::{Offer, best};
use crate::coding::Coding;
use crate::dialect::Dialect;
use crate::problem::{Kind, Problem};
use crate::request::accepted;

/// The form of an answer that tells connections.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Form {
    /// Our own, under the name by which it was asked for.
    Native(native::Form, &'static str),
    Reference(reference::Form),
}

impl Form {
    pub(crate) fn dialect(self) -> Dialect {
        match self {
            Form::Native(..) => Dialect::Native,
            Form::Reference(_) => Dialect::Reference,
        }
    }

    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Form::Native(_, name) => name,
            Form::Reference(form) => form.content_type(),
        }
    }

    /// How the answer is compressed. Clients of the reference's paths ask for gzip without meaning it, because their
    /// library does; the reference compresses nothing, and the socket is of this host.
    pub(crate) fn coding(self, headers: &HeaderMap) -> Coding {
        match self {
            Form::Native(..) => Coding::accepted(headers),
            Form::Reference(_) => Coding::Identity,
        }
    }

    /// Writes the answer to a poll, of each connection the `fields`; the reference has no choice of them.
    ///
    /// # Errors
    /// Those of `out`.
    pub(crate) fn write(
        self,
        out: &mut impl io::Write,
        answer: &Answer<'_>,
        fields: Fields,
    ) -> io::Result<()> {
        match self {
            Form::Native(form, _) => native::write_delta(out, answer, form, fields),
            Form::Reference(form) => reference::write_connections(out, answer, form),
        }
    }
}

/// The form that a request on a native path prefers.
///
/// # Errors
/// The problem of an answer that would not be acceptable.
pub(crate) fn native(headers: &HeaderMap) -> Result<Form, Problem> {
    native_form(headers).map(|(form, name)| Form::Native(form, name))
}

/// The same, with the name by which it was asked for.
///
/// # Errors
/// The problem of an answer that would not be acceptable.
pub(crate) fn native_form(headers: &HeaderMap) -> Result<(native::Form, &'static str), Problem> {
    let offers = [
        ("application/json", native::Form::Json),
        ("application/x-ndjson", native::Form::Lines),
        ("application/protobuf", native::Form::Protobuf),
        ("application/x-protobuf", native::Form::Protobuf),
    ];
    let offers = offers.map(|(name, form)| Offer { essence: name, version: "", answer: (form, name) });
    best(&accepted(headers), &offers).ok_or_else(|| {
        let names = offers.map(|offer| offer.essence).join(", ");
        Problem::new(Kind::NotAcceptable, format!("this path answers {names}"))
    })
}

/// The form that a request on a path of the reference asks for, by the reference's own rule: the header contains the
/// name of protobuf, or it is JSON.
pub(crate) fn reference(headers: &HeaderMap) -> Form {
    let is_protobuf = accepted(headers).contains(reference::Form::Protobuf.content_type());
    Form::Reference(if is_protobuf { reference::Form::Protobuf } else { reference::Form::Json })
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;
    use axum::http::header::ACCEPT;

    use super::*;

    fn accepting(text: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(ACCEPT, HeaderValue::from_static(text))])
    }

    #[test]
    fn the_form_has_the_name_by_which_it_was_asked_for() {
        for (accept, name) in [
            ("", "application/json"),
            ("*/*", "application/json"),
            ("text/html, application/*;q=0.5", "application/json"),
            ("application/x-ndjson, application/json;q=0.9", "application/x-ndjson"),
            ("application/x-protobuf", "application/x-protobuf"),
            ("application/protobuf, */*;q=0.1", "application/protobuf"),
        ] {
            let form = native(&accepting(accept)).map(Form::content_type);
            assert_eq!(form.ok(), Some(name), "{accept}");
        }
        assert!(native(&accepting("text/html")).is_err());
    }

    #[test]
    fn on_the_paths_of_the_reference_protobuf_is_what_contains_its_name() {
        for (accept, name) in [
            ("", "application/json"),
            ("text/html", "application/json"),
            ("application/x-protobuf", "application/json"),
            ("application/protobuf", "application/protobuf"),
            ("text/html, application/protobuf;q=0", "application/protobuf"),
        ] {
            assert_eq!(reference(&accepting(accept)).content_type(), name, "{accept}");
        }
    }
}
