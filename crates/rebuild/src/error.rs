//! What went wrong, on which input, and what to do about it.

use core::fmt;
use std::io;
use std::path::Path;

/// An error for an operator: `Display` is one line without the remedy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Error {
    message: String,
    remedy: Option<String>,
}

/// Result with an [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl Error {
    /// Something cannot be done, or an input cannot be used.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into(), remedy: None }
    }

    /// Says what to do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Says which input it was about.
    #[must_use]
    pub fn on(mut self, input: impl fmt::Display) -> Self {
        self.message = format!("{input}: {}", self.message);
        self
    }

    /// What to do, if that is known.
    #[must_use]
    pub fn remedy_text(&self) -> Option<&str> {
        self.remedy.as_deref()
    }

    /// A file that could not be read or written.
    pub(crate) fn io(what: &str, path: &Path, error: &io::Error) -> Self {
        let text = error.to_string();
        let reason = text.split(" (os error").next().unwrap_or(&text);
        let this = Self::new(format!("cannot {what} {}: {reason}", path.display()));
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                this.remedy("make room, or choose a place on another file system")
            }
            _ => this.remedy("check the path and its permissions"),
        }
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
