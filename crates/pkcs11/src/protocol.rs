//! What the two programs say to each other: one JSON document a line, question and answer in turn.

use core::fmt;
use std::path::PathBuf;

use serde::Deserialize;
use serde::Serialize;
use zeroize::Zeroizing;

use crate::Uri;

/// Longest line, in bytes.
pub const MAX_LINE: usize = 64 << 10;

/// What `ramstrap` asks.
#[derive(Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// First: find the key.
    Open {
        /// The driver.
        module: PathBuf,
        /// Which key.
        uri: Box<Uri>,
    },
    /// After [`Answer::PinNeeded`].
    Pin(Pin),
    /// After [`Answer::Ready`], any number of times: hex of the message.
    Sign(String),
}

/// A PIN, which never prints itself.
#[derive(Deserialize, Serialize)]
#[serde(transparent)]
pub struct Pin(pub Zeroizing<String>);

impl fmt::Debug for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl fmt::Debug for Request {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Open { module, uri } => write!(f, "Open({}, {uri})", module.display()),
            Self::Pin(pin) => write!(f, "Pin({pin:?})"),
            Self::Sign(message) => write!(f, "Sign({message})"),
        }
    }
}

/// What `ramstrap-pkcs11` answers.
#[derive(Debug, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// The token wants its PIN.
    PinNeeded {
        /// Label of the token.
        token: String,
        /// The token says that it locks itself if this attempt fails.
        last_attempt: bool,
    },
    /// The key is there.
    Ready {
        /// The 32 bytes of its public half, in hex.
        public_key: String,
        /// Label of the token.
        token: String,
        /// Label of the key.
        object: String,
    },
    /// Hex of the signature.
    Signature(String),
    /// It does not go on.
    Failed(Failure),
}

/// Why it does not go on.
#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
pub struct Failure {
    /// What is wrong, in one line.
    pub what: String,
    /// Further lines.
    pub details: Vec<String>,
    /// What to do about it.
    pub remedy: String,
}

impl Failure {
    /// A failure without further lines.
    #[must_use]
    pub fn new(what: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { what: what.into(), details: Vec::new(), remedy: remedy.into() }
    }
}
