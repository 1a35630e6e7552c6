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
        if let Err(reason) = in_namespace(&namespace, pass)? {
            refused.note(reason);
        }
    }
    Ok(refused.reason())
}

/// Does the work in the namespace; `None` when that has ended meanwhile. The inner error tells why it could not be entered,
/// or why the work failed.
///
/// # Errors
/// The thread cannot return from the namespace, and must not go on.
pub(super) fn in_namespace<T>(
    namespace: &Path,
    work: impl FnOnce() -> Result<T, CollectError>,
) -> Result<Result<Option<T>, String>, CollectError> {
    let namespace = match File::open(namespace) {
        Ok(namespace) => namespace,
        // It ended meanwhile, and its sockets with it.
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Ok(None)),
        Err(error) => return Ok(Err(error.to_string())),
    };
    let stuck = |source| CollectError::System { operation: "return to the own network namespace", source };
    Ok(match namespaces::inside(&namespace, work).map_err(stuck)? {
        Ok(done) => done.map(Some).map_err(|error| error.to_string()),
        Err(refused) => Err(refused.to_string()),
    })
}

/// Namespaces whose sockets could not be adopted.
#[derive(Default)]
struct Refused {
    count: u32,
    first: Option<String>,
}

impl Refused {
    fn note(&mut self, reason: String) {
        self.count += 1;
        self.first.get_or_insert(reason);
    }

    fn reason(self) -> Option<String> {
        let first = self.first?;
        Some(format!("{} network namespaces could not be entered: {first}", self.count))
    }
}
