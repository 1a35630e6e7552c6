//! The BPF C compiles for arm64 too: the same programs, with the registers of that architecture.
//!
//! Nothing is loaded; which programs a kernel takes is a matter of the kernel tests.

use std::path::{Path, PathBuf};
use std::process::Command;

fn sources() -> Vec<PathBuf> {
    let place = Path::new(env!("CARGO_MANIFEST_DIR")).join("bpf");
    let files = std::fs::read_dir(place).expect("the sources are there").flatten().map(|entry| entry.path());
    files.filter(|file| file.to_str().is_some_and(|name| name.ends_with(".bpf.c"))).collect()
}

/// What the compiler says of a source with these definitions.
fn compiled(source: &Path, definitions: &[&str]) -> Result<(), String> {
    let mut clang = Command::new(env!("SOCKEYE_BPF_CLANG"));
    clang.args(["-g", "-O2", "-target", "bpf", "-mcpu=v3", "-Wall", "-Wno-unused-function"]);
    clang.args(definitions).arg(concat!("-I", env!("SOCKEYE_BPF_HEADERS")));
    let output = clang.args(["-c", "-o", "/dev/null"]).arg(source).output().expect("the build has called it");
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}

#[test]
fn every_bpf_object_compiles_for_arm64() {
    let sources = sources();
    assert!(sources.len() >= 4, "{sources:?}");
    for source in &sources {
        // As `build.rs` compiles them, for the kernels of today and for older ones.
        for kernel in [None, Some("-DKERNEL_5_8")] {
            let definitions: Vec<&str> = ["-D__TARGET_ARCH_arm64"].into_iter().chain(kernel).collect();
            let said = compiled(source, &definitions);
            assert!(said.is_ok(), "{} with {definitions:?}:\n{}", source.display(), said.unwrap_err());
        }
    }
}
