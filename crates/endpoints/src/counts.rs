//! What the API counts of itself: connections, requests, and polls that it refuses.
//!
//! Shared by all connections and read without waiting for any of them. The state counts what it answers.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::http::StatusCode;
use encode::Count;

use crate::admission::Crowded;

/// Totals since the API began, but for the connections that are open.
#[derive(Debug, Default)]
pub(crate) struct Counts {
    connections: Number,
    connections_waited: Number,
    requests: Requests,
    polls_refused: PollsRefused,
    polls_superseded: Number,
    polls_out_of_sequence: Number,
    answers_gave_way: Number,
    answers_too_slow: Number,
}

/// Answered requests by the class of their status.
#[derive(Debug, Default)]
struct Requests {
    successful: Number,
    client_errors: Number,
    server_errors: Number,
}

/// Polls refused by cause.
#[derive(Debug, Default)]
struct PollsRefused {
    of_client: Number,
    in_all: Number,
    waited_too_long: Number,
    answers_too_large: Number,
}

#[derive(Debug, Default)]
struct Number(AtomicU64);

impl Number {
    fn add_one(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A connection that is counted as open, until it is dropped.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Counts>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.connections.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counts {
    /// A connection is served from now on.
    pub(crate) fn open(self: &Arc<Self>) -> OpenConnection {
        self.connections.add_one();
        OpenConnection(Arc::clone(self))
    }

    /// A connection had to wait for another to end.
    pub(crate) fn connection_waited(&self) {
        self.connections_waited.add_one();
    }

    /// A request has its answer. No route answers 1xx or 3xx.
    pub(crate) fn answered(&self, status: StatusCode) {
        let Requests { successful, client_errors, server_errors } = &self.requests;
        let class = if status.is_server_error() {
            server_errors
        } else if status.is_client_error() {
            client_errors
        } else {
            successful
        };
        class.add_one();
    }

    /// A poll was not admitted.
    pub(crate) fn poll_crowded(&self, crowded: Crowded) {
        let cause = match crowded {
            Crowded::OfClient => &self.polls_refused.of_client,
            Crowded::InAll => &self.polls_refused.in_all,
            Crowded::WaitedTooLong => &self.polls_refused.waited_too_long,
            Crowded::AnswersTooLarge => &self.polls_refused.answers_too_large,
        };
        cause.add_one();
    }

    /// A later poll has put an end to one whose answer had not arrived.
    pub(crate) fn poll_superseded(&self) {
        self.polls_superseded.add_one();
    }

    /// A poll said that its client has an answer that is neither pending nor acknowledged.
    pub(crate) fn poll_out_of_sequence(&self) {
        self.polls_out_of_sequence.add_one();
    }

    /// A slow reader was cut, because somebody else needed what its answer held.
    pub(crate) fn answer_gave_way(&self) {
        self.answers_gave_way.add_one();
    }

    /// The answer to a poll was cut, because it was not in the socket in time.
    pub(crate) fn answer_too_slow(&self) {
        self.answers_too_slow.add_one();
    }

    /// Everything, for the status.
    pub(crate) fn list(&self) -> [Count; 13] {
        let Self {
            connections,
            connections_waited,
            requests,
            polls_refused,
            polls_superseded,
            polls_out_of_sequence,
            answers_gave_way,
            answers_too_slow,
        } = self;
        let Requests { successful, client_errors, server_errors } = requests;
        let PollsRefused { of_client, in_all, waited_too_long, answers_too_large } = polls_refused;
        [
            Count::now(
                "http_connections",
                "sockeye_http_connections",
                "HTTP connections that are open.",
                connections.get(),
            ),
            Count::total(
                "http_connections_waited",
                "sockeye_http_connections_waited",
                "HTTP connections that waited for another to end, because the limit was reached.",
                connections_waited.get(),
            ),
            request("http_requests_2xx", "2xx", successful),
            request("http_requests_4xx", "4xx", client_errors),
            request("http_requests_5xx", "5xx", server_errors),
            poll_refused("polls_refused_of_client", "of_client", of_client),
            poll_refused("polls_refused_in_all", "in_all", in_all),
            poll_refused("polls_refused_waited_too_long", "waited_too_long", waited_too_long),
            poll_refused("polls_refused_answers_too_large", "answers_too_large", answers_too_large),
            Count::total(
                "polls_superseded",
                "sockeye_polls_superseded",
                "Polls to which a later poll of their client has put an end before their answer had arrived.",
                polls_superseded.get(),
            ),
            Count::total(
                "polls_out_of_sequence",
                "sockeye_polls_out_of_sequence",
                "Polls refused with 409, because their client has an answer that is neither pending nor acknowledged.",
                polls_out_of_sequence.get(),
            ),
            Count::total(
                "answers_gave_way",
                "sockeye_answers_gave_way",
                "Answers that were cut because their reader was slow, and another needed their place or memory.",
                answers_gave_way.get(),
            ),
            Count::total(
                "answers_too_slow",
                "sockeye_answers_too_slow",
                "Answers to polls that were cut because their reader had not taken them in 5 minutes.",
                answers_too_slow.get(),
            ),
        ]
    }
}

fn request(name: &'static str, class: &'static str, number: &Number) -> Count {
    let help = "Answered HTTP requests, by the class of their status. What is no HTTP is not counted.";
    Count::total(name, "sockeye_http_requests", help, number.get()).labelled("class", class)
}

fn poll_refused(name: &'static str, cause: &'static str, number: &Number) -> Count {
    let help = "Polls refused with 429: of_client and in_all, the limit of the client's polls or of all polls is \
                reached; waited_too_long, another poll of the client took too long; answers_too_large, the answers \
                on their way take as much memory as they may.";
    Count::total(name, "sockeye_polls_refused", help, number.get()).labelled("cause", cause)
}
