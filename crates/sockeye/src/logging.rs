//! The log: lines on standard error, filtered by level.

use std::io::IsTerminal;

use anyhow::Context;
use tracing_subscriber::EnvFilter;

/// Starts the log. `level` is `off`, `error`, `warn`, `info`, `debug` or `trace`, or a filter by module such
/// as `info,collect=debug`.
///
/// # Errors
/// When `level` is none of these.
pub fn start(level: &str) -> anyhow::Result<()> {
    let filter = EnvFilter::try_new(level).with_context(|| {
        format!("log.level = \"{level}\" is no level: use off, error, warn, info, debug or trace")
    })?;
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .init();
    Ok(())
}
