//! Where a key is, as `--key` says it.

use std::ffi::OsString;
use std::path::PathBuf;

use ramstrap_pkcs11::Uri;
use ramstrap_pkcs11::UriError;

use crate::Error;
use crate::Result;

const AGENT: &str = "ssh-agent:";
const TOKEN: &str = "pkcs11:";

/// Where a key is.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeySource {
    /// In a file. A private key; or a public key, whose private half ssh-agent has.
    File(PathBuf),
    /// In ssh-agent.
    Agent(AgentKey),
    /// On a PKCS#11 token.
    Token(Uri),
}

/// Which of ssh-agent's keys.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum AgentKey {
    /// The only Ed25519 key that it has.
    Only,
    /// The one with this fingerprint: `SHA256:…`, as `ssh-add -l` shows it.
    Fingerprint(String),
    /// The one with this comment.
    Comment(String),
}

impl KeySource {
    /// Reads `ssh-agent:SHA256:…`, `ssh-agent:COMMENT`, `ssh-agent:`, `pkcs11:…` (RFC 7512), or the path of a file. A file
    /// whose name begins like one of these is meant with `./` before it.
    ///
    /// # Errors
    /// If it begins like one of these forms and does not go on like it.
    pub fn parse(text: OsString) -> Result<Self> {
        let Some(plain) = text.to_str() else { return Ok(Self::File(text.into())) };
        if let Some(which) = plain.strip_prefix(AGENT) {
            return Ok(Self::Agent(match which {
                "" => AgentKey::Only,
                _ if which.starts_with("SHA256:") => AgentKey::Fingerprint(which.to_owned()),
                _ if which.starts_with("MD5:") => {
                    return Err(Error::usage("ssh-agent: MD5 fingerprints name no key safely")
                        .remedy("give the one that `ssh-add -l` shows: SHA256:…"));
                }
                _ => AgentKey::Comment(which.to_owned()),
            }));
        }
        if plain.starts_with(TOKEN) {
            return Uri::parse(plain).map(Self::Token).map_err(|error| {
                let wrong = Error::usage(format!("this PKCS#11 URI cannot be used: {error}"));
                wrong.remedy(match error {
                    UriError::PinValue => {
                        "give a file with --pin-file or pin-source=file:…, or be asked"
                    }
                    _ => "it looks like `pkcs11:token=NAME;object=NAME?module-path=/PATH.so` (RFC 7512)",
                })
            });
        }
        Ok(Self::File(text.into()))
    }
}
