//! Layers of configuration: defaults, file, environment, flags; and clear words for bad input.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::Config;
use crate::cli::{Btf, Overrides};

const DEFAULT_FILE: &str = "/etc/sockeye/sockeye.toml";
const PREFIX: &str = "SOCKEYE_";

/// The configuration cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A file that was asked for cannot be read.
    #[error("cannot read {}", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A file is no TOML.
    #[error("{} is no TOML: line {line}: {reason}", .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// No such key.
    #[error("{origin}: unknown key {key}{}", suggestion(.nearest.as_deref()))]
    UnknownKey {
        /// The file or variable.
        origin: String,
        /// The key, with its section.
        key: String,
        /// The key that was probably meant.
        nearest: Option<String>,
    },
    /// A value of the wrong type.
    #[error("{origin}: bad value: {key} = {value}: {reason}")]
    Value {
        /// The file or variable.
        origin: String,
        /// The key, with its section.
        key: String,
        /// The value, as TOML.
        value: String,
        /// What is expected.
        reason: String,
    },
    /// A value out of range.
    #[error("{key} = {value}: {allowed}")]
    Range {
        /// The key, with its section.
        key: &'static str,
        /// The value.
        value: String,
        /// What is allowed.
        allowed: &'static str,
    },
}

fn suggestion(nearest: Option<&str>) -> String {
    nearest.map(|nearest| format!(", did you mean {nearest}?")).unwrap_or_default()
}

impl Config {
    /// Loads the configuration: flags above environment above file above defaults. The default file need not
    /// exist; one that was asked for must. Only variables with `__` in their name are configuration.
    ///
    /// # Errors
    /// [`ConfigError`] names the file or variable and the key.
    pub fn load(
        overrides: &Overrides,
        environment: impl IntoIterator<Item = (OsString, OsString)>,
    ) -> Result<Self, ConfigError> {
        let mut layers = file(overrides.config.as_deref())?;
        for (name, value) in environment {
            let (Some(name), Some(value)) = (name.to_str(), value.to_str()) else {
                continue;
            };
            set_from_environment(&mut layers, name, value)?;
        }
        let mut config: Config =
            Value::Table(layers).try_into().expect("each key and each value was checked");
        if let Some(socket) = &overrides.socket {
            config.listen.socket.clone_from(socket);
        }
        if let Some(level) = &overrides.log_level {
            config.log.level.clone_from(level);
        }
        if overrides.btf == Some(Btf::None) {
            config.collect.refuse.push("btf".to_owned());
        }
        if let Some(backend) = overrides.backend {
            config.collect.backend = backend;
        }
        config.check()?;
        Ok(config)
    }

    /// Permissions of the socket.
    ///
    /// # Errors
    /// [`ConfigError::Range`] when `listen.mode` is no octal number up to 0777.
    pub fn socket_mode(&self) -> Result<u32, ConfigError> {
        let mode = u32::from_str_radix(&self.listen.mode, 8).ok().filter(|mode| *mode <= 0o777);
        mode.ok_or_else(|| ConfigError::Range {
            key: "listen.mode",
            value: format!("\"{}\"", self.listen.mode),
            allowed: "an octal number as text, such as \"0660\"",
        })
    }

