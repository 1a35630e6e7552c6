//! The host's own kernel: how it serves each capability, beside the kernels in machines.
//!
//! Its kernel tests are a layer of their own.

use std::path::Path;

use super::known;
use super::records::Outcome;
use super::results::{Ended, Results, Served};
use super::{Came, PROBE};
use crate::superuser;

/// What the host's kernel serves, under the name of its results; with `any` also if nothing is known of that release.
///
/// # Errors
/// Results that cannot be read, and why.
pub(crate) fn run(root: &Path, tests: &Path, any: bool) -> Result<(String, Came), String> {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease");
    let release = release.map_err(|error| format!("reading the release of this kernel: {error}"))?;
    let release = release.trim();
    let known = known::all(root)?.into_iter().find(|(_, known)| known.release == release);
    let name = match known {
        Some((name, _)) => name,
        None if any => version(release),
        None => {
            let reason = format!("{} holds nothing of this kernel, {release}", known::PLACE);
            return Ok(("host".into(), Came::NotRun(reason)));
        }
    };
    let mut results = Results { release: release.to_owned(), ..Results::default() };
    match probe(tests) {
        Ok(served) => {
            results.served = served;
            let (test, outcome) = (PROBE.to_owned(), Outcome::Passed);
            results.ended.push(Ended { test, outcome, milliseconds: 0 });
        }
        Err(fault) => results.faults.push(fault),
    }
    Ok((name, Came::Results(Box::new(results))))
}

fn probe(tests: &Path) -> Result<Vec<Served>, String> {
    let mut command = superuser::command(&tests.to_string_lossy(), &[]);
    let text = crate::programs::output(command.arg(PROBE))?;
    let served = text.lines().map(|line| match line.split('\t').collect::<Vec<_>>()[..] {
        [capability, hook, absent] => {
            let [capability, hook, absent] = [capability, hook, absent].map(str::to_owned);
            Ok(Served { capability, hook, absent })
        }
        _ => Err(format!("an unknown line: {line:?}")),
    });
    served.collect()
}

/// The first two numbers of a release.
fn version(release: &str) -> String {
    release.splitn(3, '.').take(2).collect::<Vec<_>>().join(".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_another_release_is_not_held_against_what_is_known() {
        let root = std::env::temp_dir().join(format!("sockeye-known-{}", std::process::id()));
        std::fs::create_dir_all(root.join(known::PLACE)).unwrap();
        let (_, came) = run(&root, Path::new("/nonexistent"), false).unwrap();
        assert!(matches!(came, Came::NotRun(_)), "{came:?}");
        // With `any` it is asked, and this one does not answer.
        let (_, came) = run(&root, Path::new("/nonexistent"), true).unwrap();
        std::fs::remove_dir_all(&root).unwrap();
        assert!(matches!(came, Came::Results(results) if results.faults.len() == 1));
        assert_eq!(version("6.18.44-fc-v595"), "6.18");
    }
}
