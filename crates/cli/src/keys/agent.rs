//! Keys in ssh-agent: software keys that were added to it, and those of tokens that it speaks to.
//!
//! Two requests of the agent's protocol (draft-ietf-sshm-ssh-agent) are all that is needed: the list
//! of keys, and a signature.

mod protocol;

use core::fmt;
use core::time::Duration;
use std::env;
use std::path::PathBuf;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::Digest;
use sha2::Sha256;

use self::protocol::Connection;
use self::protocol::Identity;
use super::AgentKey;
use super::PublicKey;
use super::not_ed25519;
use super::refuse_fido;
use crate::Error;
use crate::Result;

/// Listing keys asks nobody anything.
const LIST_TIME: Duration = Duration::from_secs(10);
/// Signing may wait for a person: a touch of the token, or a question that the agent asks.
const SIGN_TIME: Duration = Duration::from_secs(120);

/// An Ed25519 key that the agent has.
#[derive(Clone, Debug)]
pub(super) struct Found {
    socket: PathBuf,
    key: PublicKey,
    /// As the agent names it: its wire form.
    blob: Vec<u8>,
}

/// Finds the key that the operator named.
pub(super) fn find(which: &AgentKey) -> Result<Found> {
    let (socket, listed) = list()?;
    let matches = |it: &&Identity| match which {
        AgentKey::Only => it.is_ed25519(),
        AgentKey::Fingerprint(text) => it.fingerprint() == *text,
        AgentKey::Comment(text) => &it.comment == text,
    };
    let found: Vec<&Identity> = listed.iter().filter(matches).collect();
    let error = match (found.as_slice(), which) {
        ([one], _) => return one.open(socket),
        ([], AgentKey::Only) => Error::new("ssh-agent has no Ed25519 key"),
        ([], AgentKey::Fingerprint(text)) => {
            Error::new(format!("ssh-agent has no key with the fingerprint {text}"))
        }
        ([], AgentKey::Comment(text)) => {
            Error::new(format!("ssh-agent has no key with the comment {text}"))
        }
        (_, AgentKey::Only) => Error::new("ssh-agent has more than one Ed25519 key"),
        (_, _) => Error::new("ssh-agent has more than one such key"),
    };
    Err(teach(error, &listed))
}

/// Finds the private half of this key.
pub(super) fn find_public(key: &PublicKey) -> Result<Found> {
    let (socket, listed) = list()?;
    let wanted = key.ssh_fingerprint();
    match listed.iter().find(|it| it.fingerprint() == wanted) {
        Some(found) => found.open(socket),
        None => {
            Err(teach(Error::new(format!("ssh-agent does not have this key ({wanted})")), &listed))
        }
    }
}

fn list() -> Result<(PathBuf, Vec<Identity>)> {
    let socket = env::var_os("SSH_AUTH_SOCK").filter(|it| !it.is_empty()).ok_or_else(|| {
        Error::new("no ssh-agent: SSH_AUTH_SOCK is not set")
            .remedy("start one and add the key: `eval \"$(ssh-agent)\"; ssh-add KEY`")
    })?;
    let socket = PathBuf::from(socket);
    let listed = Connection::open(&socket, LIST_TIME)?.identities()?;
    Ok((socket, listed))
}

/// An error with all keys that the agent has.
fn teach(error: Error, listed: &[Identity]) -> Error {
    if listed.is_empty() {
        return error.detail("it shows no keys at all: it has none, or it is locked").remedy(
            "add the key with `ssh-add KEY`; if the agent was locked, `ssh-add -X` unlocks it",
        );
    }
    listed
        .iter()
        .fold(error, |error, it| error.detail(format!("it has {it}")))
        .remedy("add the key with `ssh-add KEY`, or name one of these: `--key ssh-agent:SHA256:…`")
}

impl Identity {
    /// The name of its kind: the first string of its wire form.
    fn algorithm(&self) -> String {
        protocol::split(&self.blob)
            .map_or_else(|| "?".to_owned(), |(name, _)| String::from_utf8_lossy(name).into_owned())
    }

    fn is_ed25519(&self) -> bool {
        self.algorithm() == "ssh-ed25519"
    }

    /// As `ssh-add -l` shows it.
    fn fingerprint(&self) -> String {
        format!("SHA256:{}", STANDARD_NO_PAD.encode(Sha256::digest(&self.blob)))
    }

    /// Ed25519 only (RFC 8709): the kind, and the 32 bytes.
    fn open(&self, socket: PathBuf) -> Result<Found> {
        refuse_fido(&self.algorithm())
            .and_then(|()| match protocol::split(&self.blob) {
                Some((b"ssh-ed25519", key)) => key.try_into().map_err(|_| not_ed25519()),
                _ => Err(not_ed25519()),
            })
            .and_then(PublicKey::from_bytes)
            .map(|key| Found { socket, key, blob: self.blob.clone() })
            .map_err(|error| error.on(format!("ssh-agent's key {}", self.comment)))
    }
}

impl fmt::Display for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} ({})", self.fingerprint(), self.comment, self.algorithm())
    }
}

impl Found {
    pub(super) fn key(&self) -> &PublicKey {
        &self.key
    }

    /// Has the agent sign a message. Nothing that comes back is believed: the caller verifies.
    pub(super) fn sign(&self, message: &[u8]) -> Result<[u8; 64]> {
        Connection::open(&self.socket, SIGN_TIME)?.sign(&self.blob, message)
    }
}
