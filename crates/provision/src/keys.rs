//! The Ed25519 keys of both sides, and how people compare them.

use core::fmt;
use core::str::FromStr;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use base64::prelude::BASE64_STANDARD_NO_PAD;
#[cfg(any(feature = "client", feature = "server"))]
use ed25519_dalek::Signer;
use ed25519_dalek::SigningKey;
use ed25519_dalek::VerifyingKey;
use ring::rand::SecureRandom;
use ring::rand::SystemRandom;
use serde::Deserialize;
use serde::Deserializer;
use serde::Serialize;
use serde::Serializer;
use trust::Sha256Digest;
use zeroize::Zeroizing;

/// What stands before the 32 bytes of an Ed25519 key in its SubjectPublicKeyInfo (RFC 8410).
const SPKI_PREFIX: [u8; 12] =
    [0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
const PREFIX: &str = "SHA256:";
const BEGIN: &str = "-----BEGIN PUBLIC KEY-----";
const END: &str = "-----END PUBLIC KEY-----";
/// A PEM file with one key has some 113 bytes; text around it is taken.
const MAX_PEM_LEN: usize = 16 << 10;

/// Why a key cannot be used. Never repeats the input.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub enum KeyError {
    /// No, or more than one, PEM block `PUBLIC KEY`.
    #[error("not a file with one PEM block PUBLIC KEY")]
    NotPem,
    /// A private key where a public one belongs.
    #[error("it holds a private key: take that out, and put the public key there")]
    Private,
    /// A key of another kind, or damaged.
    #[error("the key is not Ed25519, or is damaged")]
    NotEd25519,
    /// A key with which anything can be signed.
    #[error("the key is a weak one that no key generator makes")]
    Weak,
    /// The system has no random numbers.
    #[error("the system gives no random numbers")]
    NoRandomNumbers,
}

/// A public Ed25519 key.
#[derive(Clone, Copy, Eq, PartialEq)]
pub struct PublicKey([u8; 32]);

impl PublicKey {
    /// Reads SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// If it is of another kind, or a weak key.
    pub fn from_spki(der: &[u8]) -> Result<Self, KeyError> {
        let key = der.strip_prefix(&SPKI_PREFIX).ok_or(KeyError::NotEd25519)?;
        let key: &[u8; 32] = key.try_into().map_err(|_| KeyError::NotEd25519)?;
        let point = VerifyingKey::from_bytes(key).map_err(|_| KeyError::NotEd25519)?;
        if point.is_weak() {
            return Err(KeyError::Weak);
        }
        Ok(Self(*key))
    }

    /// Reads exactly one PEM block `PUBLIC KEY`; text around it is skipped.
    ///
    /// # Errors
    /// If there is another block, or the key cannot be used.
    pub fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let text = core::str::from_utf8(pem).map_err(|_| KeyError::NotPem)?;
        if text.len() > MAX_PEM_LEN {
            return Err(KeyError::NotPem);
        }
        if text.contains("PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        let (_, rest) = text.split_once(BEGIN).ok_or(KeyError::NotPem)?;
        let (body, after) = rest.split_once(END).ok_or(KeyError::NotPem)?;
        if after.contains("-----BEGIN") {
            return Err(KeyError::NotPem);
        }
        let body: String = body.chars().filter(|letter| !letter.is_ascii_whitespace()).collect();
        let der = BASE64_STANDARD.decode(body).map_err(|_| KeyError::NotPem)?;
        Self::from_spki(&der)
    }

    /// SubjectPublicKeyInfo in DER.
    #[must_use]
    pub fn to_spki(self) -> Vec<u8> {
        [&SPKI_PREFIX[..], &self.0].concat()
    }

    /// As a PEM file.
    #[must_use]
    pub fn to_pem(self) -> String {
        format!("{BEGIN}\n{}\n{END}\n", BASE64_STANDARD.encode(self.to_spki()))
    }

    /// What people compare.
    #[must_use]
    pub fn fingerprint(self) -> Fingerprint {
        Fingerprint(Sha256Digest::of(&self.to_spki()))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({})", self.fingerprint())
    }
}

/// SHA-256 of a key's SubjectPublicKeyInfo, written as `SHA256:` and base64 without padding.
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Fingerprint(Sha256Digest);

/// Text that is no [`Fingerprint`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error(
    "not a fingerprint: it must be SHA256: and 43 characters, as the machine's console shows it"
)]
pub struct FingerprintError;

impl FromStr for Fingerprint {
    type Err = FingerprintError;

    fn from_str(text: &str) -> Result<Self, FingerprintError> {
        let body = text.strip_prefix(PREFIX).ok_or(FingerprintError)?;
        let bytes = BASE64_STANDARD_NO_PAD.decode(body).map_err(|_| FingerprintError)?;
        let bytes: [u8; 32] = bytes.try_into().map_err(|_| FingerprintError)?;
        Ok(Self(Sha256Digest::from_bytes(bytes)))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PREFIX}{}", BASE64_STANDARD_NO_PAD.encode(self.0.as_bytes()))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}

/// A private key that answers for one side of a connection: a machine's, made at its start, or a
/// member of staff's. Lives in memory alone, which is wiped when it is dropped; never prints itself.
#[derive(Clone)]
pub struct Identity(SigningKey);

impl Identity {
    /// A new key from the system's random numbers.
    ///
    /// # Errors
    /// If the system has none.
    pub fn generate() -> Result<Self, KeyError> {
        let mut seed = Zeroizing::new([0; 32]);
        random(&mut *seed)?;
        Ok(Self::from_seed(&seed))
    }

    /// The key of this seed: what a private key file holds.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key().to_bytes())
    }

    /// What people compare.
    #[must_use]
    pub fn fingerprint(&self) -> Fingerprint {
        self.public().fingerprint()
    }

    #[cfg(any(feature = "client", feature = "server"))]
    pub(crate) fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }
}

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Identity({})", self.fingerprint())
    }
}

/// Fills `bytes` with random numbers of the system.
pub(crate) fn random(bytes: &mut [u8]) -> Result<(), KeyError> {
    SystemRandom::new().fill(bytes).map_err(|_| KeyError::NoRandomNumbers)
}

#[cfg(test)]
mod tests;
