//! Which fields of connections somebody wants told: who needs five facts of many connections pays for five.

use super::proto::Connection;

/// A set of fields of a connection. `id` is always one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fields(u32);

/// There is no such field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownField {
    /// What stands for it.
    pub name: String,
}

/// The name of each field that can be left out, in the order in which they are told, and the field of the message.
macro_rules! fields {
    ($($name:literal is $field:ident,)+) => {
        const NAMES: &[&str] = &[$($name),+];

        impl Fields {
            /// Leaves out what is not in the set.
            pub(super) fn keep(self, connection: &mut Connection) {
                if self == Self::ALL {
                    return;
                }
                let mut bits = self.0;
                $(
                    if bits & 1 == 0 {
                        connection.$field = Default::default();
                    }
                    bits >>= 1;
                )+
                debug_assert_eq!(bits, 0, "every bit is a field");
            }
        }
    };
}

fields! {
    "global_id" is global_id,
    "protocol" is protocol,
    "state" is state,
    "direction" is direction,
    "netns" is netns,
    "local" is local,
    "remote" is remote,
    "owner" is owner,
    "opened_at" is opened_at_unix_ns,
    "established_at" is established_at_unix_ns,
    "closed_at" is closed_at_unix_ns,
    "pre_existing" is pre_existing,
    "total" is total,
    "delta" is delta,
    "before" is before,
    "tcp" is tcp,
    "udp" is udp,
    "failure" is failure,
    "failures" is failures,
    "rolled_up" is rolled_up,
    "established" is established,
    "intra_host" is intra_host,
    "nat" is nat,
    "names" is names,
    "route" is route,
    "lookups" is lookups,
}

impl Fields {
    /// Every field.
    pub const ALL: Self = Self((1 << NAMES.len()) - 1);

    /// Every field but those that say what is news to a client.
    pub(super) fn of_listing(self) -> Self {
        let left_out = ["delta", "rolled_up", "lookups"]
            .iter()
            .filter_map(|name| bit(name))
            .fold(0, |bits, bit| bits | bit);
        Self(self.0 & !left_out)
    }

    /// True when something that is told comes from who knows what is behind connections.
    pub(super) fn need_context(self) -> bool {
        let from_context = ["owner", "remote", "intra_host", "nat", "names", "route"];
        from_context.iter().filter_map(|name| bit(name)).any(|bit| self.0 & bit != 0)
    }

    /// True when it is told what came of lookups.
    pub(super) fn tell_lookups(self) -> bool {
        bit("lookups").is_some_and(|bit| self.0 & bit != 0)
    }

    /// The fields with these names, which are separated by commas.
    ///
    /// # Errors
    /// [`UnknownField`] for the first that is none.
    pub fn parse(text: &str) -> Result<Self, UnknownField> {
        let mut bits = 0;
        for name in text.split(',').map(str::trim) {
            match bit(name) {
                Some(bit) => bits |= bit,
                None if name == "id" => {}
                None => return Err(UnknownField { name: name.to_owned() }),
            }
        }
        Ok(Self(bits))
    }

    /// What the names can be, for a person.
    #[must_use]
    pub fn allowed() -> String {
        format!("id, {}", NAMES.join(", "))
    }
}

fn bit(name: &str) -> Option<u32> {
    NAMES.iter().position(|known| *known == name).map(|place| 1 << place)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_are_those_of_the_connection_in_json() {
        let full = Connection {
            global_id: Some("1".into()),
            protocol: Some(1),
            state: Some(1),
            direction: Some(1),
            netns: Some(1),
            local: Some(Default::default()),
            remote: Some(Default::default()),
            owner: Some(Default::default()),
            opened_at_unix_ns: Some(1),
            established_at_unix_ns: Some(1),
            closed_at_unix_ns: Some(1),
            pre_existing: Some(false),
            total: Some(Default::default()),
            delta: Some(Default::default()),
            before: Some(Default::default()),
            tcp: Some(Default::default()),
            udp: Some(Default::default()),
            failure: Some(Default::default()),
            failures: vec![Default::default()],
            rolled_up: Some(1),
            established: Some(1),
            intra_host: Some(true),
            nat: Some(Default::default()),
            names: vec![String::new()],
            route: Some(Default::default()),
            lookups: vec![Default::default()],
            id: "1".into(),
        };
        let told = |fields: Fields| {
            let mut connection = full.clone();
            fields.keep(&mut connection);
            let json = serde_json::to_value(&connection).expect("it has text keys");
            let names: Vec<String> = json.as_object().expect("an object").keys().cloned().collect();
            names
        };
        for name in NAMES {
            let mut both = vec!["id".to_owned(), (*name).to_owned()];
            both.sort();
            assert_eq!(told(Fields::parse(name).expect("a field")), both);
        }
        assert_eq!(told(Fields::ALL).len(), NAMES.len() + 1);
        assert_eq!(told(Fields::ALL.of_listing()).len(), NAMES.len() - 2);
    }

    #[test]
    fn who_wants_counters_alone_asks_nobody_who_is_behind_connections() {
        let needs = |text: &str| Fields::parse(text).expect("fields").need_context();
        for name in ["owner", "remote", "intra_host", "nat", "names", "route"] {
            assert!(needs(&format!("delta,{name}")), "{name}");
        }
        assert!(Fields::ALL.need_context());
        assert!(!needs("id") && !needs("local,state,total,delta,tcp,lookups"));
    }

    #[test]
    fn names_are_separated_by_commas_and_must_be_known() {
        assert_eq!(Fields::parse("id"), Ok(Fields(0)));
        assert_eq!(Fields::parse(" local, remote ,local"), Ok(Fields(0b110_0000)));
        assert_eq!(Fields::parse(&Fields::allowed()), Ok(Fields::ALL));
        for (text, name) in
            [("", ""), ("local,", ""), ("local,Remote", "Remote"), ("local;remote", "local;remote")]
        {
            assert_eq!(Fields::parse(text), Err(UnknownField { name: name.to_owned() }), "{text}");
        }
    }
}
