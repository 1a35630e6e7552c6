//! A naive model: it remembers for each client what it has, connection by connection.

pub(crate) mod host;
pub(crate) mod reader;
pub(crate) mod step;
pub(crate) mod world;
