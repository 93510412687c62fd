//! What went wrong, on which input, and what to do about it.

use core::fmt;
use std::io::ErrorKind;
use std::path::Path;

use report::Code;
use report::Coded;
use serde_json::Map;
use serde_json::Value;

use crate::text_file;

/// How the process ends when this error reaches the top.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Exit {
    /// Refused, or an input that cannot be used: status 1.
    Refused,
    /// Wrong usage: status 2.
    Usage,
}

/// An error for an operator: what failed on which input, with the stable code where there is one,
/// further lines, and a remedy.
///
/// `Display` is one line, without code and remedy; the printer of the tool adds both.
#[derive(Clone, Debug)]
pub struct Error {
    code: Option<Code>,
    exit: Exit,
    message: String,
    details: Vec<String>,
    remedy: Option<String>,
    data: Map<String, Value>,
}

/// Result with an [`Error`].
pub type Result<T, E = Error> = core::result::Result<T, E>;

impl Error {
    /// An input was refused or could not be used, and no code fits.
    #[must_use]
    pub fn new(message: impl Into<String>) -> Self {
        Self {
            code: None,
            exit: Exit::Refused,
            message: message.into(),
            details: Vec::new(),
            remedy: None,
            data: Map::new(),
        }
    }

    /// The command was not used as it is meant to be.
    #[must_use]
    pub fn usage(message: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, ..Self::new(message) }
    }

    /// An error of one of the crates below, with its code.
    #[must_use]
    pub fn coded<E: Coded + fmt::Display>(error: &E) -> Self {
        match error.code() {
            // Speaks of the bootloader; here it is a file that could not be read or written.
            Code::Internal => Self::new(error.to_string()),
            code => Self::with_code(code, error.to_string()),
        }
    }

    /// A failure with this code.
    #[must_use]
    pub fn with_code(code: Code, message: impl Into<String>) -> Self {
        Self { code: Some(code), ..Self::new(message) }
    }

    /// A file that could not be read or written.
    #[must_use]
    pub fn io(what: &str, path: &Path, error: &std::io::Error) -> Self {
        let kind = error.kind();
        let error = Self::new(format!("cannot {what} {}: {}", path.display(), io_reason(error)));
        error.remedy(match kind {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                "make room, or choose a place on another file system"
            }
            ErrorKind::InvalidData | ErrorKind::UnexpectedEof => "the file is damaged: get it anew",
            ErrorKind::FileTooLarge => {
                "choose a file system that holds files of this size, or raise the limit (`ulimit -f`)"
            }
            ErrorKind::NotFound => "check the name, and the directory that the command runs in",
            ErrorKind::IsADirectory => "give the name of a file",
            ErrorKind::NotADirectory => "check the path: a part of it is a file, not a directory",
            ErrorKind::ReadOnlyFilesystem => {
                "choose a place on another file system, or mount this one for writing"
            }
            ErrorKind::PermissionDenied if what != "read" => {
                "choose a place that this user may write to; a file is replaced as a whole, so the \
                 permissions of its directory count"
            }
            ErrorKind::PermissionDenied => {
                "run the command as the user whose file it is, or let this one read it"
            }
            _ => "check the path and its permissions",
        })
    }

    /// Says which input it was about. Where the message begins with the name of that file already, it is
    /// not said twice.
    #[must_use]
    pub fn on(mut self, input: impl fmt::Display) -> Self {
        let input = input.to_string();
        let name = input.rsplit('/').next().filter(|name| !name.is_empty());
        let rest = name.and_then(|name| self.message.strip_prefix(name)?.strip_prefix(": "));
        self.message = format!("{input}: {}", rest.unwrap_or(&self.message));
        self
    }

    /// Adds a line to the explanation.
    #[must_use]
    pub fn detail(mut self, line: impl Into<String>) -> Self {
        self.details.push(line.into());
        self
    }

    /// Says what to do; takes the place of the code's own remedy.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// What a script learns beside the words; nothing but objects has a place for it.
    #[must_use]
    pub fn data(mut self, value: Value) -> Self {
        if let Value::Object(object) = value {
            self.data.extend(object);
        }
        self
    }

    /// Adds what is odd about the file that it is about, if anything is: an encoding, or no content.
    #[must_use]
    pub(crate) fn if_odd(self, bytes: &[u8]) -> Self {
        match text_file::oddity(bytes) {
            Some(odd) => self.detail(odd.what).remedy(odd.remedy),
            None => self,
        }
    }

    /// For a command line that is not ours, where only wrong flags are wrong usage.
    #[must_use]
    pub(crate) fn into_refusal(self) -> Self {
        Self { exit: Exit::Refused, ..self }
    }

    /// For the commands that check a file: their errors must not advise to use them.
    #[must_use]
    pub(crate) fn in_check(self) -> Self {
        match self.code {
            Some(
                Code::TrustPolicyMalformed
                | Code::HostConfigMalformed
                | Code::HostConfigInvalid
                | Code::ServiceConfigInvalid,
            ) if self.remedy.is_none() => {
                self.remedy("correct what is named, then check the file again")
            }
            _ => self,
        }
    }

    /// The stable code, if there is one.
    #[must_use]
    pub fn code(&self) -> Option<Code> {
        self.code
    }

    /// How the process ends.
    #[must_use]
    pub fn exit(&self) -> Exit {
        self.exit
    }

    /// Further lines of the explanation.
    #[must_use]
    pub fn details(&self) -> &[String] {
        &self.details
    }

    /// What a script learns beside the words.
    pub(crate) fn data_for_scripts(&self) -> &Map<String, Value> {
        &self.data
    }

    /// What to do about it.
    #[must_use]
    pub fn remedy_text(&self) -> Option<&str> {
        self.remedy.as_deref().or_else(|| self.code.map(Code::remedy))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<rebuild::Error> for Error {
    fn from(error: rebuild::Error) -> Self {
        let this = Self::new(error.to_string());
        match error.remedy_text() {
            Some(remedy) => this.remedy(remedy),
            None => this,
        }
    }
}

/// The reason alone, without Rust's `(os error N)`.
pub(crate) fn io_reason(error: &std::io::Error) -> String {
    let text = error.to_string();
    let plain = text.split(" (os error").next().unwrap_or(&text).to_owned();
    let mut letters = plain.chars();
    letters.next().map_or_else(String::new, |first| {
        first.to_lowercase().collect::<String>() + letters.as_str()
    })
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[test]
    fn what_to_do_about_a_file_depends_on_why_and_whether_it_is_read() {
        for (what, kind, help) in [
            ("read", ErrorKind::NotFound, "check the name"),
            ("read", ErrorKind::PermissionDenied, "let this one read it"),
            ("write", ErrorKind::PermissionDenied, "permissions of its directory count"),
            ("write", ErrorKind::ReadOnlyFilesystem, "mount this one for writing"),
            ("write", ErrorKind::StorageFull, "make room"),
            ("write", ErrorKind::QuotaExceeded, "make room"),
            ("write", ErrorKind::FileTooLarge, "ulimit"),
            ("read", ErrorKind::IsADirectory, "the name of a file"),
            ("read", ErrorKind::NotADirectory, "a part of it is a file"),
            ("read", ErrorKind::UnexpectedEof, "get it anew"),
            ("read", ErrorKind::Other, "check the path"),
        ] {
            let error = Error::io(what, Path::new("a/b"), &io::Error::from(kind));
            assert!(error.to_string().starts_with(&format!("cannot {what} a/b: ")), "{error}");
            assert!(error.remedy_text().unwrap_or_default().contains(help), "{kind}: {error:?}");
        }
    }
}
