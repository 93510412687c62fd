//! What opening a key may need beside its name.

use std::path::PathBuf;

/// What opening a key may need beside its name. The default asks on the terminal.
#[derive(Clone, Debug, Default)]
pub struct SignerOptions {
    /// A file whose first line is the passphrase of the key file. Without it: the environment
    /// variable `RAMSTRAP_PASSPHRASE`, or else the terminal is asked.
    pub passphrase_file: Option<PathBuf>,
    /// A file whose first line is the PIN of the token. Without it: the file that the key's URI
    /// names, the environment variable `RAMSTRAP_PIN`, or else the terminal is asked.
    pub pin_file: Option<PathBuf>,
    /// The PKCS#11 module, for tokens whose URI names none.
    pub pkcs11_module: Option<PathBuf>,
}
