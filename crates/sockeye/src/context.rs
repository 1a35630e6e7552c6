//! Where the collector and the context meet: what is told of processes and by name servers goes to the context, on the thread
//! of the collector, and what became of lookups goes on to the state, before the pass that it was seen in ends.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;

use collect::{CgroupPaths, NetworkNamespaces, Report, kernel_now};
use connections::Payload;
use context::{Context, ContextSettings, DnsCounts, Lookups, Namespace, Namespaces};

use crate::state::Message;

/// Begins to learn who is behind connections of this host. With it come the lookups of names, unless names are off.
#[must_use]
pub fn start(settings: ContextSettings) -> (Arc<Context>, Option<Lookups>) {
    let mut paths = CgroupPaths::open().ok();
    let namespaces: Arc<dyn Namespaces> = Arc::new(OfHost);
    let (context, lookups) =
        Context::start(settings, &namespaces, move |id: u64| -> Option<PathBuf> { paths.as_mut()?.path(id) });
    (Arc::new(context), lookups)
}

/// The network namespaces of the host, as the collector finds and enters them.
#[derive(Debug)]
struct OfHost;

impl Namespaces for OfHost {
    fn all(&self) -> Vec<Namespace> {
        NetworkNamespaces.all().into_iter().map(|(inode, path)| Namespace { inode, path }).collect()
    }

    fn netlink(&self, namespace: &Namespace, protocol: i32) -> std::io::Result<std::os::fd::OwnedFd> {
        NetworkNamespaces.netlink(namespace.inode, &namespace.path, protocol)
    }
}

/// A sink for reports before the sink for messages to the state, on the same thread.
pub(crate) fn with_context(
    context: Arc<Context>,
    lookups: Option<Lookups>,
    mut sink: impl FnMut(Message) -> ControlFlow<()> + Send + 'static,
) -> impl FnMut(Report) -> ControlFlow<()> + Send + 'static {
    let mut names = lookups.map(LookedUp::of);
    move |report| match report {
        Report::Processes(events) => {
            context.apply(&events);
            ControlFlow::Continue(())
        }
        Report::Payloads(payloads) => names
            .as_mut()
            .and_then(|names| names.take(&payloads))
            .map_or(ControlFlow::Continue(()), &mut sink),
        Report::PassEnded { .. } => {
            names.as_mut().and_then(LookedUp::expire).map_or(ControlFlow::Continue(()), &mut sink)?;
            sink(Message::Report(report))
        }
        Report::Events(_) | Report::Failed(_) => sink(Message::Report(report)),
    }
}

/// Lookups, and what was counted of them when the state was told last.
struct LookedUp {
    lookups: Lookups,
    told: DnsCounts,
}

impl LookedUp {
    fn of(lookups: Lookups) -> Self {
        Self { told: lookups.counts(), lookups }
    }

    fn take(&mut self, payloads: &[Payload]) -> Option<Message> {
        let mut ended = Vec::new();
        payloads.iter().for_each(|payload| self.lookups.take(payload, &mut ended));
        (!ended.is_empty()).then(|| self.message(ended))
    }

    fn expire(&mut self) -> Option<Message> {
        let mut ended = Vec::new();
        self.lookups.expire(kernel_now(), &mut ended);
        let is_news = !ended.is_empty() || self.lookups.counts() != self.told;
        is_news.then(|| self.message(ended))
    }

    fn message(&mut self, ended: Vec<connections::Lookup>) -> Message {
        self.told = self.lookups.counts();
        Message::LookedUp(ended, Box::new(self.told))
    }
}
