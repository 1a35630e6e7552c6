//! The filters of the configuration: which connections are told at all.
//!
//! Owns the form in which rules are written, and what is allowed in it. What a rule means for a connection is the business
//! of [`connections::Filter`].

mod patterns;
mod rules;

use connections::{Criteria, Filter};
use serde::{Deserialize, Serialize};

use patterns::Patterns;
use rules::Rules;

/// Rules in each list, and patterns in each table, at most: each costs every connection about 20 ns.
const RULES_MAX: usize = 64;

/// Which connections are told. One is told if no rule of `exclude`, `source_excludes` and `dest_excludes` holds for it and,
/// where `include` has rules, one of those does. What is excluded is counted: `coverage.excluded`.
///
/// A rule has some of these keys, and holds when all of them do:
/// - `protocol`: `"tcp"` or `"udp"`. `direction`: `"incoming"`, `"outgoing"` or `"unknown"`.
/// - `local`, `remote`: an address or a range (`"10.0.0.0/8"`) that the end on this host, or the other one, must be in;
///   `address`: one of them.
/// - `local_port`, `remote_port`, `port`: likewise, a port or a range of them: `443`, `"443"` or `"8000-9000"`.
/// - `process`: the name of the task, all of it, at most 15 bytes. `pid`, `uid`: numbers. `container`: 64 hexadecimal digits.
///
/// What is not known of a connection matches nothing. Rules for processes look at what is known when the first pass over it
/// ends: then it is told, and to its end, or it is not until more is known.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Filters {
    /// Rules of which one must hold, at most 64; none for everything. Set it where only some connections matter.
    pub include: Rules,
    /// Rules of which none may hold, at most 64. Set it to keep what is of no interest, such as a resolver, out of all
    /// answers.
    pub exclude: Rules,
    /// What is excluded by the end on this host, in the form of the reference: `{ "10.0.0.0/8" = ["tcp 8000-9000", "53"] }`.
    /// A key is an address, a range or `*`; a value is `*`, a port or a range of ports, perhaps after `tcp`, `udp` or `*`.
    /// At most 64 values. Set it to take over the configuration of a client that had its own tracer.
    pub source_excludes: Patterns,
    /// The same by the other end.
    pub dest_excludes: Patterns,
}

impl Filters {
    /// What this says, as one filter.
    #[must_use]
    pub fn filter(&self) -> Filter {
        let Self { include, exclude, source_excludes, dest_excludes } = self;
        let local = source_excludes.iter().map(|pattern| Criteria {
            protocol: pattern.protocol,
            local: pattern.range,
            local_port: pattern.ports.clone(),
            ..Criteria::default()
        });
        let remote = dest_excludes.iter().map(|pattern| Criteria {
            protocol: pattern.protocol,
            remote: pattern.range,
            remote_port: pattern.ports.clone(),
            ..Criteria::default()
        });
        let exclude = exclude.criteria().iter().cloned().chain(local).chain(remote).collect();
        Filter { include: include.criteria().to_vec(), exclude }
    }
}
