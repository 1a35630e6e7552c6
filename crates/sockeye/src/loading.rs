//! Loading with all privileges while the process has given up most of its own: the collector's thread begins first, and gives
//! up its own when the programs are attached and the sockets that are there adopted.
//!
//! What is kept is decided in `privileges`; what is loaded, by `collect`.

use std::ops::ControlFlow;
use std::sync::mpsc;
use std::thread::JoinHandle;

use anyhow::Context;
use collect::{CollectError, CollectLimits, Collector, PassRequests, Privileges, Report, kernel_now};
use connections::KernelTime;

/// Where reports go.
type Sink = Box<dyn FnMut(Report) -> ControlFlow<()> + Send>;

/// A collector that is being started.
pub(crate) struct Loading {
    pub(crate) began_at: KernelTime,
    pub(crate) requests: PassRequests,
    sink: mpsc::Sender<Sink>,
    starter: JoinHandle<Result<Collector, CollectError>>,
}

impl Loading {
    /// Begins to load, with the privileges of this thread; those beyond `kept` end with that. What is reported waits for
    /// [`finish`](Self::finish).
    pub(crate) fn begin(limits: CollectLimits, kept: Privileges) -> anyhow::Result<Self> {
        let began_at = kernel_now();
        let requests = PassRequests::new()?;
        let limits = CollectLimits { keep: Some(kept), ..limits };
        let (give, taken) = mpsc::channel();
        let of_starter = requests.clone();
        let starter = std::thread::Builder::new()
            .name("load".into())
            .spawn(move || Collector::start(limits, &of_starter, when_there_is_one(taken)))
            .context("cannot start the thread that loads")?;
        Ok(Self { began_at, requests, sink: give, starter })
    }

    /// Waits until all is loaded and the sockets that are there are adopted.
    ///
    /// # Errors
    /// Tracing cannot start.
    pub(crate) fn finish(
        self,
        sink: impl FnMut(Report) -> ControlFlow<()> + Send + 'static,
    ) -> anyhow::Result<Collector> {
        // Nobody takes it where loading has failed, which the thread then says.
        let _ = self.sink.send(Box::new(sink));
        let started = self.starter.join();
        Ok(started.map_err(|_| anyhow::anyhow!("the thread that loads has panicked"))??)
    }
}

/// A sink that waits for the real one with its first report, and ends where none comes.
fn when_there_is_one(sinks: mpsc::Receiver<Sink>) -> impl FnMut(Report) -> ControlFlow<()> + Send + 'static {
    let mut sink: Option<Sink> = None;
    move |report| {
        if sink.is_none() {
            sink = sinks.recv().ok();
        }
        sink.as_mut().map_or(ControlFlow::Break(()), |sink| sink(report))
    }
}
