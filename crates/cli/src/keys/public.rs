//! Public keys in files.

use ed25519_dalek::Signature;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::pkcs8::DecodePublicKey;
use ed25519_dalek::pkcs8::EncodePublicKey;
use ed25519_dalek::pkcs8::spki::der::pem::LineEnding;
use sha2::Digest;
use sha2::Sha256;
use ssh_key::HashAlg;
use ssh_key::public::Ed25519PublicKey;
use ssh_key::public::KeyData;

use super::DAMAGED;
use super::PrivateKey;
use super::is_openssh_public;
use super::label;
use super::not_ed25519;
use super::refuse_fido;
use super::text;
use crate::Error;
use crate::Result;

/// A public Ed25519 key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a public key: PEM `PUBLIC KEY` or a line `ssh-ed25519 …`. A private key file is
    /// taken too, and gives its public half; an OpenSSH one even if it has a passphrase.
    ///
    /// # Errors
    /// If it is none of these, or not Ed25519.
    pub fn from_file(bytes: &[u8]) -> Result<Self> {
        let text = text(bytes)?;
        if is_openssh_public(text.trim_start()) {
            return from_openssh_line(text);
        }
        match label(text)? {
            "PUBLIC KEY" => {
                VerifyingKey::from_public_key_pem(text).map(Self).map_err(|_| not_ed25519())
            }
            "OPENSSH PRIVATE KEY" => {
                let key = ssh_key::PrivateKey::from_openssh(text).map_err(|error| {
                    Error::new(format!("the OpenSSH key is damaged: {error}")).remedy(DAMAGED)
                })?;
                match key.is_encrypted() {
                    true => from_openssh_data(key.public_key().key_data()),
                    false => PrivateKey::from_pem(bytes).map(|key| key.public()),
                }
            }
            label if label.ends_with("PRIVATE KEY") => {
                PrivateKey::from_pem(bytes).map(|key| key.public())
            }
            other => Err(Error::new(format!("it holds a {other}, not a key"))
                .remedy("give a public or private Ed25519 key in PEM or OpenSSH form")),
        }
    }

    /// From the 32 bytes of RFC 8032.
    ///
    /// # Errors
    /// If they are no point of the curve.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self> {
        VerifyingKey::from_bytes(bytes).map(Self).map_err(|_| not_ed25519())
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

    /// The key as a file: a PEM block `PUBLIC KEY`.
    ///
    /// # Errors
    /// As [`Self::spki_der`].
    pub fn to_pem(&self) -> Result<String> {
        self.0
            .to_public_key_pem(LineEnding::LF)
            .map_err(|error| Error::new(format!("encoding the public key: {error}")))
    }

    /// SHA-256 of [`Self::spki_der`], hex: what reports and `denied_keys` name a key by.
    ///
    /// # Errors
    /// As [`Self::spki_der`].
    pub fn fingerprint(&self) -> Result<String> {
        Ok(hex::encode(Sha256::digest(self.spki_der()?)))
    }

    /// What `ssh-keygen -l` and `ssh-add -l` name the key by: `SHA256:` and base64.
    #[must_use]
    pub fn ssh_fingerprint(&self) -> String {
        let data = KeyData::Ed25519(Ed25519PublicKey(*self.as_bytes()));
        data.fingerprint(HashAlg::Sha256).to_string()
    }

    /// Whether this is the key's signature over the message: pure Ed25519, strictly.
    #[must_use]
    pub fn verifies(&self, message: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(message, &Signature::from_bytes(signature)).is_ok()
    }

    pub(crate) fn verifying_key(&self) -> VerifyingKey {
        self.0
    }
}

impl From<VerifyingKey> for PublicKey {
    fn from(key: VerifyingKey) -> Self {
        Self(key)
    }
}

/// A line `ssh-ed25519 AAAA… comment`.
fn from_openssh_line(text: &str) -> Result<PublicKey> {
    refuse_fido(text.split_whitespace().next().unwrap_or_default())?;
    let key = ssh_key::PublicKey::from_openssh(text.trim()).map_err(|error| match error {
        ssh_key::Error::AlgorithmUnsupported { .. } => not_ed25519(),
        other => Error::new(format!("the OpenSSH public key is damaged: {other}"))
            .remedy("it is one line: `ssh-ed25519`, the key in base64, a comment"),
    })?;
    from_openssh_data(key.key_data())
}

/// The key, if it is one that signs messages as they are.
pub(super) fn from_openssh_data(data: &KeyData) -> Result<PublicKey> {
    match data {
        KeyData::Ed25519(key) => PublicKey::from_bytes(&key.0),
        other => {
            refuse_fido(other.algorithm().as_str())?;
            Err(not_ed25519())
        }
    }
}
