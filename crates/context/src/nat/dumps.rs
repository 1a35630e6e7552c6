//! The thread that lists what is there: after a namespace was found, after an overflow, and at intervals where the kernel
//! does not tell all ends. It rests four times as long as it works, so that it takes a fifth of a core at most.

use std::io;
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

use super::counts::add;
use super::message::{DESTINATION_NAT, Message, SOURCE_NAT, read};
use super::request;
use super::shared::{Shared, Unlisted, lock, now};
use super::socket::{self, DATAGRAM_BYTES, Read};
use super::way::Translation;
use crate::{Namespace, Namespaces};

/// How much longer than working is resting.
const RESTS: u32 = 4;
/// A dump that was disturbed is tried so often.
const TRIES: usize = 3;

/// Runs until all stops.
pub(crate) fn run(shared: &Shared) {
    while let Some(netns) = shared.next_dump() {
        let Some(namespace) = lock(&shared.listeners).get(netns).cloned() else { continue };
        let complete = (0..TRIES).find_map(|_| dump(shared, &namespace).transpose());
        let complete = complete.unwrap_or_else(|| Err(io::Error::other("it was disturbed each time")));
        if shared.is_stopping() {
            return;
        }
        let mut troubles = lock(&shared.troubles);
        match complete {
            Ok(()) => {
                add(&shared.totals.dumps, 1);
                troubles.dumps.remove(&netns);
            }
            // One that has gone meanwhile is no trouble.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => {
                add(&shared.totals.failed_dumps, 1);
                let absent = matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported);
                troubles.dumps.insert(netns, Unlisted { absent, why: error.to_string() });
            }
        }
    }
}

/// `None` when it is to be repeated.
fn dump(shared: &Shared, namespace: &Namespace) -> io::Result<Option<()>> {
    let netns = namespace.inode;
    let began = now();
    let mut listing = Listing::open(&*shared.namespaces, namespace)?;
    lock(&shared.table).dump_begins(netns);
    if listing.number_of_tracked()? > 0 {
        let mut work = Instant::now();
        let mut step = |translations: &mut Vec<Listed>| {
            let mut table = lock(&shared.table);
            for (translation, _) in translations.drain(..).filter(|(translation, _)| translation.translates())
            {
                table.listed(netns, &translation, began, now());
            }
            drop(table);
            shared.rest(work.elapsed() * RESTS);
            work = Instant::now();
            if shared.is_stopping() { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
        };
        // Those whose source is translated, then the others whose destination is. A kernel that does not choose tells all
        // at once.
        let source = (SOURCE_NAT, SOURCE_NAT);
        let only_destination = (DESTINATION_NAT, SOURCE_NAT | DESTINATION_NAT);
        for status in [source, only_destination] {
            let end = listing.dump(Some(status), &mut step)?;
            add(&shared.totals.malformed, end.malformed);
            if !end.complete {
                return Ok(None);
            }
            if !end.chosen {
                break;
            }
        }
    }
    lock(&shared.table).dump_is_complete(netns, began, now());
    Ok(Some(()))
}

/// A translation, and its status.
pub(crate) type Listed = (Translation, u32);

/// A socket that is told all that is there.
pub(crate) struct Listing {
    socket: std::os::fd::OwnedFd,
    buffer: Vec<u8>,
    sequence: u32,
}

/// How a dump came to its end.
#[derive(Debug, Default)]
pub(crate) struct End {
    /// Nothing is missing.
    pub(crate) complete: bool,
    /// Whoever was told had enough before.
    pub(crate) cut: bool,
    /// All had the status that was asked for.
    chosen: bool,
    malformed: u64,
}

impl Listing {
    pub(crate) fn open(namespaces: &dyn Namespaces, namespace: &Namespace) -> io::Result<Self> {
        Ok(Self {
            socket: socket::open(namespaces, namespace)?,
            buffer: vec![0; DATAGRAM_BYTES],
            sequence: 0,
        })
    }

    /// How many connections are tracked in the namespace, translated or not; a kernel that does not say has some.
    pub(crate) fn number_of_tracked(&mut self) -> io::Result<u32> {
        self.sequence += 1;
        socket::ask(&self.socket, &request::number_of_tracked(self.sequence))?;
        let mut number = None;
        while number.is_none() {
            self.receive(|message| match message {
                Message::Tracked(tracked) => number = Some(Ok(tracked)),
                Message::Refused(code) if code != 0 => number = Some(Err(io::Error::from_raw_os_error(code))),
                _ => number = Some(Ok(u32::MAX)),
            })?;
        }
        number.unwrap_or(Ok(u32::MAX))
    }

    /// Lists what is there, some at a time, until `each` has enough.
    ///
    /// # Errors
    /// The kernel refuses, or does not answer.
    pub(crate) fn dump(
        &mut self,
        status: Option<(u32, u32)>,
        mut each: impl FnMut(&mut Vec<Listed>) -> ControlFlow<()>,
    ) -> io::Result<End> {
        self.sequence += 1;
        socket::ask(&self.socket, &request::dump(self.sequence, status))?;
        let mut end = End { chosen: true, ..End::default() };
        let mut translations = Vec::new();
        let (mut over, mut disturbed, mut refused) = (false, false, None);
        while !over {
            self.receive(|message| match message {
                Message::There(translation, has) => {
                    end.chosen &= status.is_none_or(|(value, mask)| has & mask == value);
                    translations.push((translation, has));
                }
                Message::Done { disturbed: by_somebody } => {
                    (over, disturbed) = (true, disturbed || by_somebody)
                }
                Message::Refused(code) => (over, refused) = (true, Some(code)),
                Message::Malformed => end.malformed += 1,
                Message::Gone(..) | Message::Tracked(_) | Message::Foreign => {}
            })?;
            if let Some(code) = refused {
                return Err(io::Error::from_raw_os_error(code));
            }
            if each(&mut translations).is_break() {
                end.cut = true;
                return Ok(end);
            }
            translations.clear();
        }
        end.complete = !disturbed && end.malformed == 0;
        Ok(end)
    }

    /// Waits for a datagram and reads it.
    fn receive(&mut self, each: impl FnMut(Message)) -> io::Result<()> {
        loop {
            match socket::read(&self.socket, &mut self.buffer)? {
                Read::Datagram(datagram) => {
                    read(datagram, each);
                    return Ok(());
                }
                Read::Empty => socket::wait(&self.socket)?,
                Read::Stranger => {}
                Read::Overflow => return Err(io::Error::other("the kernel had no room to answer")),
            }
        }
    }
}

/// How long the kernel's table of a host may be listed.
pub(crate) fn deadline(time: Duration) -> impl Fn() -> bool {
    let until = Instant::now() + time;
    move || Instant::now() >= until
}
