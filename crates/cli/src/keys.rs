//! Ed25519 keys in the files that operators have: PKCS#8 and OpenSSH.

use core::fmt;

use ed25519_dalek::Signer;
use ed25519_dalek::SigningKey;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePrivateKey;
use ed25519_dalek::pkcs8::DecodePublicKey;
use ed25519_dalek::pkcs8::EncodePrivateKey;
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::KeypairBytes;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use sha2::Digest;
use sha2::Sha256;
use ssh_key::private::Ed25519Keypair;
use ssh_key::private::Ed25519PrivateKey;
use ssh_key::private::KeypairData;
use ssh_key::public::Ed25519PublicKey;

use crate::Error;
use crate::Result;

/// The file format of a private key.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum KeyFormat {
    /// PKCS#8 in PEM, `PRIVATE KEY`.
    #[default]
    Pkcs8,
    /// `OPENSSH PRIVATE KEY`, not encrypted.
    OpenSsh,
}

/// A private Ed25519 key. Never prints itself; its memory is wiped when it is dropped.
pub struct PrivateKey(SigningKey);

impl PrivateKey {
    /// A new key from the system's random numbers.
    ///
    /// # Errors
    /// If the system has none.
    pub fn generate() -> Result<Self> {
        let mut seed = [0; 32];
        getrandom::fill(&mut seed)
            .map_err(|error| Error::new(format!("no random numbers from the system: {error}")))?;
        Ok(Self(SigningKey::from_bytes(&seed)))
    }

    /// The key that belongs to this seed. For keys that tests want to be the same every time.
    #[must_use]
    pub fn from_seed(seed: &[u8; 32]) -> Self {
        Self(SigningKey::from_bytes(seed))
    }

    /// Reads one private key: PKCS#8 (`PRIVATE KEY`) or OpenSSH (`OPENSSH PRIVATE KEY`).
    ///
    /// # Errors
    /// If it is encrypted, not Ed25519, not a private key, or followed by something else.
    pub fn from_pem(bytes: &[u8]) -> Result<Self> {
        let text = text(bytes)?;
        let label = label(text)?;
        let encrypted = || {
            Error::new("the private key is protected by a password").remedy(
                "decrypt a copy of it first: `openssl pkcs8` for PKCS#8, `ssh-keygen -p` for OpenSSH",
            )
        };
        match label {
            "PRIVATE KEY" => SigningKey::from_pkcs8_pem(text).map(Self).map_err(|_| not_ed25519()),
            "OPENSSH PRIVATE KEY" => {
                let key = ssh_key::PrivateKey::from_openssh(text)
                    .map_err(|error| Error::new(format!("the OpenSSH key is damaged: {error}")))?;
                if key.is_encrypted() {
                    return Err(encrypted());
                }
                let KeypairData::Ed25519(pair) = key.key_data() else {
                    return Err(not_ed25519());
                };
                let private = SigningKey::from_bytes(&pair.private.to_bytes());
                if private.verifying_key().as_bytes() != &pair.public.0 {
                    return Err(Error::new("the OpenSSH key's two halves do not belong together"));
                }
                Ok(Self(private))
            }
            "ENCRYPTED PRIVATE KEY" => Err(encrypted()),
            _ if text.contains("ENCRYPTED") => Err(encrypted()),
            "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "DSA PRIVATE KEY" => Err(not_ed25519()),
            other => Err(Error::new(format!("it holds a {other}, not a private key"))
                .remedy("give the file with the private key, in PKCS#8 or OpenSSH form")),
        }
    }