    fn check(&self) -> Result<(), ConfigError> {
        self.socket_mode()?;
        let limits = &self.limits;
        let at_least_one = [
            ("limits.live_connections", limits.live_connections),
            ("limits.tcp_slots", limits.tcp_slots),
            ("limits.ring_bytes", limits.ring_bytes),
            ("limits.deferred_records", limits.deferred_records),
            ("limits.overflow_records", limits.overflow_records),
            ("limits.closed_records", limits.closed_records),
            ("limits.lookups", limits.lookups),
            ("limits.processes", limits.processes),
            ("limits.nat_entries", limits.nat_entries),
            ("limits.names", limits.names),
            ("limits.routes", limits.routes),
            ("limits.answer_bytes", limits.answer_bytes),
            ("limits.udp_slots", limits.udp_slots),
            ("limits.udp_peers", limits.udp_peers),
            ("limits.process_ring_bytes", limits.process_ring_bytes),
            ("limits.payload_ring_bytes", limits.payload_ring_bytes),
            ("limits.clients", limits.clients),
            ("limits.clients_per_user", limits.clients_per_user),
            ("limits.polls", limits.polls),
            ("limits.http_connections", limits.http_connections),
        ];
        for (key, value) in at_least_one {
            if value == 0 || value > 1 << 30 {
                return Err(ConfigError::Range { key, value: value.to_string(), allowed: "1 to 2^30" });
            }
        }
        self.collect.check()?;
        self.context.check()?;
        let freshness_ms = self.clients.freshness_ms;
        if freshness_ms > 60_000 {
            let (key, allowed) = ("clients.freshness_ms", "0 to 60000 milliseconds");
            return Err(ConfigError::Range { key, value: freshness_ms.to_string(), allowed });
        }
        let ttl_s = self.clients.ttl_s;
        if !(10..=3600).contains(&ttl_s) {
            let allowed = "10 to 3600 seconds";
            return Err(ConfigError::Range { key: "clients.ttl_s", value: ttl_s.to_string(), allowed });
        }
        Ok(())
    }
}

fn file(asked_for: Option<&Path>) -> Result<Table, ConfigError> {
    let path = asked_for.unwrap_or(Path::new(DEFAULT_FILE));
    let text = match std::fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && asked_for.is_none() => {
            return Ok(Table::new());
        }
        Err(source) => {
            return Err(ConfigError::Read { path: path.into(), source });
        }
    };
    let table: Table = text.parse().map_err(|error| syntax_error(path, &text, &error))?;
    let origin = path.display().to_string();
    for (section, value) in &table {
        let Some(keys) = value.as_table() else {
            check_known(&origin, section, "")?;
            continue;
        };
        for (key, value) in keys {
            check_known(&origin, section, key)?;
            check_value(&origin, section, key, value)?;
        }
    }
    Ok(table)
}

fn syntax_error(path: &Path, text: &str, error: &toml::de::Error) -> ConfigError {
    let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
    let line = before.matches('\n').count() + 1;
    ConfigError::Syntax { path: path.into(), line, reason: error.message().to_owned() }
}

fn set_from_environment(layers: &mut Table, name: &str, value: &str) -> Result<(), ConfigError> {
    let Some((section, key)) = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once("__")) else {
        return Ok(());
    };
    let (section, key) = (section.to_lowercase(), key.to_lowercase());
    let expected = check_known(name, &section, &key)?;
    let value = match expected {
        Value::Integer(_) => value.parse().map(Value::Integer).unwrap_or_else(|_| value.into()),
        Value::Boolean(_) => value.parse().map(Value::Boolean).unwrap_or_else(|_| value.into()),
        Value::Array(_) | Value::Table(_) => {
            parsed(value).ok_or_else(|| bad_value(name, &section, &key, &value.into(), "this is no TOML"))?
        }
        _ => Value::from(value),
    };
    check_value(name, &section, &key, &value)?;
    let entry = layers.entry(section).or_insert_with(|| Value::Table(Table::new()));
    if let Some(keys) = entry.as_table_mut() {
        keys.insert(key, value);
    }
    Ok(())
}

/// Tries the value alone, so that an error can say where it comes from.
fn check_value(origin: &str, section: &str, key: &str, value: &Value) -> Result<(), ConfigError> {
    let keys = Table::from_iter([(key.to_owned(), value.clone())]);
    let alone = Table::from_iter([(section.to_owned(), Value::Table(keys))]);
    let Err(error) = alone.try_into::<Config>() else {
        return Ok(());
    };
    Err(bad_value(origin, section, key, value, error.message()))
}

fn bad_value(origin: &str, section: &str, key: &str, value: &Value, reason: &str) -> ConfigError {
    let (origin, key, value) = (origin.to_owned(), format!("{section}.{key}"), value.to_string());
    ConfigError::Value { origin, key, value, reason: reason.trim_end().replace('\n', ": ") }
}

/// A list or a table, as it would stand in the file.
fn parsed(value: &str) -> Option<Value> {
    let mut table = format!("value = {value}").parse::<Table>().ok()?;
    let value = table.remove("value")?;
    table.is_empty().then_some(value)
}

