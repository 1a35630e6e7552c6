//! Generates the protobuf messages of `proto/` into `OUT_DIR`, with a compiler that is a crate: `protoc` is not needed.

use std::path::PathBuf;

fn main() {
    println!("cargo::rerun-if-changed=proto");
    let files: Vec<PathBuf> = std::fs::read_dir("proto")
        .expect("the schemas are there")
        .map(|entry| entry.expect("the directory can be read").path())
        .collect();
    let schemas = protox::compile(&files, ["proto"])
        .unwrap_or_else(|error| panic!("the protobuf schemas did not compile: {error:?}"));
    // Ordered maps: the same answer is always the same bytes.
    prost_build::Config::new()
        .btree_map(["."])
        .compile_fds(schemas)
        .expect("what protox compiles can be generated");
}
