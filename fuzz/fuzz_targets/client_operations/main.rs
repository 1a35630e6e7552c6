//! Whatever happens to the host and to the clients, in whatever order: each client is told all of it once.
//!
//! Owns nothing but the loop: the model and what it checks are those of the property tests of `deltas`, and what the
//! bytes of an input mean is in `decode`.

#![no_main]
#![allow(missing_docs, reason = "the entry point that the macro makes has none")]

mod decode;
#[path = "../../../crates/deltas/tests/fixtures/mod.rs"]
mod fixtures;
#[path = "../../../crates/deltas/tests/model/mod.rs"]
#[allow(dead_code, reason = "the property tests use more of it")]
mod model;

use libfuzzer_sys::fuzz_target;
use model::host::Bounds;
use model::step::Step;
use model::world::World;
use proptest::test_runner::TestCaseError;

fuzz_target!(|bytes: &[u8]| {
    let (bounds, steps) = decode::input(bytes);
    if let Err((done, error)) = run(bounds, &steps) {
        let steps: Vec<_> = steps[..done].iter().map(|step| format!("    Step::{step:?},\n")).collect();
        panic!("{bounds:?}, steps:\n{}then: {error}", steps.concat());
    }
});

/// Takes the steps, and lets all clients catch up. Gives how many were taken when something was wrong, and what.
fn run(bounds: Bounds, steps: &[Step]) -> Result<(), (usize, TestCaseError)> {
    let mut world = World::new(bounds);
    for (index, step) in steps.iter().enumerate() {
        world.take(*step).map_err(|error| (index + 1, error))?;
    }
    world.settle().map_err(|error| (steps.len(), error))
}
