//! The one way to a signature, wherever the key is.

use core::cell::RefCell;
use std::path::Path;

use ed25519_dalek::Signature;
use ed25519_dalek::VerifyingKey;
use ed25519_dalek::ed25519::signature;
use ed25519_dalek::ed25519::signature::Keypair;
use ed25519_dalek::pkcs8::spki::DynSignatureAlgorithmIdentifier;

use super::KeySource;
use super::PrivateKey;
use super::PublicKey;
use super::SignerOptions;
use super::agent;
use super::is_openssh_public;
use super::label;
use super::text;
use super::token;
use crate::Error;
use crate::Result;
use crate::files;

/// A key that can sign: in memory, in ssh-agent, or on a token. A private key on a token or in an
/// agent never comes here; only messages and signatures travel.
#[derive(Debug)]
pub struct Signer {
    public: PublicKey,
    place: Place,
}

#[derive(Debug)]
enum Place {
    Memory(PrivateKey),
    Agent(agent::Found),
    Token(token::TokenKey),
}

impl From<PrivateKey> for Signer {
    fn from(key: PrivateKey) -> Self {
        Self { public: key.public(), place: Place::Memory(key) }
    }
}

impl From<&PrivateKey> for Signer {
    fn from(key: &PrivateKey) -> Self {
        Self::from(PrivateKey::from_seed(key.signing_key().as_bytes()))
    }
}

impl Signer {
    /// Finds the key. Passphrases and PINs are asked as `options` say, only where one is needed, and
    /// once: a wrong one is an error, because tokens count attempts.
    ///
    /// # Errors
    /// If there is no such key, it cannot be opened, or is not Ed25519.
    pub fn open(source: &KeySource, options: &SignerOptions) -> Result<Self> {
        match source {
            KeySource::File(file) => {
                let bytes = zeroize::Zeroizing::new(files::read(file)?);
                Self::decode(&bytes, file, options).map_err(|error| error.on(file.display()))
            }
            KeySource::Agent(which) => agent::find(which).map(Self::in_agent),
            KeySource::Token(uri) => {
                let key = token::find(uri, options)?;
                Ok(Self { public: key.key().clone(), place: Place::Token(key) })
            }
        }
    }

    /// The key in a file that was read.
    fn decode(bytes: &[u8], file: &Path, options: &SignerOptions) -> Result<Self> {
        let content = text(bytes)?;
        if is_openssh_public(content.trim_start()) || label(content)? == "PUBLIC KEY" {
            let key = PublicKey::from_file(bytes)?;
            return agent::find_public(&key).map(Self::in_agent).map_err(|error| {
                error.detail("the file has a public key: ssh-agent is asked for its private half")
            });
        }
        PrivateKey::decode(bytes, file, options).map(Self::from)
    }

    fn in_agent(found: agent::Found) -> Self {
        Self { public: found.key().clone(), place: Place::Agent(found) }
    }

    /// The public half.
    #[must_use]
    pub fn public_key(&self) -> &PublicKey {
        &self.public
    }

    /// Signs a message (pure Ed25519). The signature was verified when this returns.
    ///
    /// # Errors
    /// If the agent or token refuses, does not answer in time, or answers with something that is no
    /// signature of this key over this message.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64]> {
        let signature = match &self.place {
            Place::Memory(key) => key.sign(message),
            Place::Agent(found) => found.sign(message)?,
            Place::Token(key) => key.sign(message)?,
        };
        if !self.public.verifies(message, &signature) {
            return Err(Error::new("what came back is not this key's signature over the message")
                .remedy("do not use this agent or token for signing until you know why"));
        }
        Ok(signature)
    }
}

/// A signer for the X.509 builder, whose own error type has no room for ours.
pub(crate) struct ForCertificates<'a> {
    signer: &'a Signer,
    failed: RefCell<Option<Error>>,
}

impl<'a> ForCertificates<'a> {
    pub(crate) fn new(signer: &'a Signer) -> Self {
        Self { signer, failed: RefCell::new(None) }
    }

    /// Why signing failed, if it did.
    pub(crate) fn into_error(self) -> Option<Error> {
        self.failed.into_inner()
    }
}

impl Keypair for ForCertificates<'_> {
    type VerifyingKey = VerifyingKey;

    fn verifying_key(&self) -> VerifyingKey {
        self.signer.public.verifying_key()
    }
}

impl DynSignatureAlgorithmIdentifier for ForCertificates<'_> {
    fn signature_algorithm_identifier(
        &self,
    ) -> ed25519_dalek::pkcs8::spki::Result<ed25519_dalek::pkcs8::spki::AlgorithmIdentifierOwned>
    {
        self.signer.public.verifying_key().signature_algorithm_identifier()
    }
}

impl signature::Signer<Signature> for ForCertificates<'_> {
    fn try_sign(&self, message: &[u8]) -> Result<Signature, signature::Error> {
        match self.signer.sign(message) {
            Ok(signature) => Ok(Signature::from_bytes(&signature)),
            Err(error) => {
                *self.failed.borrow_mut() = Some(error);
                Err(signature::Error::new())
            }
        }
    }
}
