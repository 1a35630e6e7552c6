//! Small answers that are no data: problems in both dialects, and probes.

use serde::Serialize;

/// An error as RFC 9457 has it, for native paths.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProblemView<'a> {
    /// Stable name of the kind of problem, as a relative URI.
    #[serde(rename = "type")]
    pub kind: String,
    /// The kind in words.
    pub title: &'a str,
    /// HTTP status.
    pub status: u16,
    /// What is wrong with this request.
    pub detail: &'a str,
    /// By which the log is searched.
    pub request_id: &'a str,
    /// Of a poll out of sequence: number of the acknowledged answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub acknowledged: Option<u64>,
    /// Of a poll out of sequence: number of the pending answer, if there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pending: Option<u64>,
}

/// An error as the reference system has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ErrorView<'a> {
    /// What is wrong with this request.
    pub error: &'a str,
}

/// The answer of a probe.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ProbeView {
    /// `live` or `ready`.
    pub status: &'static str,
}
