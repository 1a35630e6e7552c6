//! `sockeye doctor`: what this host lets the tracer do with this configuration, found out by trying.
//!
//! Loads, attaches and adopts as a start does, and gives all of it back. Listens to nothing and leaves nothing. How it is said
//! to people is in `text`.

mod text;

use std::io::{self, Write};
use std::os::unix::net::UnixStream;
use std::process::ExitCode;

use anyhow::Context;
use collect::{CollectError, MissingPrivilege, Probed, check_privileges, probe};
use encode::{About, Diagnosis, Json};

use crate::about::about;
use crate::access::Access;
use crate::config::Config;
use crate::exit;
use crate::process::collect_limits;
use crate::status::capabilities;

/// How it went.
enum Tried {
    Loaded(Probed),
    NotPermitted(MissingPrivilege),
    Refused(CollectError),
}

/// Writes the diagnosis to standard output. The exit code is 0 where tracing is possible, also without something; 1 where it is
/// not; 77 where a privilege is missing.
///
/// # Errors
/// The configuration of `[listen]` cannot be used ([`crate::access::AccessError`]), or nobody reads what is written.
pub fn run(config: &Config, json: bool) -> anyhow::Result<ExitCode> {
    Access::of(config)?;
    let about = about(config);
    let tried = match check_privileges(config.collect.backend.into()) {
        Err(missing) => Tried::NotPermitted(missing),
        Ok(()) => probe(collect_limits(config)).map_or_else(Tried::Refused, Tried::Loaded),
    };
    let code = match tried {
        Tried::Loaded(_) => ExitCode::SUCCESS,
        Tried::NotPermitted(_) => ExitCode::from(exit::PRIVILEGE),
        Tried::Refused(_) => ExitCode::from(exit::FAILURE),
    };
    let diagnosis = diagnosis(config, about, tried);
    let mut told = if json { diagnosis.json() } else { text::of(&diagnosis).into_bytes() };
    if json {
        told.push(b'\n');
    }
    let written = io::stdout().lock().write_all(&told);
    written.context("cannot write to standard output").map(|()| code)
}

fn diagnosis(config: &Config, about: About, tried: Tried) -> Diagnosis {
    let (reason, probed) = match tried {
        Tried::Loaded(probed) => (None, Some(probed)),
        Tried::NotPermitted(missing) => (Some(("not permitted", missing.to_string())), None),
        Tried::Refused(error) => (Some(("impossible", format!("{:#}", anyhow::Error::from(error)))), None),
    };
    let capabilities = probed.as_ref().map(|probed| capabilities(&probed.support)).unwrap_or_default();
    // What was tried says more than the table does of the parts that are loaded.
    let of_table = about.privileges.iter().filter(|part| part.used && !part.missing.is_empty());
    let of_table = of_table.filter(|part| part.when == "always");
    let absent: Vec<String> = capabilities
        .iter()
        .filter_map(|capability| capability.degradation.as_ref())
        .map(|degradation| format!("{}: {}", degradation.name, degradation.reason))
        .chain(of_table.map(|part| format!("{}: {} ({})", part.name, part.without, part.missing.join(", "))))
        .collect();
    let tracing = match &reason {
        Some((tracing, _)) => tracing,
        None if absent.is_empty() => "possible",
        None => "degraded",
    };
    let socket = &config.listen.socket;
    Diagnosis {
        version: env!("CARGO_PKG_VERSION"),
        tracing,
        reason: reason.map(|(_, reason)| reason),
        absent,
        capabilities,
        maps_bytes: probed.map(|probed| probed.map_bytes.iter().map(|(_, bytes)| bytes).sum()),
        daemon_listens: UnixStream::connect(socket).is_ok(),
        socket: socket.display().to_string(),
        about,
    }
}
