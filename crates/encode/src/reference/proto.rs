//! The messages of the reference, generated from `proto/reference.proto`: prost writes them as protobuf, serde as JSON.
//!
//! Owns nothing but the place where the generated code is.

#![allow(missing_docs, unreachable_pub, clippy::all, clippy::redundant_clone, reason = "generated")]

include!(concat!(env!("OUT_DIR"), "/datadog.process_agent.rs"));
