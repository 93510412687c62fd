//! How every command that signs is told about its key.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::builder::OsStringValueParser;
use clap::builder::TypedValueParser;

use crate::keys::KeySource;
use crate::keys::SignerOptions;

/// How a key is opened. The same for every command that signs.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct OpenKey {
    /// File whose first line is the passphrase of the private key file. Without it:
    /// RAMSTRAP_PASSPHRASE of the environment, or else the terminal is asked.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

impl OpenKey {
    pub(super) fn options(&self) -> SignerOptions {
        SignerOptions { passphrase_file: self.passphrase_file.clone() }
    }
}

/// Reads `--key` and its like.
pub(super) fn key_source() -> impl TypedValueParser<Value = KeySource> {
    OsStringValueParser::new().try_map(|text: OsString| KeySource::parse(text))
}

/// What `--key` and its like take; for the help of those options.
pub(super) const KEY_SOURCES: &str = "\
Keys:
  FILE                        private key: PKCS#8 or OpenSSH, with a passphrase or without
  FILE                        public key (`ssh-ed25519 …` or PEM): ssh-agent has its private half
  ssh-agent:SHA256:…          the key in ssh-agent with this fingerprint (`ssh-add -l`)
  ssh-agent:COMMENT           the key in ssh-agent with this comment
  ssh-agent:                  the only Ed25519 key in ssh-agent";
