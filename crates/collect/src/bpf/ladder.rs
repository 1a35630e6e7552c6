//! Climbing down: the rungs of an object are tried in order, and within a rung what the kernel refuses and can be left out
//! is left out.
//!
//! Knows neither objects nor programs: an attempt is what it is given. Every attempt takes a place of its own, because a
//! loaded object cannot move.

use std::mem::MaybeUninit;

use libbpf_rs::OpenObject;

use super::refusals;
use crate::hooks::Capability;

/// Capabilities that are left out, and why.
pub(super) type LeftOut = Vec<(Capability, String)>;

/// Where the climb ended.
pub(super) struct Climb<R, T> {
    /// What was loaded, on which rung, and without what.
    pub(super) loaded: Option<(R, T, LeftOut)>,
    /// The rungs that were refused before, and why.
    pub(super) refused: Vec<(R, String)>,
}

/// What there is to climb.
pub(super) struct Ladder<'l, R> {
    /// Best first.
    pub(super) rungs: &'l [R],
    /// What can be left out.
    pub(super) optional: &'l [Capability],
    /// What is left out of a rung from the start.
    pub(super) given: &'l dyn Fn(R) -> LeftOut,
}

impl<R: Copy> Ladder<'_, R> {
    /// How many places the climb needs at most.
    pub(super) const fn places(rungs: usize, optional: usize) -> usize {
        rungs * (optional + 1)
    }

    /// Takes the first rung that `attempt` loads. Where the kernel refuses a program of something optional, the rung is tried
    /// again without that.
    pub(super) fn climb<'a, T>(
        &self,
        places: &'a mut [MaybeUninit<OpenObject>],
        mut attempt: impl FnMut(&'a mut MaybeUninit<OpenObject>, R, &LeftOut) -> Result<T, libbpf_rs::Error>,
    ) -> Climb<R, T> {
        let mut places = places.iter_mut();
        let mut refused = Vec::new();
        for &rung in self.rungs {
            let mut left_out = (self.given)(rung);
            for place in places.by_ref() {
                refusals::take();
                let error = match attempt(place, rung, &left_out) {
                    Ok(loaded) => return Climb { loaded: Some((rung, loaded, left_out)), refused },
                    Err(error) => error,
                };
                let said = refusals::take();
                let reason = said.words.unwrap_or_else(|| error.to_string());
                let Some(capability) = said.program.and_then(|program| self.left_for(&program, &left_out))
                else {
                    refused.push((rung, reason));
                    break;
                };
                left_out.push((capability, reason));
            }
        }
        Climb { loaded: None, refused }
    }

    /// The optional capability that this program serves, unless it is left out already.
    fn left_for(&self, program: &str, left_out: &LeftOut) -> Option<Capability> {
        let serves = |capability: &Capability| {
            capability.alternatives().any(|alternative| alternative.programs.contains(&program))
        };
        let found = self.optional.iter().copied().find(serves)?;
        left_out.iter().all(|(left, _)| *left != found).then_some(found)
    }
}
