//! Rules about crates: their names, which way they depend, and how a dependency is written down.
//!
//! The lists here are the house rules of the architecture; reading a manifest is for `manifest`.

use super::Violation;
use super::manifest::{Dependency, Manifest, Section};

/// Crates without a world, in the order of the pipeline: each sees only those before it.
const PURE: [&str; 3] = ["connections", "deltas", "encode"];
/// Crates that touch the world, and never each other.
const EDGE: [&str; 6] = ["collect", "context", "endpoints", "export", "history", "top"];
/// The crate that wires everything.
const WHOLE: &str = "sockeye";
/// Names that collect whatever has no place.
const NAMELESS: [&str; 4] = ["common", "utils", "core", "types"];
/// Beginnings of the names of libraries that do IO, read clocks, start threads or are async runtimes.
const WORLD: [&str; 22] = [
    "async",
    "aya",
    "axum",
    "clap",
    "crossbeam",
    "futures",
    "http",
    "hyper",
    "libbpf",
    "libc",
    "mio",
    "netlink",
    "nix",
    "procfs",
    "rayon",
    "reqwest",
    "rustix",
    "smol",
    "socket2",
    "tokio",
    "tower",
    "tracing",
];
/// Beginnings of the names of libraries that turn values into bytes.
const WIRE: [&str; 2] = ["serde", "prost"];

/// Checks one manifest against every rule here.
pub(crate) fn check(file: &str, manifest: &Manifest) -> Vec<Violation> {
    let mut violations = Vec::new();
    violations.extend(crate_name(file, manifest));
    let name = manifest.name.as_ref().map_or("", |(name, _)| name);
    for dependency in &manifest.dependencies {
        let rules = if dependency.section == Section::Workspace {
            vec![explanation(dependency)]
        } else {
            vec![
                inheritance(dependency),
                direction(name, &dependency.name),
                world(name, &dependency.name),
                wire(name, dependency),
            ]
        };
        let found = rules.into_iter().flatten();
        violations.extend(found.map(|rule| Violation::new(file, dependency.line, rule)));
    }
    violations
}

/// A crate is named after its stage, and so is its folder.
fn crate_name(file: &str, manifest: &Manifest) -> Option<Violation> {
    let (name, line) = manifest.name.as_ref()?;
    let folder = file.strip_suffix("/Cargo.toml").and_then(|path| path.rsplit('/').next()).unwrap_or(name);
    if NAMELESS.contains(&name.as_str()) || NAMELESS.contains(&folder) {
        return Some(Violation::new(file, *line, format!("no crate is called {}", NAMELESS.join(", "))));
    }
    (folder != name).then(|| Violation::new(file, *line, "a crate has the name of its folder"))
}

/// The table of the workspace says why each library is there.
fn explanation(dependency: &Dependency) -> Option<String> {
    let silent = !dependency.path && !dependency.explained;
    silent.then(|| format!("`{}` needs a comment right above that says why it is there", dependency.name))
}

/// Versions are chosen in one place.
fn inheritance(dependency: &Dependency) -> Option<String> {
    (!dependency.inherited)
        .then(|| format!("`{}` takes its version with `workspace = true`", dependency.name))
}

/// Which crates of the workspace a crate may see.
fn direction(from: &str, to: &str) -> Option<String> {
    let stage = |name: &str| PURE.iter().position(|pure| *pure == name);
    let (from_edge, to_edge) = (EDGE.contains(&from), EDGE.contains(&to));
    let allowed = match (stage(from), stage(to)) {
        _ if to == WHOLE => false,
        _ if from == WHOLE => true,
        (Some(later), Some(earlier)) => earlier < later,
        (Some(_), None) if to_edge => {
            return Some(format!("pure crate `{from}` depends on edge crate `{to}`"));
        }
        (None, Some(_)) if from == "top" => to == "encode",
        _ if from_edge && to_edge => {
            return Some(format!("edge crate `{from}` depends on edge crate `{to}`"));
        }
        _ => true,
    };
    (!allowed).then(|| format!("`{from}` must not see `{to}`: data flows the other way"))
}

/// Pure crates have no world.
fn world(from: &str, to: &str) -> Option<String> {
    (PURE.contains(&from) && WORLD.iter().any(|library| begins(to, library)))
        .then(|| format!("pure crate `{from}` depends on `{to}`, which touches the world"))
}

