//! Passphrases and PINs: from a file, from the environment, or asked on the terminal. Never from the
//! command line, which everybody on the machine can read.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use zeroize::Zeroizing;

use crate::Error;
use crate::Result;

/// Longest secret, in bytes.
const MAX_LEN: u64 = 4096;

/// Where a kind of secret is found.
pub(super) struct Sources<'a> {
    /// What it is called: `passphrase`, `PIN`.
    pub(super) name: &'a str,
    /// The file that was given, and the option that it was given with.
    pub(super) file: Option<&'a Path>,
    /// The option that gives a file.
    pub(super) option: &'a str,
    /// The environment variable.
    pub(super) variable: &'a str,
}

impl Sources<'_> {
    /// Whether nobody would be asked.
    pub(super) fn is_unattended(&self) -> bool {
        self.file.is_some() || std::env::var_os(self.variable).is_some()
    }

    /// The secret, or what is asked on the terminal with this prompt.
    ///
    /// # Errors
    /// If the file cannot be read, the secret is empty, or there is no terminal to ask on.
    pub(super) fn find(&self, prompt: &str) -> Result<Zeroizing<String>> {
        if let Some(file) = self.file {
            let secret = first_line(file).map_err(|error| {
                error.remedy(format!(
                    "{} names a file whose first line is the {}",
                    self.option, self.name
                ))
            })?;
            return self.not_empty(secret, &file.display().to_string());
        }
        if let Some(value) = std::env::var_os(self.variable) {
            let value = value.into_string().map_err(|_| {
                Error::new(format!("{} is not UTF-8", self.variable))
                    .remedy(format!("give the {} in a file with {}", self.name, self.option))
            })?;
            return self.not_empty(Zeroizing::new(value), self.variable);
        }
        let secret = rpassword::prompt_password(format!("{prompt}: ")).map_err(|_| {
            Error::new(format!("there is no terminal to ask for the {} on", self.name))
                .remedy(format!("give a file with {}, or set {}", self.option, self.variable))
        })?;
        self.not_empty(Zeroizing::new(secret), "the terminal")
    }

    fn not_empty(&self, secret: Zeroizing<String>, place: &str) -> Result<Zeroizing<String>> {
        if secret.is_empty() {
            return Err(Error::new(format!("the {} from {place} is empty", self.name))
                .remedy(format!("give the {} that the key has", self.name)));
        }
        Ok(secret)
    }
}

/// The first line of a file, or of a pipe: `--passphrase-file <(pass show root)`.
fn first_line(path: &Path) -> Result<Zeroizing<String>> {
    let failed = |error: std::io::Error| Error::io("read", path, &error);
    let mut bytes = Zeroizing::new(Vec::with_capacity(MAX_LEN as usize + 1));
    File::open(path).map_err(failed)?.take(MAX_LEN + 1).read_to_end(&mut bytes).map_err(failed)?;
    let line = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    if line.len() as u64 > MAX_LEN {
        return Err(Error::new(format!(
            "the first line of {} is longer than 4096 bytes",
            path.display()
        ))
        .remedy("is it the right file? A passphrase or PIN is its first line"));
    }
    core::str::from_utf8(line).map(|line| Zeroizing::new(line.to_owned())).map_err(|_| {
        Error::new(format!("the first line of {} is not UTF-8", path.display()))
            .remedy("is it the right file? A passphrase or PIN is its first line")
    })
}
