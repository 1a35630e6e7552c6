//! Rules as tables of keys, each a fact that a connection must have.
//!
//! Owns the keys and what is allowed for each; the meaning of a range is in `patterns`.

use connections::{ContainerId, Criteria, Direction};
use serde::{Deserialize, Serialize};

use super::RULES_MAX;
use super::patterns::{ports, protocol, range};

/// The longest name that the kernel keeps of a task.
const PROCESS_BYTES_MAX: usize = 15;

const A_RANGE: &str = "an address or a range such as \"10.0.0.0/8\"";
const A_PORT: &str = "a port from 1 to 65535, or a range such as \"8000-9000\"";

/// A list of rules.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "Vec<Written>", into = "Vec<Written>")]
pub struct Rules {
    written: Vec<Written>,
    criteria: Vec<Criteria>,
}

/// One rule as it is written.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Written {
    protocol: Option<String>,
    direction: Option<String>,
    address: Option<String>,
    local: Option<String>,
    remote: Option<String>,
    port: Option<WrittenPort>,
    local_port: Option<WrittenPort>,
    remote_port: Option<WrittenPort>,
    process: Option<String>,
    pid: Option<u32>,
    uid: Option<u32>,
    container: Option<String>,
}

/// A port may stand without quotes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "a port from 1 to 65535, or a range such as \"8000-9000\"")]
enum WrittenPort {
    Number(i64),
    Text(String),
}

impl Rules {
    pub(super) fn criteria(&self) -> &[Criteria] {
        &self.criteria
    }
}

impl TryFrom<Vec<Written>> for Rules {
    type Error = String;

    fn try_from(written: Vec<Written>) -> Result<Self, String> {
        if written.len() > RULES_MAX {
            return Err(format!("{} rules: at most {RULES_MAX}", written.len()));
        }
        let criteria = written.iter().map(Written::criteria).collect::<Result<_, _>>()?;
        Ok(Self { written, criteria })
    }
}

impl From<Rules> for Vec<Written> {
    fn from(rules: Rules) -> Self {
        rules.written
    }
}

impl Written {
    fn criteria(&self) -> Result<Criteria, String> {
        let Self {
            protocol: protocol_name,
            direction,
            address,
            local,
            remote,
            port,
            local_port,
            remote_port,
            process,
            pid,
            uid,
            container,
        } = self;
        if *self == Self::default() {
            return Err("a rule without a key would hold for everything".to_owned());
        }
        let digits = "the id of a container: 64 hexadecimal digits, letters small";
        Ok(Criteria {
            protocol: read("protocol", protocol_name, "\"tcp\" or \"udp\"", protocol)?,
            state: None,
            direction: read(
                "direction",
                direction,
                "\"incoming\", \"outgoing\" or \"unknown\"",
                direction_of,
            )?,
            netns: None,
            address: read("address", address, A_RANGE, range)?,
            local: read("local", local, A_RANGE, range)?,
            remote: read("remote", remote, A_RANGE, range)?,
            port: read("port", &text(port), A_PORT, ports)?,
            local_port: read("local_port", &text(local_port), A_PORT, ports)?,
            remote_port: read("remote_port", &text(remote_port), A_PORT, ports)?,
            pid: *pid,
            uid: *uid,
            command: read("process", process, "the name of a task: 1 to 15 bytes", process_name)?,
            container: read("container", container, digits, ContainerId::parse)?,
        })
    }
}

fn read<T>(
    key: &str,
    value: &Option<String>,
    allowed: &str,
    read: impl Fn(&str) -> Option<T>,
) -> Result<Option<T>, String> {
    let Some(value) = value else { return Ok(None) };
    read(value).map(Some).ok_or_else(|| format!("{key} = \"{value}\": {allowed}"))
}

fn text(port: &Option<WrittenPort>) -> Option<String> {
    match port.as_ref()? {
        WrittenPort::Number(number) => Some(number.to_string()),
        WrittenPort::Text(text) => Some(text.clone()),
    }
}

fn direction_of(name: &str) -> Option<Direction> {
    let all = [Direction::Incoming, Direction::Outgoing, Direction::Unknown];
    all.into_iter().find(|direction| direction.name() == name)
}

fn process_name(name: &str) -> Option<String> {
    (1..=PROCESS_BYTES_MAX).contains(&name.len()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(text: &str) -> Result<Rules, String> {
        let table: toml::Table = format!("rules = [{text}]").parse().expect("it is TOML");
        table["rules"].clone().try_into().map_err(|error: toml::de::Error| error.message().to_owned())
    }

    #[test]
    fn every_key_is_a_fact_that_must_be_so() {
        let id = "ab".repeat(32);
        let text = format!(
            "{{ protocol = \"udp\", direction = \"incoming\", address = \"10.0.0.0/8\", local = \"10.0.0.1\", \
             remote = \"fd00::/8\", port = 53, local_port = \"53\", remote_port = \"8000-9000\", process = \"nginx\", \
             pid = 7, uid = 0, container = \"{id}\" }}"
        );
        let net = |text: &str| Some(text.parse().expect("a range"));
        let expected = Criteria {
            protocol: Some(connections::Protocol::Udp),
            state: None,
            direction: Some(Direction::Incoming),
            netns: None,
            address: net("10.0.0.0/8"),
            local: net("10.0.0.1/32"),
            remote: net("fd00::/8"),
            port: Some(53..=53),
            local_port: Some(53..=53),
            remote_port: Some(8000..=9000),
            pid: Some(7),
            uid: Some(0),
            command: Some("nginx".into()),
            container: ContainerId::parse(&id),
        };
        assert_eq!(rules(&text).expect("it is allowed").criteria(), [expected]);
    }

    #[test]
    fn what_is_not_allowed_is_refused_with_what_is() {
        for (text, reason) in [
            ("{ protocol = \"icmp\" }", "protocol = \"icmp\": \"tcp\" or \"udp\""),
            ("{ direction = \"in\" }", "direction = \"in\": \"incoming\", \"outgoing\" or \"unknown\""),
            ("{ local = \"10.0.0\" }", "local = \"10.0.0\": an address or a range such as \"10.0.0.0/8\""),
            ("{ port = 0 }", "port = \"0\": a port from 1 to 65535, or a range such as \"8000-9000\""),
            ("{ port = -5 }", "port = \"-5\": a port from 1 to 65535, or a range such as \"8000-9000\""),
            ("{ remote_port = \"9-8\" }", "remote_port = \"9-8\": a port from 1 to 65535, or a range"),
            ("{ port = true }", "a port from 1 to 65535, or a range such as \"8000-9000\""),
            ("{ process = \"sixteen letters!\" }", "process = \"sixteen letters!\": the name of a task"),
            ("{ container = \"abc\" }", "container = \"abc\": the id of a container: 64 hexadecimal digits"),
            ("{}", "a rule without a key would hold for everything"),
            ("{ ports = 5 }", "unknown field `ports`, expected one of `protocol`"),
            ("{ pid = -1 }", "invalid value: integer `-1`, expected u32"),
        ] {
            let message = rules(text).expect_err(text);
            assert!(message.starts_with(reason), "{message}");
        }
    }

    #[test]
    fn rules_are_bounded() {
        let many = |number| vec!["{ port = 53 }"; number].join(", ");
        assert_eq!(rules(&many(RULES_MAX)).map(|rules| rules.criteria().len()), Ok(RULES_MAX));
        assert_eq!(rules(&many(RULES_MAX + 1)), Err("65 rules: at most 64".to_owned()));
    }
}
