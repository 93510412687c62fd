//! Why a file cannot be decrypted.

use std::io;

use report::Code;
use report::Coded;

use crate::header::MAX_HEADER_LEN;

/// Why a file cannot be decrypted. Holds nothing secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum AgeError {
    /// It is no age file.
    #[error("it is not encrypted: it does not begin with a line \"age-encryption.org/v1\"")]
    NotEncrypted,
    /// It is an age file where none is expected.
    #[error("it is encrypted, and the trust policy has no decryption_identities")]
    Unexpected,
    /// It is an armored age file.
    #[error("it is armored (-----BEGIN AGE ENCRYPTED FILE-----): encrypt it without --armor")]
    Armored,
    /// Its header is not as the format says.
    #[error("the header of the encrypted file: {0}")]
    Header(&'static str),
    /// Its header has no end.
    #[error("the header of the encrypted file has no end within {MAX_HEADER_LEN} bytes")]
    HeaderTooLong,
    /// None of its recipients is one of the identities.
    #[error("it is encrypted to {recipients} recipient(s), none of them among the {identities} \
             identities of the trust policy{}", passphrase_hint(*.passphrase))]
    NoMatch {
        /// How many recipients the header names, of any kind.
        recipients: usize,
        /// How many identities there are.
        identities: usize,
        /// Whether it is encrypted with a passphrase.
        passphrase: bool,
    },
    /// The header was changed after it was made.
    #[error("the header of the encrypted file does not authenticate: it was changed")]
    HeaderMac,
    /// A chunk is not what was encrypted, or not in its place.
    #[error(
        "chunk {number} of the encrypted file does not authenticate: it was damaged, cut or changed"
    )]
    Chunk {
        /// Its position, from 1.
        number: u64,
    },
    /// It ends too early.
    #[error("the encrypted file ends too early")]
    Truncated,
}

fn passphrase_hint(passphrase: bool) -> &'static str {
    if passphrase { "; it wants a passphrase, which no machine has" } else { "" }
}

impl Coded for AgeError {
    fn code(&self) -> Code {
        match self {
            Self::NotEncrypted => Code::NotEncrypted,
            Self::Unexpected => Code::EncryptedUnexpected,
            Self::Armored | Self::Header(_) | Self::HeaderTooLong => Code::EncryptionHeader,
            Self::NoMatch { .. } => Code::NoIdentityMatches,
            Self::HeaderMac | Self::Chunk { .. } => Code::DecryptionFailed,
            Self::Truncated => Code::EncryptedTruncated,
        }
    }
}

impl AgeError {
    /// The error that an I/O error was made of, if it was.
    #[must_use]
    pub fn in_io(error: &io::Error) -> Option<&Self> {
        error.get_ref()?.downcast_ref()
    }
}

impl From<AgeError> for io::Error {
    fn from(error: AgeError) -> Self {
        Self::other(error)
    }
}