/// One crate owns the wire types; the whole reads its configuration. Tests may read JSON.
fn wire(from: &str, dependency: &Dependency) -> Option<String> {
    let to = &dependency.name;
    let reads = dependency.section == Section::Development && to == "serde_json";
    (!["encode", WHOLE].contains(&from) && !reads && WIRE.iter().any(|library| begins(to, library)))
        .then(|| format!("`{from}` depends on `{to}`: only `encode` owns wire types"))
}

/// Whether the crate is the library or one of its family: `hyper` and `hyper-util`, but not `hyperbole`.
fn begins(name: &str, library: &str) -> bool {
    name.strip_prefix(library).is_some_and(|rest| rest.is_empty() || rest.starts_with(['-', '_']))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The lines of the violations in a crate of that name with these dependency tables.
    fn lines(name: &str, tables: &str) -> Vec<usize> {
        let manifest = Manifest::parse(&format!("[package]\nname = \"{name}\"\n{tables}"));
        let violations = check(&format!("crates/{name}/Cargo.toml"), &manifest);
        violations.iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_pure_crate_sees_only_earlier_stages() {
        assert_eq!(lines("deltas", "[dependencies]\nconnections.workspace = true\n"), []);
        assert_eq!(lines("connections", "[dependencies]\ndeltas.workspace = true\n"), [4]);
        assert_eq!(lines("deltas", "[dev-dependencies]\ncollect.workspace = true\n"), [4]);
    }

    #[test]
    fn a_pure_crate_has_no_world() {
        let tables = "[dependencies]\nfoldhash.workspace = true\ntokio.workspace = true\nhyper-util.workspace = true\n\
                      libbpf-rs.workspace = true\nhyperbole.workspace = true\n";
        assert_eq!(lines("connections", tables), [5, 6, 7]);
        assert_eq!(lines("collect", tables), []);
    }

    #[test]
    fn edge_crates_do_not_see_each_other() {
        assert_eq!(
            lines("endpoints", "[dependencies]\ncollect.workspace = true\nencode.workspace = true\n"),
            [4]
        );
        assert_eq!(lines("top", "[dependencies]\nencode.workspace = true\ndeltas.workspace = true\n"), [5]);
    }

    #[test]
    fn only_the_whole_sees_everything() {
        assert_eq!(
            lines("sockeye", "[dependencies]\ncollect.workspace = true\nendpoints.workspace = true\n"),
            []
        );
        assert_eq!(lines("endpoints", "[dev-dependencies]\nsockeye.workspace = true\n"), [4]);
        assert_eq!(lines("encode", "[dependencies]\nsockeye.workspace = true\n"), [4]);
    }

    #[test]
    fn only_encode_owns_wire_types() {
        let tables =
            "[dependencies]\nserde.workspace = true\nserde_json.workspace = true\nprost.workspace = true\n";
        assert_eq!(lines("endpoints", tables), [4, 5, 6]);
        assert_eq!(lines("encode", tables), []);
        assert_eq!(lines("sockeye", tables), []);
        let tests = "[dev-dependencies]\nserde_json.workspace = true\nserde.workspace = true\n";
        assert_eq!(lines("endpoints", tests), [5]);
    }

    #[test]
    fn versions_come_from_the_workspace() {
        assert_eq!(
            lines("collect", "[dependencies]\na = \"1\"\nb = { path = \"../b\" }\nc.workspace = true\n"),
            [4, 5]
        );
    }

    #[test]
    fn a_crate_has_a_name_of_its_own() {
        for name in ["common", "utils", "core", "types"] {
            assert_eq!(lines(name, ""), [2]);
        }
        let manifest = Manifest::parse("[package]\nname = \"words\"\n");
        assert_eq!(check("crates/core/Cargo.toml", &manifest).len(), 1);
        assert_eq!(check("crates/letters/Cargo.toml", &manifest).len(), 1);
        assert_eq!(check("crates/words/Cargo.toml", &manifest), []);
    }

    #[test]
    fn a_library_of_the_workspace_is_explained() {
        let text =
            "[workspace.dependencies]\nencode = { path = \"crates/encode\" }\n# Why.\na = \"1\"\nb = \"1\"\n";
        let found = check("Cargo.toml", &Manifest::parse(text));
        assert_eq!(found.iter().map(|violation| violation.line).collect::<Vec<_>>(), [5]);
    }
}
