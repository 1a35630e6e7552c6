//! Compiles the miniatures: their C to BPF objects in memory.
//!
//! With the clang that built the tracer, its `kernel.h` and `record.h`, and the headers of the libbpf that
//! loads them. Compiled when the bench starts, so that nobody who does not measure compiles them.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use libbpf_rs::libbpf_sys::API_HEADERS;

use crate::clang::clang;

/// Compiles `miniatures/NAME.bpf.c`.
pub fn compile(name: &str) -> anyhow::Result<Vec<u8>> {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    let scratch = Scratch::new(name)?;
    let object = scratch.0.join("object.o");
    let output = Command::new(clang().context("clang is missing")?)
        .args(["-target", "bpf", "-O2", "-g", "-mcpu=v3", "-Wall", "-Werror"])
        .arg("-I")
        .arg(&scratch.0)
        .arg("-I")
        .arg(package.join("../collect/bpf"))
        .arg("-c")
        .arg(package.join(format!("examples/bench/miniatures/{name}.bpf.c")))
        .arg("-o")
        .arg(&object)
        .output()
        .context("cannot start clang")?;
    let said = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{name}.bpf.c does not compile: {said}");
    Ok(fs::read(object)?)
}

/// A directory with the headers of libbpf in `bpf/`; removed when dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> anyhow::Result<Self> {
        let directory = std::env::temp_dir().join(format!("sockeye-bench-{}-{name}", std::process::id()));
        // Fails where somebody has put something there: this runs as root.
        fs::create_dir(&directory).with_context(|| format!("cannot make {}", directory.display()))?;
        let scratch = Self(directory);
        let headers = scratch.0.join("bpf");
        fs::create_dir(&headers)?;
        for (file, text) in API_HEADERS {
            fs::write(headers.join(file), text)?;
        }
        Ok(scratch)
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}
