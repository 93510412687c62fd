//! Private keys in files: PKCS#8 and OpenSSH, both with a passphrase or without.

use core::fmt;
use std::path::Path;

use ed25519_dalek::Signer;
use ed25519_dalek::SigningKey;
use ed25519_dalek::pkcs8::KeypairBytes;
use pkcs5::EncryptionScheme;
use pkcs5::pbes2::Kdf;
use pkcs8::DecodePrivateKey;
use pkcs8::EncodePrivateKey;
use pkcs8::EncryptedPrivateKeyInfoRef;
use pkcs8::LineEnding;
use pkcs8::PrivateKeyInfoRef;
use pkcs8::SecretDocument;
use pkcs8::der::Decode;
use ssh_key::private::Ed25519Keypair;
use ssh_key::private::Ed25519PrivateKey;
use ssh_key::private::KeypairData;
use ssh_key::public::Ed25519PublicKey;
use zeroize::Zeroizing;

use super::DAMAGED;
use super::PublicKey;
use super::SignerOptions;
use super::label;
use super::not_ed25519;
use super::secret;
use super::text;
use crate::Error;
use crate::Result;
use crate::files;

/// About four seconds; ten times of what OpenSSL is usually told, 1,000 times of its default.
const MAX_PBKDF2_ROUNDS: u32 = 2_000_000;
/// About a minute; `ssh-keygen -a` is usually told up to 200.
const MAX_BCRYPT_ROUNDS: u32 = 4_096;
/// In bytes.
const MAX_SCRYPT_MEMORY: u64 = 1 << 30;

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

    /// Reads a private key file; if it is encrypted, the passphrase is found as `options` say.
    ///
    /// # Errors
    /// As [`Self::from_pem_with`], with the file's name; also if the file cannot be read.
    pub fn open(file: &Path, options: &SignerOptions) -> Result<Self> {
        let bytes = Zeroizing::new(files::read(file)?);
        Self::decode(&bytes, file, options).map_err(|error| error.on(file.display()))
    }

    /// The key in a file that was read.
    pub(super) fn decode(bytes: &[u8], file: &Path, options: &SignerOptions) -> Result<Self> {
        let sources = secret::Sources {
            name: "passphrase",
            file: options.passphrase_file.as_deref(),
            option: "--passphrase-file",
            variable: "RAMSTRAP_PASSPHRASE",
        };
        Self::from_pem_with(bytes, || sources.find(&format!("Passphrase of {}", file.display())))
    }

    /// Reads one private key without a passphrase: PKCS#8 (`PRIVATE KEY`) or OpenSSH
    /// (`OPENSSH PRIVATE KEY`).
    ///
    /// # Errors
    /// If it is encrypted, not Ed25519, not a private key, or followed by something else.
    pub fn from_pem(bytes: &[u8]) -> Result<Self> {
        Self::from_pem_with(bytes, || {
            Err(Error::new("the private key is protected by a passphrase").remedy(
                "only its public half is needed here: give that (`openssl pkey -in KEY -pubout`, or \
                 KEY.pub of OpenSSH)",
            ))
        })
    }

    /// Reads one private key: PKCS#8 (`PRIVATE KEY`, or `ENCRYPTED PRIVATE KEY` with PBES2 of
    /// RFC 8018) or OpenSSH. `passphrase` is asked once, and only if the key is encrypted.
    ///
    /// # Errors
    /// If the passphrase is wrong or there is none; if the key is not Ed25519, not a private key, or
    /// followed by something else.
    pub fn from_pem_with(
        bytes: &[u8],
        passphrase: impl FnOnce() -> Result<Zeroizing<String>>,
    ) -> Result<Self> {
        let text = text(bytes)?;
        match label(text)? {
            "PRIVATE KEY" => SigningKey::from_pkcs8_pem(text).map(Self).map_err(|_| not_ed25519()),
            "ENCRYPTED PRIVATE KEY" => Self::from_encrypted_pkcs8(text, passphrase),
            "OPENSSH PRIVATE KEY" => {
                let key = ssh_key::PrivateKey::from_openssh(text).map_err(|error| {
                    Error::new(format!("the OpenSSH key is damaged: {error}")).remedy(DAMAGED)
                })?;
                // Its public half is not encrypted: nobody is asked in vain.
                super::public::from_openssh_data(key.public_key().key_data())?;
                if key.is_encrypted() {
                    if let ssh_key::Kdf::Bcrypt { rounds, .. } = key.kdf()
                        && *rounds > MAX_BCRYPT_ROUNDS
                    {
                        return Err(too_slow(format!("{rounds} rounds of bcrypt")));
                    }
                    let key = key.decrypt(passphrase()?.as_bytes()).map_err(encrypted_openssh)?;
                    return Self::from_openssh(&key);
                }
                Self::from_openssh(&key)
            }
            "RSA PRIVATE KEY" | "EC PRIVATE KEY" | "DSA PRIVATE KEY" => Err(not_ed25519()),
            "CERTIFICATE" => Err(Error::new("it holds a CERTIFICATE, not a private key").remedy(
                "give the private key that the certificate was issued for; were the two files mixed up?",
            )),
            other => Err(Error::new(format!("it holds a {other}, not a private key"))
                .remedy("give the file with the private key, in PKCS#8 or OpenSSH form")),
        }
    }

    fn from_encrypted_pkcs8(
        text: &str,
        passphrase: impl FnOnce() -> Result<Zeroizing<String>>,
    ) -> Result<Self> {
        let unsupported = |error: &dyn fmt::Display| {
            Error::new(format!(
                "the key is damaged, or encrypted in a way that is not supported: {error}"
            ))
            .remedy(
                "encrypt it again with today's algorithms: `openssl pkcs8 -topk8 -v2 \
                     aes-256-cbc -v2prf hmacWithSHA256 -in KEY -out NEW`",
            )
        };
        let (_, der) = SecretDocument::from_pem(text).map_err(|error| unsupported(&error))?;
        let locked = EncryptedPrivateKeyInfoRef::from_der(der.as_bytes())
            .map_err(|error| unsupported(&error))?;
        refuse_slow(&locked.encryption_algorithm)?;
        let plain = match locked.decrypt(passphrase()?.as_bytes()) {
            Ok(plain) => plain,
            Err(pkcs8::Error::EncryptedPrivateKey(pkcs5::Error::DecryptFailed)) => {
                return Err(wrong_passphrase());
            }
            Err(other) => return Err(unsupported(&other)),
        };
        // Padding is no proof: now and then a wrong passphrase leaves some, and noise before it.
        if PrivateKeyInfoRef::from_der(plain.as_bytes()).is_err() {
            return Err(wrong_passphrase());
        }
        SigningKey::from_pkcs8_der(plain.as_bytes()).map(Self).map_err(|_| not_ed25519())
    }

    fn from_openssh(key: &ssh_key::PrivateKey) -> Result<Self> {
        let KeypairData::Ed25519(pair) = key.key_data() else {
            return Err(not_ed25519());
        };
        let private = SigningKey::from_bytes(&pair.private.to_bytes());
        if private.verifying_key().as_bytes() != &pair.public.0 {
            return Err(
                Error::new("the OpenSSH key's two halves do not belong together").remedy(DAMAGED)
            );
        }
        Ok(Self(private))
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
        PublicKey::from(self.0.verifying_key())
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

/// Refuses what would take minutes, or all memory, before anybody is asked for a passphrase: the file
/// says how much, and it may be anybody's.
fn refuse_slow(scheme: &EncryptionScheme) -> Result<()> {
    let EncryptionScheme::Pbes2(parameters) = scheme else { return Ok(()) };
    match &parameters.kdf {
        Kdf::Pbkdf2(kdf) if kdf.iteration_count > MAX_PBKDF2_ROUNDS => {
            Err(too_slow(format!("{} rounds of PBKDF2", kdf.iteration_count)))
        }
        Kdf::Scrypt(kdf) => {
            let lanes = u64::from(kdf.parallelization);
            let block = u64::from(kdf.block_size).saturating_mul(128);
            let memory = kdf.cost_parameter.saturating_mul(block);
            if memory > MAX_SCRYPT_MEMORY || memory.saturating_mul(lanes) > 4 * MAX_SCRYPT_MEMORY {
                return Err(too_slow(format!("scrypt with {memory} bytes, {lanes} times")));
            }
            Ok(())
        }
        _ => Ok(()),
    }
}

fn too_slow(what: String) -> Error {
    Error::new(format!("opening the key would take too long or too much: it is behind {what}"))
        .detail(format!(
            "at most are taken: {MAX_PBKDF2_ROUNDS} rounds of PBKDF2, {MAX_BCRYPT_ROUNDS} of bcrypt, \
             scrypt with {} MiB",
            MAX_SCRYPT_MEMORY >> 20
        ))
        .remedy(
            "encrypt it again with fewer, and a longer passphrase: `openssl pkcs8 -topk8 -iter 1000000 -in \
             KEY -out NEW`",
        )
}

fn wrong_passphrase() -> Error {
    Error::new("the passphrase does not open the key")
        .remedy("give the passphrase that this very file was encrypted with; its case counts")
}

fn encrypted_openssh(error: ssh_key::Error) -> Error {
    match error {
        ssh_key::Error::Crypto => wrong_passphrase(),
        other => Error::new(format!("the OpenSSH key cannot be decrypted: {other}"))
            .remedy("encrypt it again with today's algorithms: `ssh-keygen -p -f KEY`"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_take_minutes_is_refused_before_anybody_is_asked() {
        let scheme = |rounds| {
            let made = pkcs5::pbes2::Parameters::generate_pbkdf2_sha256_aes256cbc(
                rounds, &[7; 16], [1; 16],
            );
            EncryptionScheme::Pbes2(made.unwrap())
        };
        refuse_slow(&scheme(MAX_PBKDF2_ROUNDS)).unwrap();
        let error = refuse_slow(&scheme(MAX_PBKDF2_ROUNDS + 1)).unwrap_err();
        assert!(error.to_string().contains("2000001 rounds of PBKDF2"), "{error}");
    }
}
