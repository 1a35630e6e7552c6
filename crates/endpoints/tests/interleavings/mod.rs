//! Polls in every order: what is done to `Turns`, and what a simple memory of what was told and acknowledged says of it.

pub(crate) mod host;
pub(crate) mod orders;
pub(crate) mod poll;
pub(crate) mod reader;
pub(crate) mod world;
