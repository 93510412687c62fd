//! What opening a key may need beside its name.

use std::path::PathBuf;

/// What opening a key may need beside its name. The default asks on the terminal.
#[derive(Clone, Debug, Default)]
pub struct SignerOptions {
    /// A file whose first line is the passphrase of the key file. Without it: the environment
    /// variable `RAMSTRAP_PASSPHRASE`, or else the terminal is asked.
    pub passphrase_file: Option<PathBuf>,
}
