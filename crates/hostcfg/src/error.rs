//! Why a host configuration cannot be used.

use report::Code;
use report::Coded;

/// Why a host configuration cannot be used. No variant holds a secret.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum HostConfigError {
    /// Not one JSON object, or too large.
    #[error("{0}")]
    Malformed(String),
    /// A field has a value that cannot be used, or is missing.
    #[error("{field}: {found}, expected {expected}")]
    Invalid {
        /// Name of the field, with the index (from 1) of a list's entry: `dns[2]`.
        field: String,
        /// What is there, such as `"x"`, `a list` or `missing`.
        found: String,
        /// What must be there.
        expected: &'static str,
    },
    /// Neither `ospkg_pointer` nor `mirrors` hold a URL that can be fetched.
    #[error("ospkg_pointer: none of its entries is an http:// or https:// URL that can be used")]
    NoUrl,
}

impl Coded for HostConfigError {
    fn code(&self) -> Code {
        match self {
            Self::Malformed(_) => Code::HostConfigMalformed,
            Self::Invalid { .. } => Code::HostConfigInvalid,
            Self::NoUrl => Code::HostConfigNoUrl,
        }
    }
}
