//! Tasks that outlive their request, so that the API does not end before them, nor wait for them for ever.

use std::sync::{Mutex, PoisonError};

use tokio::task::JoinSet;
use tokio::time::{Instant, timeout_at};

/// Running tasks.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<JoinSet<()>>);

impl Tasks {
    /// Starts a task.
    pub(crate) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut running = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended meanwhile.
        while running.try_join_next().is_some() {}
        running.spawn(task);
    }

    /// Waits until all have ended; at the deadline those that are left are stopped where they are.
    pub(crate) async fn finish(&self, deadline: Instant) {
        let mut running = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        let all = async { while running.join_next().await.is_some() {} };
        if timeout_at(deadline, all).await.is_err() {
            running.shutdown().await;
        }
    }
}