/// The default value of the key, whose type is the one expected.
fn check_known(origin: &str, section: &str, key: &str) -> Result<Value, ConfigError> {
    let known = Table::try_from(Config::default()).expect("the defaults are TOML");
    if let Some(value) = known.get(section).and_then(|keys| keys.get(key)) {
        return Ok(value.clone());
    }
    let name = |section: &str, key: &str| format!("{section}.{key}");
    let all = known.iter().flat_map(|(section, keys)| {
        keys.as_table().into_iter().flat_map(Table::keys).map(move |key| name(section, key))
    });
    let key = if key.is_empty() { section.to_owned() } else { name(section, key) };
    let nearest = all.max_by(|one, two| strsim::jaro(one, &key).total_cmp(&strsim::jaro(two, &key)));
    let nearest = nearest.filter(|nearest| strsim::jaro(nearest, &key) > 0.7);
    Err(ConfigError::UnknownKey { origin: origin.to_owned(), key, nearest })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(text: &str, environment: &[(&str, &str)], overrides: Overrides) -> Result<Config, ConfigError> {
        use std::sync::atomic::{AtomicU32, Ordering};
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sockeye-config-{}-{number}.toml", std::process::id()));
        std::fs::write(&path, text).expect("the temporary directory is writable");
        let overrides = Overrides { config: Some(path.clone()), ..overrides };
        let environment =
            environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value)));
        let config = Config::load(&overrides, environment);
        std::fs::remove_file(path).expect("it was written above");
        config
    }

    fn error(text: &str, environment: &[(&str, &str)]) -> String {
        load(text, environment, Overrides::default()).expect_err("it is refused").to_string()
    }

    #[test]
    fn flags_stand_above_environment_above_file_above_defaults() {
        let text = "[listen]\nsocket = \"/file\"\n[log]\nlevel = \"warn\"\n[limits]\nclients = 5\n";
        let environment =
            [("SOCKEYE_LISTEN__SOCKET", "/environment"), ("SOCKEYE_LOG__LEVEL", "debug"), ("SOCKEYE_X", "y")];
        let overrides = Overrides { log_level: Some("error".into()), ..Overrides::default() };
        let config = load(text, &environment, overrides).expect("all is valid");
        assert_eq!(config.listen.socket, PathBuf::from("/environment"));
        assert_eq!(config.log.level, "error");
        assert_eq!(config.limits, super::super::Limits { clients: 5, ..Default::default() });
        assert_eq!(config.clients.ttl_s, 120);
    }

    #[test]
    fn an_unknown_key_is_refused_with_a_suggestion() {
        let message = error("[limits]\nclosed_record = 5\n", &[]);
        assert!(message.ends_with("unknown key limits.closed_record, did you mean limits.closed_records?"));
        let message = error("", &[("SOCKEYE_LISTEN__SOKCET", "/a")]);
        assert_eq!(message, "SOCKEYE_LISTEN__SOKCET: unknown key listen.sokcet, did you mean listen.socket?");
        assert!(error("colour = 1\n", &[]).contains("unknown key colour"));
    }

    #[test]
    fn bad_values_are_refused() {
        assert!(error("[limits]\nclients = 0\n", &[]).contains("limits.clients = 0: 1 to 2^30"));
        assert!(error("[clients]\nttl_s = 5\n", &[]).contains("clients.ttl_s = 5: 10 to 3600 seconds"));
        assert!(error("[collect]\ncost_sample_ms = 60001\n", &[]).contains("0 to 60000 milliseconds"));
        assert!(error("[collect]\naudit_interval_s = 3601\n", &[]).contains("0 to 3600 seconds"));
        let ports = "[collect]\ndns_ports = [1, 2, 3, 4, 5, 6, 7, 8, 9]\n";
        assert!(
            error(ports, &[]).contains("collect.dns_ports = [1, 2, 3, 4, 5, 6, 7, 8, 9]: at most 8 ports")
        );
        assert!(error("", &[("SOCKEYE_COLLECT__DNS_PORTS", "[0]")]).contains("dns_ports = [0]: at most 8"));
        let words = format!("[context]\nscrub_words = [{}]\n", "\"session\", ".repeat(65));
        assert!(error(&words, &[]).contains("context.scrub_words = 65 words: at most 64 words"));
        let words = "[context]\nscrub_words = [\"pin\", \"--\"]\n";
        assert!(error(words, &[]).contains("context.scrub_words = \"--\": at most 64 words"));
        assert!(error("[listen]\nmode = \"rw\"\n", &[]).contains("listen.mode"));
        let many = error("[limits]\nclients = \"many\"\n", &[]);
        assert!(many.contains(".toml: bad value: limits.clients = \"many\": invalid type"), "{many}");
        let negative = error("", &[("SOCKEYE_LIMITS__CLIENTS", "-1")]);
        assert!(negative.starts_with("SOCKEYE_LIMITS__CLIENTS: bad value: limits.clients = -1: "));
        let syntax = error("[log]\n\n[limits\n", &[]);
        assert!(syntax.contains(".toml is no TOML: line 3: "), "{syntax}");
        for message in [many, negative, syntax] {
            assert!(!message.contains('\n'), "one line: {message}");
        }
    }

    #[test]
    fn filters_are_lists_and_tables_in_the_file_and_in_the_environment() {
        let text = "[[filters.exclude]]\nprotocol = \"udp\"\nport = 53\n[[filters.include]]\nprocess = \"nginx\"\n\
                    [filters]\nsource_excludes = { \"10.0.0.0/8\" = [\"*\"] }\n";
        let config = load(text, &[], Overrides::default()).expect("all is valid");
        let filter = config.filters.filter();
        assert_eq!((filter.include.len(), filter.exclude.len()), (1, 2));
        let environment = [
            ("SOCKEYE_FILTERS__EXCLUDE", "[{ port = \"80\" }, { port = 81 }, { uid = 5 }]"),
            ("SOCKEYE_FILTERS__DEST_EXCLUDES", "{ \"*\" = [\"udp 53\", \"tcp 80-90\"] }"),
        ];
        let config = load(text, &environment, Overrides::default()).expect("all is valid");
        let filter = config.filters.filter();
        assert_eq!((filter.include.len(), filter.exclude.len()), (1, 6), "it takes the place of the file's");
        let last = filter.exclude.last().expect("there are six");
        assert_eq!((&last.remote_port, &last.local_port), (&Some(80..=90), &None));
        assert!(Config::default().filters.filter().is_empty());
    }

    #[test]
    fn bad_filters_are_refused_with_key_and_value() {
        let message = error("[[filters.exclude]]\nport = \"0\"\n", &[]);
        let expected =
            ".toml: bad value: filters.exclude = [{ port = \"0\" }]: port = \"0\": a port from 1 to 65535";
        assert!(message.contains(expected), "{message}");
        let message = error("", &[("SOCKEYE_FILTERS__DEST_EXCLUDES", "{ \"*\" = [\"udp\"] }")]);
        let expected = "SOCKEYE_FILTERS__DEST_EXCLUDES: bad value: filters.dest_excludes = { \"*\" = [\"udp\"] }: \
                        \"*\" = \"udp\": a value is \"*\", a port";
        assert!(message.starts_with(expected), "{message}");
        for no_toml in ["[{", "[]\nx = 1", ""] {
            let message = error("", &[("SOCKEYE_FILTERS__INCLUDE", no_toml)]);
            assert!(message.ends_with(": this is no TOML"), "{message}");
        }
        assert!(error("[filters]\ninclude = 5\n", &[]).contains("filters.include = 5: invalid type"));
        assert!(error("[filters]\nexcludes = []\n", &[]).contains("did you mean filters.exclude?"));
    }

    #[test]
    fn a_file_that_was_asked_for_must_exist() {
        let overrides =
            Overrides { config: Some("/nonexistent/sockeye.toml".into()), ..Overrides::default() };
        let message = Config::load(&overrides, []).expect_err("it does not exist").to_string();
        assert_eq!(message, "cannot read /nonexistent/sockeye.toml");
    }
}
