//! The page `docs/kernels.md`, made of the results that are checked in.
//!
//! It shows and judges nothing.

use std::fmt::Write as _;
use std::path::Path;

use super::known::{self, Known};
use super::results::Served;

/// Where it is, below the root.
const PAGE: &str = "docs/kernels.md";

const HEAD: &str = "\
# What Sockeye does on which kernel

Each capability of the tracer has alternatives; it takes the best one that the kernel loads and attaches, whatever its version says.
This page says which one that was on each kernel on which the tests ran: `cargo x test --kernels` writes it from [what the runs found](kernels/), and a run that finds anything else has failed.
How to run them stands in [development.md](development.md#other-kernels).
";

/// Writes the page.
///
/// # Errors
/// What could not be read or written.
pub(crate) fn write(root: &Path) -> Result<(), String> {
    let page = root.join(PAGE);
    std::fs::write(&page, text(&known::all(root)?)).map_err(|error| format!("writing {PAGE}: {error}"))
}

/// The page of what is known, oldest kernel first.
fn text(kernels: &[(String, Known)]) -> String {
    let mut page = HEAD.to_owned();
    let mut line = |text: &str| writeln!(page, "{text}").expect("a string takes everything");
    line("\n## Hooks\n");
    line(
        "What serves a capability; those that cost something that not everybody needs are asked for here.\n",
    );
    let names: Vec<&str> = kernels.iter().map(|(name, _)| name.as_str()).collect();
    line(&format!("| capability | hook | {} |", names.join(" | ")));
    line(&format!("|---|---|{}", "---|".repeat(names.len())));
    for (capability, hook) in rows(kernels) {
        let mark = |(_, known): &(String, Known)| {
            let serves = known.served.iter().any(|row| row.capability == capability && row.hook == hook);
            if serves { "yes" } else { "" }
        };
        let marks: Vec<&str> = kernels.iter().map(mark).collect();
        let hook = if hook.is_empty() { "none".to_owned() } else { format!("`{hook}`") };
        line(&format!("| {capability} | {hook} | {} |", marks.join(" | ")));
    }
    line("\n## What is absent\n");
    for (name, known) in kernels {
        let absent: Vec<&Served> = known.served.iter().filter(|row| !row.absent.is_empty()).collect();
        for row in &absent {
            line(&format!("- {name}, {}: {}.", row.capability, row.absent));
        }
        if absent.is_empty() {
            line(&format!("- {name}: nothing."));
        }
    }
    line("\n## Tests that do not run\n");
    line(
        "On the kernels of Debian the kernel tests run in virtual machines, which have little beside the kernel.\n",
    );
    for (name, known) in kernels {
        for (test, reason) in &known.not_run {
            line(&format!("- {name}: `{test}`: {reason}."));
        }
    }
    line("\n## Releases\n");
    for (name, known) in kernels {
        line(&format!("- {name}: `{}`.", known.release));
    }
    page
}

/// Every capability with every hook that serves it somewhere, in the tracer's order.
fn rows(kernels: &[(String, Known)]) -> Vec<(&str, &str)> {
    let mut capabilities: Vec<&str> = Vec::new();
    let mut all: Vec<(&str, &str)> = Vec::new();
    for row in kernels.iter().flat_map(|(_, known)| &known.served) {
        if !capabilities.contains(&row.capability.as_str()) {
            capabilities.push(&row.capability);
        }
        if !all.contains(&(&row.capability, &row.hook)) {
            all.push((&row.capability, &row.hook));
        }
    }
    all.sort_by_key(|(capability, _)| capabilities.iter().position(|known| known == capability));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_what_the_runs_found() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        let page = std::fs::read_to_string(root.join(PAGE)).unwrap();
        let known = known::all(root).unwrap();
        assert!(!known.is_empty());
        assert_eq!(page, text(&known), "`cargo x test --accept` with any kernel makes the page anew");
    }

    #[test]
    fn each_hook_of_a_capability_has_a_row_with_the_kernels_that_it_serves() {
        let of = |hook: &str| Known {
            release: "r".into(),
            served: vec![Served { capability: "udp".into(), hook: hook.into(), absent: String::new() }],
            ..Known::default()
        };
        let page = text(&[("5.10".into(), of("a")), ("6.1".into(), of("b")), ("7".into(), of("a"))]);
        assert!(page.contains("| udp | `a` | yes |  | yes |\n| udp | `b` |  | yes |  |\n"), "{page}");
    }
}
