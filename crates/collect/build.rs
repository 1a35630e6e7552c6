//! Compiles the BPF C, objects for TCP, UDP, DNS over TCP and processes, those of TCP and UDP once more for older kernels,
//! and generates their skeletons into `OUT_DIR`.
//!
//! Needs clang 14 or newer, which `clang.rs` finds; the libbpf headers come from the crate that links libbpf,
//! so that both are of one version.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

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
    // For the test that compiles them for the other architecture.
    println!("cargo::rustc-env=SOCKEYE_BPF_HEADERS={headers}");
    println!("cargo::rustc-env=SOCKEYE_BPF_CLANG={clang}");
    for object in ["tracer", "udp", "dns_tcp", "processes"] {
        SkeletonBuilder::new()
            .source(format!("bpf/{object}.bpf.c"))
            .clang(&clang)
            .clang_args(&args)
            .build_and_generate(out.join(format!("{object}.skel.rs")))
            .unwrap_or_else(|error| panic!("the BPF programs did not compile: {error:#}"));
    }
    for object in ["tracer", "udp"] {
        for_older_kernels(object, &out, &clang, &args);
    }
}

/// Compiles the object a second time, and lets its skeleton ask which of the two it is to open.
fn for_older_kernels(object: &str, out: &Path, clang: &str, args: &[String]) {
    let file = out.join(format!("{object}_5_8.bpf.o"));
    SkeletonBuilder::new()
        .source(format!("bpf/{object}.bpf.c"))
        .obj(&file)
        .clang(clang)
        .clang_args(args.iter().cloned().chain(["-DKERNEL_5_8".to_owned()]))
        .build()
        .unwrap_or_else(|error| panic!("the BPF programs for older kernels did not compile: {error:#}"));
    let skeleton = out.join(format!("{object}.skel.rs"));
    let text = fs::read_to_string(&skeleton).expect("it was written above");
    let (newer, both) =
        ("ConfigBuilder::new(&DATA)", format!("ConfigBuilder::new(crate::bpf::objects::{object}(&DATA))"));
    assert_eq!(text.matches(newer).count(), 1, "libbpf-cargo generates skeletons in another way");
    fs::write(&skeleton, text.replace(newer, &both)).expect("it was written above");
}
