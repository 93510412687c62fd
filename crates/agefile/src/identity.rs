//! X25519 identities: the secret halves that files are encrypted to.

use core::fmt;
use std::sync::Arc;

use bech32::Bech32;
use bech32::ByteIterExt;
use bech32::Fe32IterExt;
use bech32::Hrp;
use bech32::primitives::decode::CheckedHrpstring;
use curve25519_dalek::MontgomeryPoint;
use curve25519_dalek::constants::X25519_BASEPOINT;
use zeroize::Zeroizing;

/// Longest file of identities that is read, in bytes.
pub const MAX_IDENTITIES_LEN: usize = 64 * 1024;

/// Most identities in a file.
pub const MAX_IDENTITIES: usize = 32;

const PREFIX: &str = "AGE-SECRET-KEY-1";
const SECRET: &str = "age-secret-key-";
const RECIPIENT: Hrp = Hrp::parse_unchecked("age");

/// Why a file of identities cannot be used. Repeats nothing of it.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum IdentityError {
    /// It is longer than [`MAX_IDENTITIES_LEN`].
    #[error("more than {MAX_IDENTITIES_LEN} bytes")]
    TooLong,
    /// It is no text.
    #[error("it is not UTF-8")]
    NotText,
    /// There are more than [`MAX_IDENTITIES`].
    #[error("more than {MAX_IDENTITIES} identities")]
    TooMany,
    /// There is none.
    #[error("there is no identity in it: a line that begins with {PREFIX}")]
    Empty,
    /// A line is neither an identity nor a comment.
    #[error("line {number}: {problem}")]
    Line {
        /// Which, from 1.
        number: usize,
        /// What is wrong with it.
        problem: &'static str,
    },
}

/// A native age identity.
pub struct Identity {
    secret: Zeroizing<[u8; 32]>,
    /// Its public half.
    pub(crate) share: [u8; 32],
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Identity(***)")
    }
}

impl Identity {
    /// Reads `AGE-SECRET-KEY-1…`, in upper case as age writes it.
    ///
    /// # Errors
    /// What is wrong with it, in words that repeat nothing of it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if !text.starts_with(PREFIX) {
            return Err(match text {
                _ if text.starts_with("AGE-SECRET-KEY-PQ-1") => {
                    "post-quantum identities are not supported, only X25519 (age-keygen without -pq)"
                }
                _ if text.starts_with("AGE-PLUGIN-") => "identities of plugins are not supported",
                _ if text.starts_with("age1") => {
                    "it is a recipient, the public half; the identity begins with AGE-SECRET-KEY-1"
                }
                _ if text.contains("PRIVATE KEY") => "SSH keys are not supported, only X25519",
                _ => "it is neither a comment nor an identity AGE-SECRET-KEY-1…",
            });
        }
        let broken = "it is not a whole age identity: a character is missing or mistyped";
        let decoded = CheckedHrpstring::new::<Bech32>(text).map_err(|_| broken)?;
        let mut bytes = decoded.byte_iter();
        let mut secret = Zeroizing::new([0; 32]);
        for byte in secret.iter_mut() {
            *byte = bytes.next().ok_or(broken)?;
        }
        if bytes.next().is_some() || !decoded.hrp().lowercase_char_iter().eq(SECRET.chars()) {
            return Err(broken);
        }
        Ok(Self::of(secret))
    }

    fn of(secret: Zeroizing<[u8; 32]>) -> Self {
        // The long way: the short one has 30 KB of tables behind it.
        let share = X25519_BASEPOINT.mul_clamped(*secret).to_bytes();
        Self { secret, share }
    }

    /// X25519 with the public half of somebody else; `None` if that makes no secret (RFC 7748,
    /// section 6.1).
    pub(crate) fn agree(&self, share: [u8; 32]) -> Option<Zeroizing<[u8; 32]>> {
        let shared = Zeroizing::new(MontgomeryPoint(share).mul_clamped(*self.secret).to_bytes());
        let is_zero = shared.iter().fold(0, |all, byte| all | byte) == 0;
        (!is_zero).then_some(shared)
    }

    /// Its public half as `age1…`, which files are encrypted to.
    #[must_use]
    pub fn recipient(&self) -> String {
        let bytes = self.share.iter().copied();
        bytes.bytes_to_fes().with_checksum::<Bech32>(&RECIPIENT).chars().collect()
    }
}

/// One or more identities. Clones share them.
#[derive(Clone, Debug)]
pub struct Identities(Arc<[Identity]>);

impl Identities {
    /// Reads a file of identities, as `age-keygen` writes it: one on a line; lines that are empty or
    /// begin with `#` are passed over.
    ///
    /// # Errors
    /// [`IdentityError`]; one bad line makes the file unusable.
    pub fn parse(file: &[u8]) -> Result<Self, IdentityError> {
        if file.len() > MAX_IDENTITIES_LEN {
            return Err(IdentityError::TooLong);
        }
        let text = core::str::from_utf8(file).map_err(|_| IdentityError::NotText)?;
        let mut identities = Vec::new();
        for (number, line) in (1..).zip(text.lines()) {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            if identities.len() == MAX_IDENTITIES {
                return Err(IdentityError::TooMany);
            }
            identities.push(
                Identity::parse(line).map_err(|problem| IdentityError::Line { number, problem })?,
            );
        }
        if identities.is_empty() { Err(IdentityError::Empty) } else { Ok(Self(identities.into())) }
    }

    /// All of them, in the order of the file; at least one.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Identity> {
        self.0.iter()
    }

    /// How many there are.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one")]
    pub fn len(&self) -> usize {
        self.0.len()
    }
}
