//! What the context remembers, as the reference's debug pages show it: here `context` and `encode` meet.

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::os::unix::fs::MetadataExt;
use std::time::Duration;

use connections::Process;
use context::{Context, TrackedConnection};
use encode::reference::{ConntrackPage, ProcessPage, Tracked};
use endpoints::Page;
use rustix::time::{ClockId, clock_gettime};

/// So long the kernel is asked for what it tracks.
const HOST_TIME: Duration = Duration::from_secs(30);

/// True when this page can be written.
pub(crate) fn has(context: &Context, page: Page) -> bool {
    match page {
        Page::ConntrackCached | Page::ConntrackHost => context.nat().is_some(),
        Page::ProcessCache => context.processes().is_some(),
    }
}

/// Writes it.
///
/// # Errors
/// Those of `out`.
pub(crate) fn write(context: &Context, page: Page, out: &mut dyn io::Write) -> io::Result<()> {
    match page {
        Page::ConntrackCached => write_cached(context, out),
        Page::ConntrackHost => write_host(context, out),
        Page::ProcessCache => write_processes(context, out),
    }
}

/// Sorted by namespace, for which all are held at once: 16 MiB at the limit.
fn write_cached(context: &Context, out: &mut dyn io::Write) -> io::Result<()> {
    let mut all: BTreeMap<u32, Vec<Tracked>> = BTreeMap::new();
    if let Some(nat) = context.nat() {
        nat.cached(|tracked| {
            all.entry(tracked.netns).or_default().push(view(&tracked));
            ControlFlow::Continue(())
        });
    }
    let mut page = ConntrackPage::begin(out, root_netns())?;
    for (netns, tracked) in all {
        tracked.into_iter().try_for_each(|tracked| page.entry(netns, tracked))?;
    }
    page.end(false)
}

/// As the kernel tells them, namespace by namespace.
fn write_host(context: &Context, out: &mut dyn io::Write) -> io::Result<()> {
    let mut page = ConntrackPage::begin(out, root_netns())?;
    let mut written = Ok(());
    let listed = context.nat().map(|nat| {
        nat.host(HOST_TIME, |tracked| {
            written = page.entry(tracked.netns, view(&tracked));
            if written.is_ok() { ControlFlow::Continue(()) } else { ControlFlow::Break(()) }
        })
    });
    written?;
    page.end(listed.is_some_and(|listed| listed.cut || listed.incomplete > 0))
}

fn view(tracked: &TrackedConnection) -> Tracked {
    let TrackedConnection { protocol, original, reply, .. } = *tracked;
    Tracked { protocol, original, reply }
}

fn root_netns() -> u32 {
    let inode = std::fs::metadata("/proc/self/ns/net").map_or(0, |own| own.ino());
    u32::try_from(inode).unwrap_or(0)
}

/// Sorted by process id and start.
fn write_processes(context: &Context, out: &mut dyn io::Write) -> io::Result<()> {
    let mut all: Vec<Process> = Vec::new();
    if let Some(processes) = context.processes() {
        processes.each(|process, _| all.push(process.clone()));
    }
    all.sort_by_key(|process| process.key);
    let boot_unix_ns = nanoseconds(ClockId::Realtime) - nanoseconds(ClockId::Boottime);
    let mut page = ProcessPage::begin(out)?;
    for process in all {
        let started_at = i64::try_from(process.key.started_at_boot_ns).unwrap_or(i64::MAX);
        page.process(&process, boot_unix_ns.saturating_add(started_at))?;
    }
    page.end()
}

fn nanoseconds(clock: ClockId) -> i64 {
    let time = clock_gettime(clock);
    time.tv_sec.saturating_mul(1_000_000_000).saturating_add(time.tv_nsec)
}
