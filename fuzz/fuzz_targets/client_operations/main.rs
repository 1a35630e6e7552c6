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

use decode::Input;
use libfuzzer_sys::fuzz_target;
use model::world::World;
use proptest::test_runner::TestCaseError;

fuzz_target!(|input: Input| {
    if let Err((done, error)) = run(&input) {
        // cargo-fuzz prints the steps below that, as it does when something else panics.
        panic!("after {done} of {} steps: {error}", input.steps.len());
    }
});

/// Takes the steps, and lets all clients catch up. Gives how many were taken when something was wrong, and what.
fn run(input: &Input) -> Result<(), (usize, TestCaseError)> {
    let mut world = World::new(input.bounds);
    for (index, step) in input.steps.iter().enumerate() {
        world.take(*step).map_err(|error| (index + 1, error))?;
    }
    world.settle().map_err(|error| (input.steps.len(), error))
}
