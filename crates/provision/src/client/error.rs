//! Why a machine did not do what it was asked.

use core::time::Duration;

use report::Code;
use report::Coded;
use trust::Sha256Digest;

use crate::Fingerprint;
use crate::Refused;
use crate::client::Target;

/// Why a machine did not do what it was asked. Holds no secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ClientError {
    /// There is no connection.
    #[error("{0}: {1}")]
    Unreachable(String, String),
    /// There was a connection that ended without a word.
    #[error(
        "{0} closed the connection at once: it has as many connections as it takes, or is no machine that waits for staff"
    )]
    ClosedAtOnce(String),
    /// Something else answers there.
    #[error("{0} is no machine that waits for staff: {1}")]
    NotAHost(String, String),
    /// It has another key than it should have.
    #[error("its identity is {found}, expected was {expected}; nothing was sent to it")]
    WrongIdentity {
        /// What the operator gave.
        expected: Fingerprint,
        /// What it has.
        found: Fingerprint,
    },
    /// The key of staff is on no list.
    #[error("the key {0} is not on the list of staff in the package that the machine booted")]
    UnknownKey(Fingerprint),
    /// It runs another package than it should; nothing was sent.
    #[error("it runs the package {found}, expected was {expected}; nothing was sent to it")]
    WrongPackage {
        /// What the operator gave.
        expected: Sha256Digest,
        /// What it runs.
        found: Sha256Digest,
    },
    /// The configuration is for another service; nothing was sent.
    #[error(
        "the configuration is for the service {configuration:?}, the machine's package for {machine:?}; nothing was sent to it"
    )]
    WrongService {
        /// What the configuration says.
        configuration: &'static str,
        /// What the machine says.
        machine: String,
    },
    /// It would refuse; nothing was sent.
    #[error("{}; nothing was sent to it", .0.reason)]
    NotSent(Refused),
    /// It refused.
    #[error("the machine refused: {}{}", .0.reason, partly(.0))]
    Refused(Refused),
    /// It speaks another language.
    #[error("{0}")]
    Message(String),
    /// The request is above the limit; nothing was sent.
    #[error(
        "the configuration is too large: the request would have {0} bytes, at most 1 MiB is possible"
    )]
    TooLong(usize),
    /// The connection ended after the request was sent.
    #[error("the request was sent, but no answer came: {0}")]
    Cut(String),
}

fn partly(refused: &Refused) -> &'static str {
    if refused.applied { " (a part of it was applied: restart the machine)" } else { "" }
}

impl ClientError {
    pub(crate) fn silent(target: &Target, deadline: Duration) -> Self {
        let reason =
            format!("it took the connection, but said nothing within {} s", deadline.as_secs());
        Self::Unreachable(target.to_string(), reason)
    }

    /// TLS could not be set up.
    pub(crate) fn setup(error: rustls::Error) -> Self {
        Self::Message(format!("TLS cannot be set up: {error}"))
    }

    /// Whether the request had left when it failed.
    #[must_use]
    pub fn sent(&self) -> bool {
        matches!(self, Self::Refused(_) | Self::Cut(_))
    }
}

impl Coded for ClientError {
    fn code(&self) -> Code {
        match self {
            Self::Unreachable(..) | Self::ClosedAtOnce(_) => Code::HostUnreachable,
            Self::NotAHost(..) => Code::NotAHost,
            Self::WrongIdentity { .. } => Code::IdentityMismatch,
            Self::UnknownKey(_) => Code::StaffKeyUnknown,
            Self::WrongPackage { .. } => Code::PackageMismatch,
            Self::WrongService { .. } => Code::ServiceConfigInvalid,
            Self::NotSent(refused) | Self::Refused(refused) => Coded::code(refused),
            Self::Message(_) | Self::TooLong(_) => Code::ProvisioningMessage,
            Self::Cut(_) => Code::AnswerCut,
        }
    }
}