    /// The key as a file in this format. OpenSSH files get `comment`.
    ///
    /// # Errors
    /// Only if encoding fails, which is a bug.
    pub fn to_pem(&self, format: KeyFormat, comment: &str) -> Result<String> {
        let failed = |error: &dyn fmt::Display| Error::new(format!("encoding the key: {error}"));
        match format {
            // Version 1 without the public half: readable by every OpenSSL and Go.
            KeyFormat::Pkcs8 => KeypairBytes { secret_key: self.0.to_bytes(), public_key: None }
                .to_pkcs8_pem(LineEnding::LF)
                .map(|pem| pem.to_string())
                .map_err(|error| failed(&error)),
            KeyFormat::OpenSsh => {
                let pair = Ed25519Keypair {
                    public: Ed25519PublicKey(*self.public().as_bytes()),
                    private: Ed25519PrivateKey::from_bytes(self.0.as_bytes()),
                };
                ssh_key::PrivateKey::new(KeypairData::Ed25519(pair), comment)
                    .and_then(|key| key.to_openssh(LineEnding::LF))
                    .map(|pem| pem.to_string())
                    .map_err(|error| failed(&error))
            }
        }
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    /// Signs a message (pure Ed25519).
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> [u8; 64] {
        self.0.sign(message).to_bytes()
    }

    pub(crate) fn signing_key(&self) -> &SigningKey {
        &self.0
    }
}

impl fmt::Debug for PrivateKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PrivateKey").field(&self.public()).finish()
    }
}

/// A public Ed25519 key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a public key: PEM `PUBLIC KEY` or a line `ssh-ed25519 …`. A private key file is
    /// taken too, and gives its public half.
    ///
    /// # Errors
    /// If it is none of these, or not Ed25519.
    pub fn from_file(bytes: &[u8]) -> Result<Self> {
        let text = text(bytes)?;
        if text.trim_start().starts_with("ssh-") {
            let key = ssh_key::PublicKey::from_openssh(text.trim()).map_err(|error| {
                Error::new(format!("the OpenSSH public key is damaged: {error}"))
            })?;
            let bytes = key.key_data().ed25519().ok_or_else(not_ed25519)?;
            return VerifyingKey::from_bytes(&bytes.0).map(Self).map_err(|_| not_ed25519());
        }
        match label(text)? {
            "PUBLIC KEY" => {
                VerifyingKey::from_public_key_pem(text).map(Self).map_err(|_| not_ed25519())
            }
            label if label.ends_with("PRIVATE KEY") => {
                PrivateKey::from_pem(bytes).map(|key| key.public())
            }
            other => Err(Error::new(format!("it holds a {other}, not a key"))
                .remedy("give a public or private Ed25519 key in PEM or OpenSSH form")),
        }
    }

    /// The 32 bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    /// SubjectPublicKeyInfo in DER.
    ///
    /// # Errors
    /// Only if encoding fails, which is a bug.
    pub fn spki_der(&self) -> Result<Vec<u8>> {
        self.0
            .to_public_key_der()
            .map(|document| document.into_vec())
            .map_err(|error| Error::new(format!("encoding the public key: {error}")))
    }

    /// SHA-256 of [`Self::spki_der`], hex: what reports and `denied_keys` name a key by.
    ///
    /// # Errors
    /// As [`Self::spki_der`].
    pub fn fingerprint(&self) -> Result<String> {
        Ok(hex::encode(Sha256::digest(self.spki_der()?)))
    }
}

fn not_ed25519() -> Error {
    Error::new("the key is not Ed25519, or is damaged")
        .remedy("OS packages are signed with Ed25519 only; `ramstrap keygen` makes such keys")
}

fn text(bytes: &[u8]) -> Result<&str> {
    core::str::from_utf8(bytes).map_err(|_| {
        Error::new("it is not a text file").remedy("keys are read in PEM or OpenSSH form, not DER")
    })
}

/// The label of the only PEM block; anything but white space around it is refused.
fn label(text: &str) -> Result<&str> {
    let none = || {
        Error::new("it holds no key in PEM or OpenSSH form")
            .remedy("`ramstrap keygen` and ssh-keygen make such files")
    };
    let rest = text.trim().strip_prefix("-----BEGIN ").ok_or_else(none)?;
    let (label, body) = rest.split_once("-----").ok_or_else(none)?;
    let end = format!("-----END {label}-----");
    match body.split_once(end.as_str()) {
        Some((_, "")) => Ok(label),
        Some(_) => Err(Error::new("something follows the key in the file")
            .remedy("keep one key in one file and nothing else")),
        None => Err(none()),
    }
}
