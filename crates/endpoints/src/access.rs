//! Who may use the API: decided for a connection when it is accepted, and for a request over TCP by its token,
//! before anything else of it is looked at. What belongs to whom is not decided here.

use std::io;
use std::os::fd::AsFd;
use std::sync::Arc;

use axum::http::HeaderMap;
use deltas::Peer;

use crate::credentials::Credentials;
use crate::problem::{Kind, Problem};
use crate::token::Token;

/// Who may use the API over the unix socket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SocketAccess {
    /// Permissions of the socket file: who may connect.
    pub mode: u32,
    /// The user that owns the socket file; `None` for the user of this process.
    pub owner: Option<u32>,
    /// The group that owns the socket file. If there is one, only its members, the owner and root are answered,
    /// whoever else may connect; if not, all who may connect are.
    pub group: Option<u32>,
}

impl SocketAccess {
    fn admits(&self, peer: &Credentials) -> bool {
        let owner = self.owner.unwrap_or_else(|| rustix::process::geteuid().as_raw());
        let is_member = |group| peer.gids.contains(&group);
        peer.uid == 0 || peer.uid == owner || self.group.is_none_or(is_member)
    }
}

/// Who is at the other end of a connection, and what its requests need.
#[derive(Debug, Clone)]
pub(crate) struct Entrance {
    pub(crate) peer: Peer,
    pub(crate) need: Need,
}

/// What a request needs to be looked at.
#[derive(Debug, Clone)]
pub(crate) enum Need {
    /// Nothing.
    Nothing,
    /// The token.
    Token(Arc<Token>),
    /// What there is not: whoever connected may not use the API.
    Permission,
}

impl Entrance {
    /// The entrance of a connection to the unix socket, by who the other end was when it connected.
    ///
    /// # Errors
    /// When the kernel does not say who it is.
    pub(crate) fn by_socket(access: &SocketAccess, socket: &impl AsFd) -> io::Result<Self> {
        let peer = Credentials::of(socket)?;
        let need = if access.admits(&peer) { Need::Nothing } else { Need::Permission };
        Ok(Self { peer: Peer::User(peer.uid), need })
    }

    /// The entrance of a connection over TCP.
    pub(crate) fn by_token(token: Arc<Token>) -> Self {
        Self { peer: Peer::Token, need: Need::Token(token) }
    }
}

impl Need {
    /// Whether a request with this header may be looked at.
    ///
    /// # Errors
    /// The problem that it is answered with if not.
    pub(crate) fn is_met_by(&self, headers: &HeaderMap) -> Result<(), Problem> {
        match self {
            Need::Nothing => Ok(()),
            Need::Token(token) if token.is_in(headers) => Ok(()),
            Need::Token(_) => Err(Problem::new(
                Kind::Unauthorized,
                "over TCP a request needs Authorization: Bearer <token>",
            )),
            Need::Permission => {
                let detail =
                    "only root, the owner of the socket and the members of its group may use this API";
                Err(Problem::new(Kind::NotPermitted, detail))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn admits(access: SocketAccess, uid: u32, gids: &[u32]) -> bool {
        access.admits(&Credentials { uid, gids: gids.to_vec() })
    }

    #[test]
    fn with_a_group_root_the_owner_and_members_are_admitted() {
        let access = SocketAccess { mode: 0o666, owner: Some(7), group: Some(50) };
        for (uid, gids) in [(0, &[0][..]), (7, &[7]), (8, &[50]), (8, &[8, 49, 50])] {
            assert!(admits(access, uid, gids), "{uid} {gids:?}");
        }
        for (uid, gids) in [(8, &[8][..]), (50, &[7]), (1, &[0, 1, 49, 51])] {
            assert!(!admits(access, uid, gids), "{uid} {gids:?}");
        }
        let own = rustix::process::geteuid().as_raw();
        assert!(admits(SocketAccess { owner: None, ..access }, own, &[]), "the owner is this process's user");
    }

    #[test]
    fn without_a_group_whoever_may_connect_is_admitted() {
        let access = SocketAccess { mode: 0o666, owner: Some(7), group: None };
        assert!(admits(access, 8, &[8]) && admits(access, 7, &[7]) && admits(access, 0, &[0]));
    }
}
