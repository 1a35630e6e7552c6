//! What every endpoint works with: the way to the state, the bounds, and who asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::http::request::Parts;
use encode::Status;
use tokio::sync::oneshot;

use crate::admission::Admission;
use crate::counts::Counts;
use crate::limits::HttpLimits;
use crate::link::Link;
use crate::problem::Problem;
use crate::query::{Backend, Query, Reply, Unavailable};
use crate::readers::Readers;
use crate::tasks::Tasks;

/// Shared by all requests.
pub(crate) struct Api<B> {
    pub(crate) backend: B,
    pub(crate) limits: HttpLimits,
    pub(crate) admission: Arc<Admission>,
    pub(crate) counts: Arc<Counts>,
    pub(crate) readers: Arc<Readers>,
    /// Polls until the fate of their answer is known.
    pub(crate) polls: Tasks,
}

impl<B: Backend> Api<B> {
    pub(crate) fn new(backend: B, limits: HttpLimits) -> Arc<Self> {
        let admission = Admission::new(limits.polls, limits.polls_per_client);
        let (counts, polls) = (Arc::<Counts>::default(), Tasks::default());
        let readers = Readers::new(limits.slow_read, Arc::clone(&counts));
        Arc::new(Self { backend, limits, admission, counts, readers, polls })
    }

    /// Asks the state and waits for its reply.
    ///
    /// # Errors
    /// The problem of an unavailable state, also when it drops the question.
    pub(crate) async fn ask<T>(&self, query: impl FnOnce(Reply<T>) -> Query) -> Result<T, Problem> {
        let (reply, answer) = oneshot::channel();
        self.backend.ask(query(reply)).await?;
        answer.await.map_err(|_| Problem::from(Unavailable))
    }

    /// What the state knows of the tracer, and what the API counts itself. Waits for no pass.
    ///
    /// # Errors
    /// The problem of an unavailable state.
    pub(crate) async fn status(&self) -> Result<Status, Problem> {
        let mut status = self.ask(|reply| Query::Status { reply }).await?;
        status.counters.extend(self.counts.list());
        Ok(status)
    }
}

/// Who asks, on which connection, and the name of the request in the log and in the answer.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) link: Arc<Link>,
    pub(crate) request_id: Arc<str>,
}

impl Caller {
    pub(crate) fn new(link: Arc<Link>) -> Self {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        Self { link, request_id: format!("{number:08x}").into() }
    }
}

/// One request, as the endpoints get it.
pub(crate) struct Call<B> {
    pub(crate) api: Arc<Api<B>>,
    pub(crate) caller: Caller,
    pub(crate) parts: Parts,
    pub(crate) body: Body,
}
