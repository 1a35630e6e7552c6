//! Names of clients, and who may use them.

use std::fmt;

/// The longest client id, in characters.
pub(crate) const CLIENT_ID_CHARACTERS_MAX: usize = 128;

/// A valid client id: 1 to 128 characters of `A-Z a-z 0-9 . _ : -`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ClientId(Box<str>);

/// The text is no client id.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidClientId;

impl fmt::Display for InvalidClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "a client id is 1 to {CLIENT_ID_CHARACTERS_MAX} characters of A-Z a-z 0-9 . _ : -")
    }
}

impl std::error::Error for InvalidClientId {}

impl ClientId {
    /// The id that a request without one stands for. It names one client per user.
    pub const DEFAULT: &'static str = "-1";

    /// Checks the text.
    ///
    /// # Errors
    /// [`InvalidClientId`] when it is empty, too long or has another character.
    pub fn parse(text: &str) -> Result<Self, InvalidClientId> {
        let allowed = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b':' | b'-');
        let valid = !text.is_empty() && text.len() <= CLIENT_ID_CHARACTERS_MAX && text.bytes().all(allowed);
        if valid { Ok(Self(text.into())) } else { Err(InvalidClientId) }
    }

    /// The id as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ClientId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Who sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Peer {
    /// The user with this id, whose process is at the other end of a unix socket.
    User(u32),
    /// Whoever has the token for TCP. All who have it are one, and none of the users.
    Token,
}

impl Peer {
    /// The user that may use every client.
    pub const ROOT: Peer = Peer::User(0);

    /// True when it may use a client that belongs to `owner`.
    #[must_use]
    pub fn may_use(self, owner: Peer) -> bool {
        self == owner || self == Self::ROOT
    }
}

/// What a client is found by: its id, and for the default id the user too.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct ClientKey {
    id: ClientId,
    peer: Option<Peer>,
}

impl ClientKey {
    pub(crate) fn new(id: &ClientId, peer: Peer) -> Self {
        Self { id: id.clone(), peer: (id.as_str() == ClientId::DEFAULT).then_some(peer) }
    }

    pub(crate) fn id(&self) -> &ClientId {
        &self.id
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_of_the_reference_are_valid() {
        for id in ["-1", "process-agent-unique-id", "a", "A.b_c:d-9", &"x".repeat(128)] {
            assert!(ClientId::parse(id).is_ok(), "{id}");
        }
    }

    #[test]
    fn other_ids_are_refused() {
        for id in ["", "a b", "é", "a/b", "a\n", &"x".repeat(129)] {
            assert_eq!(ClientId::parse(id), Err(InvalidClientId), "{id:?}");
        }
    }

    #[test]
    fn the_default_id_names_one_client_per_user() {
        let id = ClientId::parse(ClientId::DEFAULT).expect("valid");
        let named = ClientId::parse("a").expect("valid");
        let (one, two) = (Peer::User(1), Peer::User(2));
        assert_ne!(ClientKey::new(&id, one), ClientKey::new(&id, two));
        assert_eq!(ClientKey::new(&named, one), ClientKey::new(&named, two));
    }

    #[test]
    fn who_has_the_token_is_no_user_and_only_root_may_use_its_clients() {
        for user in [Peer::User(1), Peer::User(u32::MAX)] {
            assert!(!user.may_use(Peer::Token) && !Peer::Token.may_use(user), "{user:?}");
        }
        assert!(Peer::Token.may_use(Peer::Token) && Peer::ROOT.may_use(Peer::Token));
        assert!(!Peer::Token.may_use(Peer::ROOT));
    }
}
