//! Rules about single source files: how they begin, how long they are, which words they hold, who may be unsafe.
//!
//! Whether the code is good is for clippy and for people.

use super::Violation;

/// Longest source file, in lines.
const LONGEST: usize = 500;
/// The one place that may use `unsafe`: it talks to the kernel.
const UNSAFE_PLACE: &str = "crates/collect/";

/// Checks one file against every rule here.
pub(crate) fn check(file: &str, text: &str) -> Vec<Violation> {
    let mut violations = Vec::new();
    violations.extend(opening(file, text));
    violations.extend(length(file, text));
    violations.extend(unfinished(file, text));
    violations.extend(unsafe_permission(file, text));
    violations
}

/// A file says first what it owns.
fn opening(file: &str, text: &str) -> Option<Violation> {
    let opens = |marks: &[&str]| marks.iter().any(|mark| text.starts_with(mark));
    let rule = if file.ends_with(".rs") && !opens(&["//!"]) {
        "a Rust file begins with a //! comment that says what it owns"
    } else if file.starts_with("crates/collect/bpf/") && is_c(file) && !opens(&["//", "/*"]) {
        "a C file begins with a comment that says what it owns"
    } else {
        return None;
    };
    Some(Violation::new(file, 1, rule))
}

/// A file fits into one head.
fn length(file: &str, text: &str) -> Option<Violation> {
    let lines = text.lines().count();
    let rule = format!("{lines} lines; a source file has at most {LONGEST}");
    ((file.ends_with(".rs") || is_c(file)) && lines > LONGEST)
        .then(|| Violation::new(file, LONGEST + 1, rule))
}

/// What is not done is not in the tree. The words are put together here, so that this file passes its own rule.
fn unfinished(file: &str, text: &str) -> Vec<Violation> {
    let marks = [concat!("TO", "DO"), concat!("FIX", "ME"), concat!("XX", "X"), concat!("to", "do!")];
    let mut violations = Vec::new();
    for (number, line) in text.lines().enumerate() {
        for mark in marks.iter().filter(|mark| has_word(line, mark)) {
            violations.push(Violation::new(file, number + 1, format!("`{mark}` marks unfinished work")));
        }
    }
    violations
}

/// Only the crate that talks to the kernel may lift the ban on `unsafe`, in its code or in its manifest.
fn unsafe_permission(file: &str, text: &str) -> Vec<Violation> {
    const LINT: &str = concat!("unsafe", "_code");
    if file.starts_with(UNSAFE_PLACE) {
        return Vec::new();
    }
    let lifts = |position: usize| {
        if file.ends_with("Cargo.toml") {
            // The workspace's own manifest is where the ban stands.
            let level = text[position + LINT.len()..].lines().next().unwrap_or_default();
            level.contains("allow") || level.contains("warn") || level.contains("expect")
        } else {
            file.ends_with(".rs") && matches!(attribute(&text[..position]), "allow" | "expect" | "warn")
        }
    };
    text.match_indices(LINT)
        .filter(|&(position, _)| lifts(position))
        .map(|(position, _)| {
            let line = text[..position].matches('\n').count() + 1;
            Violation::new(file, line, format!("only {UNSAFE_PLACE} may permit {LINT}"))
        })
        .collect()
}

/// The name before the parenthesis that is still open at the end of `before`, which may span lines.
fn attribute(before: &str) -> &str {
    let mut closed = 0;
    for (position, character) in before.char_indices().rev() {
        match character {
            ')' => closed += 1,
            '(' if closed == 0 => {
                let name = &before[..position];
                let start = name.rfind(|c: char| !is_word(c)).map_or(0, |at| at + 1);
                return &name[start..];
            }
            '(' => closed -= 1,
            ';' | '{' | '}' => return "",
            _ => {}
        }
    }
    ""
}

fn has_word(line: &str, word: &str) -> bool {
    line.match_indices(word).any(|(position, _)| {
        let before = line[..position].chars().next_back();
        let after = line[position + word.len()..].chars().next();
        !before.is_some_and(is_word) && (word.ends_with('!') || !after.is_some_and(is_word))
    })
}

fn is_word(character: char) -> bool {
    character.is_alphanumeric() || character == '_'
}

fn is_c(file: &str) -> bool {
    file.ends_with(".c") || file.ends_with(".h")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(violations: impl IntoIterator<Item = Violation>) -> Vec<usize> {
        violations.into_iter().map(|violation| violation.line).collect()
    }

    #[test]
    fn a_file_without_an_opening_comment_is_found() {
        assert_eq!(lines(opening("a.rs", "use std::fs;\n")), [1]);
        assert_eq!(lines(opening("a.rs", "")), [1]);
        assert_eq!(lines(opening("crates/collect/bpf/maps.h", "#pragma once\n")), [1]);
        assert_eq!(opening("a.rs", "//! Owns.\n"), None);
        assert_eq!(opening("crates/collect/bpf/maps.h", "/* Owns. */\n"), None);
        assert_eq!(opening("crates/collect/bpf/tcp.c", "// Owns.\n"), None);
    }

    #[test]
    fn a_file_of_more_than_500_lines_is_found() {
        assert_eq!(lines(length("a.rs", &"x\n".repeat(501))), [501]);
        assert_eq!(lines(length("a.h", &"x\n".repeat(501))), [501]);
        assert_eq!(length("a.rs", &"x\n".repeat(500)), None);
        assert_eq!(length("a.md", &"x\n".repeat(501)), None);
    }

    #[test]
    fn marks_of_unfinished_work_are_found() {
        let text = format!(
            "fine\n// {0}DO: later\n{0}DOS\n  {1}do!()\n/* {2}ME */\n{3}X\nmktemp a.{3}XXXX\n",
            "TO", "to", "FIX", "XX"
        );
        assert_eq!(lines(unfinished("a.c", &text)), [2, 4, 5, 6]);
    }

    #[test]
    fn only_collect_may_permit_unsafe_code() {
        let one_line = concat!("//! x\n#![allow(unsafe", "_code)]\n");
        let many_lines =
            concat!("#![expect(\n    clippy::x,\n    unsafe", "_code,\n    reason = \"(ffi)\"\n)]\n");
        assert_eq!(lines(unsafe_permission("crates/encode/src/lib.rs", one_line)), [2]);
        assert_eq!(lines(unsafe_permission("crates/encode/src/lib.rs", many_lines)), [3]);
        assert_eq!(unsafe_permission("crates/collect/src/lib.rs", one_line), []);
        let forbidden = concat!("#![forbid(unsafe", "_code)]\n#![allow(missing_docs)]\n// unsafe", "_code\n");
        assert_eq!(unsafe_permission("crates/encode/src/lib.rs", forbidden), []);
    }

    #[test]
    fn a_manifest_cannot_permit_unsafe_code_either() {
        let manifest = concat!("[lints.rust]\nunsafe", "_code = \"allow\"\n");
        assert_eq!(lines(unsafe_permission("crates/encode/Cargo.toml", manifest)), [2]);
        let ban = concat!("[workspace.lints.rust]\nunsafe", "_code = \"deny\"\n");
        assert_eq!(unsafe_permission("Cargo.toml", ban), []);
    }
}
