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
/// Without `cgroups` no cgroup has a path.
#[must_use]
pub fn start(settings: ContextSettings, mut cgroups: Option<CgroupPaths>) -> (Arc<Context>, Option<Lookups>) {
    let namespaces: Arc<dyn Namespaces> = Arc::new(OfHost);
    let (context, lookups) = Context::start(settings, &namespaces, move |id: u64| -> Option<PathBuf> {
        cgroups.as_mut()?.path(id)
    });
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

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use collect::{KernelCounts, ProgramCosts};
    use connections::{KernelTime, LookupOutcome, Protocol, Tuple};
    use context::DnsLimits;

    use super::*;

    /// A query for `a.` of the type A, or its answer that there is no such name.
    fn payload(sent: bool, id: u8) -> Payload {
        let flags = if sent { [0x01, 0x00] } else { [0x81, 0x83] };
        let mut bytes = vec![0, id];
        bytes.extend(flags);
        bytes.extend([0, 1, 0, 0, 0, 0, 0, 0, 1, b'a', 0, 0, 1, 0, 1]);
        let end = |port| ([10, 0, 0, 1], port).into();
        Payload {
            connection: None,
            tuple: Tuple { protocol: Protocol::Udp, netns: 1, local: end(4000), remote: end(53) },
            sender_pid: 7,
            sent,
            at: KernelTime(1),
            whole_bytes: u32::try_from(bytes.len()).expect("it is short"),
            bytes,
            tcp_sequence: None,
        }
    }

    #[test]
    fn the_state_is_told_of_lookups_before_the_end_of_the_pass_that_they_were_seen_in() {
        let settings = ContextSettings { names: Some(DnsLimits::default()), ..ContextSettings::default() };
        let (context, lookups) = start(settings, CgroupPaths::open().ok());
        let (told, messages) = mpsc::channel();
        let mut sink = with_context(context, lookups, move |message| {
            told.send(message).expect("the test listens");
            ControlFlow::Continue(())
        });
        let ended = || Report::PassEnded {
            request: 1,
            counts: KernelCounts::default(),
            costs: ProgramCosts::default(),
        };
        assert!(
            sink(Report::Payloads(vec![payload(true, 1), payload(true, 2), payload(false, 1)])).is_continue()
        );
        // The boot of the kernel, at which the other one was asked for, is more than 15 s ago.
        assert!(sink(ended()).is_continue());
        assert!(sink(ended()).is_continue());
        let told: Vec<_> = messages.try_iter().collect();
        let [Message::LookedUp(answered, _), Message::LookedUp(expired, counts), end, nothing_new] =
            &told[..]
        else {
            panic!("{told:?}")
        };
        assert!(matches!(answered[0].outcome, LookupOutcome::Answered { rcode: 3, .. }), "{answered:?}");
        assert_eq!(expired[0].outcome, LookupOutcome::TimedOut);
        assert_eq!((answered.len(), expired.len(), counts.queries, counts.timed_out), (1, 1, 2, 1));
        for message in [end, nothing_new] {
            assert!(matches!(message, Message::Report(Report::PassEnded { .. })), "{message:?}");
        }
    }

    #[test]
    fn what_processes_do_goes_to_the_context_and_not_to_the_state() {
        let (context, lookups) = start(ContextSettings::default(), None);
        let mut sink = with_context(context, lookups, |message| panic!("{message:?}"));
        assert!(sink(Report::Processes(Vec::new())).is_continue());
        assert!(sink(Report::Payloads(vec![payload(true, 1)])).is_continue(), "names are off");
    }
}
