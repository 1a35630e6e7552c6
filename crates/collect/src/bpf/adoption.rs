//! Running an adopting iterator in a network namespace, and what could not be adopted.

use std::fs::File;
use std::io;
use std::path::Path;

use connections::Event;
use libbpf_rs::Link;

use super::iterate::read_all;
use super::reading::Reading;
use crate::error::CollectError;
use crate::namespaces;

/// Runs the iterator in every network namespace that can be entered; `begin` comes before each. Answers why others could
/// not be adopted.
///
/// # Errors
/// The thread cannot return from a namespace, and must not go on.
pub(super) fn adopt_everywhere(
    (hook, link): (&'static str, &Link),
    mut begin: impl FnMut() -> Result<(), CollectError>,
    events: &mut impl FnMut(Vec<Event>),
) -> Result<Option<String>, CollectError> {
    let mut refused = Refused::default();
    for namespace in namespaces::paths() {
        begin()?;
        // Facts in jiffies come with the next reading.
        let mut reading = Reading::default();
        let pass = || read_all(link, hook, |chunk| reading.hand_over(chunk, events));
        match in_namespace(&namespace, pass) {
            Err(error @ CollectError::System { .. }) => return Err(error),
            Err(error) => refused.note(&error.to_string()),
            Ok(Err(error)) => refused.note(&error.to_string()),
            Ok(Ok(_)) => {}
        }
    }
    Ok(refused.reason())
}

/// Does the work in the namespace; `None` when that has ended meanwhile. The outer error is that of the work, or means that
/// the thread could not return; the inner that the namespace could not be entered.
pub(super) fn in_namespace<T>(
    namespace: &Path,
    work: impl FnOnce() -> Result<T, CollectError>,
) -> Result<io::Result<Option<T>>, CollectError> {
    let namespace = match File::open(namespace) {
        Ok(namespace) => namespace,
        // It ended meanwhile, and its sockets with it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error)),
    };
    let stuck = |source| CollectError::System { operation: "return to the own network namespace", source };
    match namespaces::inside(&namespace, work).map_err(stuck)? {
        Ok(done) => done.map(|done| Ok(Some(done))),
        Err(refused) => Ok(Err(refused)),
    }
}

/// Namespaces whose sockets could not be adopted.
#[derive(Default)]
struct Refused {
    count: u32,
    first: Option<String>,
}

impl Refused {
    fn note(&mut self, reason: &str) {
        self.count += 1;
        self.first.get_or_insert_with(|| reason.to_owned());
    }

    fn reason(self) -> Option<String> {
        let first = self.first?;
        Some(format!("{} network namespaces could not be entered: {first}", self.count))
    }
}
