//! What is to be known of who is behind connections, and how much of it is remembered.

use context::{ContextSettings, DnsLimits, EndLimits, NatLimits, ProcessSettings, RouteLimits, Scrub};
use serde::{Deserialize, Serialize};

use super::{Config, ConfigError};

/// Further names of secrets, at most: each is looked for in every argument.
const SCRUB_WORDS_MAX: usize = 64;

/// Who is behind connections: what is found out beyond what the kernel says with a connection. What could not be found out is
/// absent in answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Behind {
    /// The executable, the command line, the user, the parent, the systemd unit and the pod of processes, from `/proc` and, with
    /// `collect.processes`, from the kernel. Set it to false where command lines must not be seen by who may use the API.
    pub processes: bool,
    /// Replace secrets in command lines by `********`: values of arguments such as `--password=…` and `API_KEY=…`, and passwords
    /// in URLs. Only what is replaced is ever remembered.
    pub scrub_arguments: bool,
    /// Further names of arguments whose values are secret, at most 64, whatever their case: `session` stands for
    /// `--session-id=…` too.
    pub scrub_words: Vec<String>,
    /// Translated addresses of connections, from the kernel's connection tracking in every network namespace. While somebody
    /// listens, the kernel spends 4 to 5 µs more for each connection that it begins to track.
    pub nat: bool,
    /// The gateway and the interface by which packets leave, asked of the kernel once in two minutes for each pair of addresses.
    pub routes: bool,
}

impl Default for Behind {
    fn default() -> Self {
        Self { processes: true, scrub_arguments: true, scrub_words: Vec::new(), nat: true, routes: true }
    }
}

impl Behind {
    /// Whether all is in its range.
    ///
    /// # Errors
    /// [`ConfigError::Range`] for the first that is not.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let refused = |value| {
            let (key, allowed) = ("context.scrub_words", "at most 64 words, each with a letter or a digit");
            Err(ConfigError::Range { key, value, allowed })
        };
        if self.scrub_words.len() > SCRUB_WORDS_MAX {
            return refused(format!("{} words", self.scrub_words.len()));
        }
        // It would hide nothing.
        match self.scrub_words.iter().find(|word| !word.contains(char::is_alphanumeric)) {
            Some(word) => refused(format!("{word:?}")),
            None => Ok(()),
        }
    }
}

impl Config {
    /// What the context is to know.
    #[must_use]
    pub fn context_settings(&self) -> ContextSettings {
        let Behind { processes, scrub_arguments, scrub_words, nat, routes } = &self.context;
        let limits = &self.limits;
        let number = |limit: u32| usize::try_from(limit).unwrap_or(usize::MAX);
        ContextSettings {
            processes: processes.then(|| ProcessSettings {
                limit: number(limits.processes),
                scrub: if *scrub_arguments { Scrub::new(scrub_words) } else { Scrub::off() },
                ..ProcessSettings::default()
            }),
            nat: nat.then(|| NatLimits { entries: number(limits.nat_entries), ..NatLimits::default() }),
            names: (self.collect.dns || self.collect.dns_tcp).then(|| DnsLimits {
                ports: self.collect.dns_ports.clone(),
                addresses: number(limits.names),
                names: number(limits.names).saturating_add(1),
                ..DnsLimits::default()
            }),
            routes: routes.then(|| RouteLimits { routes: number(limits.routes), ..RouteLimits::default() }),
            ends: EndLimits::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Collect;

    /// What all of them take together is measured with the defaults of the context.
    #[test]
    fn by_default_as_much_is_remembered_as_the_context_would_by_itself() {
        let settings = Config::default().context_settings();
        let processes = settings.processes.expect("they are on");
        let default = ProcessSettings::default();
        assert_eq!((processes.limit, processes.limit_bytes), (default.limit, default.limit_bytes));
        assert_eq!(settings.nat, Some(NatLimits::default()));
        assert_eq!(settings.names, Some(DnsLimits::default()));
        assert_eq!(settings.routes, Some(RouteLimits::default()));
        assert_eq!(settings.ends, EndLimits::default());
    }

    #[test]
    fn names_are_learnt_where_messages_of_name_servers_are_copied_over_whatever() {
        let learns = |dns, dns_tcp| {
            let collect = Collect { dns, dns_tcp, ..Collect::default() };
            Config { collect, ..Config::default() }.context_settings().names.is_some()
        };
        assert!(learns(true, false) && learns(false, true));
        assert!(!learns(false, false));
    }
}
