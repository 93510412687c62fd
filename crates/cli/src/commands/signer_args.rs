//! How every command that signs is told about its key.

use std::ffi::OsStr;
use std::path::PathBuf;

use crate::Result;
use crate::keys::KeySource;
use crate::keys::Signer;
use crate::keys::SignerOptions;

/// How a key is opened. The same for every command that signs.
#[derive(Clone, Debug, clap::Args)]
pub(super) struct OpenKey {
    /// File whose first line is the passphrase of the private key file. Without it:
    /// RAMSTRAP_PASSPHRASE of the environment, or else the terminal is asked.
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
    /// File whose first line is the PIN of the token. Without it: `pin-source` of the key's URI,
    /// RAMSTRAP_PIN of the environment, or else the terminal is asked.
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
    /// Driver of the token, a shared library, where the key's URI has no `module-path`.
    #[arg(long, value_name = "FILE", env = "RAMSTRAP_PKCS11_MODULE")]
    pkcs11_module: Option<PathBuf>,
}

impl OpenKey {
    /// Finds the key. Its name is read here and not by clap, which would repeat a PIN that somebody
    /// wrote into it.
    pub(super) fn open(&self, key: &OsStr) -> Result<Signer> {
        Signer::open(&KeySource::parse(key.to_owned())?, &self.options())
    }

    /// The files that are read to open this key: no output may take their place.
    ///
    /// # Errors
    /// If the key's name cannot be read.
    pub(super) fn inputs(&self, key: Option<&OsStr>) -> Result<Vec<PathBuf>> {
        let own = [&self.passphrase_file, &self.pin_file, &self.pkcs11_module];
        let mut inputs: Vec<PathBuf> = own.into_iter().flatten().cloned().collect();
        let key = key.map(|key| KeySource::parse(key.to_owned())).transpose()?;
        if let Some(KeySource::File(file)) = key {
            inputs.push(file);
        }
        Ok(inputs)
    }

    fn options(&self) -> SignerOptions {
        SignerOptions {
            passphrase_file: self.passphrase_file.clone(),
            pin_file: self.pin_file.clone(),
            pkcs11_module: self.pkcs11_module.clone(),
        }
    }
}

/// What `--key` and its like take; for the help of those options.
pub(super) const KEY_SOURCES: &str = "\
Keys:
  FILE                        private key: PKCS#8 or OpenSSH, with a passphrase or without
  FILE                        public key (`ssh-ed25519 …` or PEM): ssh-agent has its private half
  ssh-agent:SHA256:…          the key in ssh-agent with this fingerprint (`ssh-add -l`)
  ssh-agent:COMMENT           the key in ssh-agent with this comment
  ssh-agent:                  the only Ed25519 key in ssh-agent
  pkcs11:token=…;object=…     the key on this token (RFC 7512; also serial=, id=, slot-id=), with
                              ?module-path=… or --pkcs11-module; needs ramstrap-pkcs11 installed";
