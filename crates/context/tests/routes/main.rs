//! Routes as the kernel has them, in namespaces that the tests make, and as a kernel that says nonsense would tell them.

mod answers;
mod bounds;
mod kernels;
mod lifetimes;
mod namespaces;
#[path = "../../../sockeye/tests/fixtures/not_run.rs"]
#[allow(unreachable_pub, reason = "other tests share it")]
mod not_run;
#[path = "../../../sockeye/tests/fixtures/world.rs"]
#[allow(dead_code, unreachable_pub, reason = "other tests share it")]
mod world;
