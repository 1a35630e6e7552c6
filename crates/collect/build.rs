//! Compiles the BPF C, objects for TCP, UDP, DNS over TCP and processes, and generates their skeletons into `OUT_DIR`.
//!
//! Needs clang 14 or newer, which `clang.rs` finds; the libbpf headers come from the crate that links libbpf,
//! so that both are of one version.

use std::env;
use std::path::PathBuf;

use libbpf_cargo::SkeletonBuilder;

mod clang;

fn main() {
    println!("cargo::rerun-if-changed=bpf");
    println!("cargo::rerun-if-changed=clang.rs");
    println!("cargo::rerun-if-env-changed=CLANG");
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let headers = env::var("DEP_BPF_INCLUDE").expect("libbpf-sys names its headers");
    let arch = match env::var("CARGO_CFG_TARGET_ARCH").as_deref() {
        Ok("aarch64") => "arm64",
        _ => "x86",
    };
    let args = [
        format!("-I{headers}"),
        format!("-D__TARGET_ARCH_{arch}"),
        // The third instruction set has compare-and-swap.
        "-mcpu=v3".into(),
        "-Wall".into(),
        "-Wno-unused-function".into(),
    ];
    let clang = clang::clang().unwrap_or_else(|| {
        panic!("clang is missing: install it (Debian: apt install clang), or run `cargo x run`, which does")
    });
    for object in ["tracer", "udp", "dns_tcp", "processes"] {
        SkeletonBuilder::new()
            .source(format!("bpf/{object}.bpf.c"))
            .clang(&clang)
            .clang_args(&args)
            .build_and_generate(out.join(format!("{object}.skel.rs")))
            .unwrap_or_else(|error| panic!("the BPF programs did not compile: {error:#}"));
    }
}
