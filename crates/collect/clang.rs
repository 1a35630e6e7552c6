//! Finds the compiler of the BPF C: for the build script, and for the bench, which compiles its miniatures
//! when it starts.
//!
//! `$CLANG`, `clang`, or the newest versioned `clang-NN` on the path, 14 or newer; compiles nothing.

use std::env;
use std::process::{Command, Stdio};

/// The program to call, if there is one.
pub(crate) fn clang() -> Option<String> {
    if let Ok(clang) = env::var("CLANG") {
        return Some(clang);
    }
    let versioned = (14..=30).rev().map(|version| format!("clang-{version}"));
    std::iter::once("clang".to_owned()).chain(versioned).find(|name| runs(name))
}

fn runs(name: &str) -> bool {
    let silent = Command::new(name).arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    silent.is_ok_and(|status| status.success())
}
