//! Where the archive is collected, decrypted on its way if the trust policy has identities for that.

use std::io;

use agefile::AgeError;
use agefile::Decryptor;
use agefile::Identities;
use fetch::Sink;
use report::Code;
use ring::digest;
use trust::Sha256Digest;

use crate::world::Scratch;

/// A file that takes an archive.
#[derive(Debug)]
pub(crate) struct ArchiveFile<F> {
    file: F,
    /// Bytes in the file.
    len: u64,
    decryption: Option<Decryption>,
}

struct Decryption {
    decryptor: Decryptor,
    /// Over the plaintext, which is what is signed.
    hasher: digest::Context,
}

impl core::fmt::Debug for Decryption {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Decryption").finish_non_exhaustive()
    }
}

impl<F> ArchiveFile<F> {
    /// An empty file, for an archive that is encrypted to one of these, or for one that is not.
    pub(crate) fn new(file: F, identities: Option<&Identities>) -> Self {
        let decryption = identities.map(|identities| Decryption {
            decryptor: Decryptor::new(identities.clone()),
            hasher: digest::Context::new(&digest::SHA256),
        });
        Self { file, len: 0, decryption }
    }

    /// The file, and how many bytes are in it.
    pub(crate) fn into_file(self) -> (F, u64) {
        (self.file, self.len)
    }
}

impl<F: Scratch> Sink for ArchiveFile<F> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        let Self { file, len, decryption } = self;
        match decryption {
            None => {
                if *len == 0 && agefile::is_age_file(bytes) {
                    return Err(AgeError::Unexpected.into());
                }
                append(file, len, bytes)
            }
            Some(Decryption { decryptor, hasher }) => {
                decryptor.push(bytes, &mut |plain: &[u8]| {
                    hasher.update(plain);
                    append(file, len, plain)
                })
            }
        }
    }

    fn restart(&mut self) -> io::Result<()> {
        self.len = 0;
        if let Some(Decryption { decryptor, hasher }) = &mut self.decryption {
            decryptor.restart();
            *hasher = digest::Context::new(&digest::SHA256);
        }
        self.file.clear()
    }

    fn hashes(&self) -> bool {
        self.decryption.is_some()
    }

    fn finish(&mut self) -> io::Result<Option<Sha256Digest>> {
        let Self { file, len, decryption } = self;
        let Some(Decryption { decryptor, hasher }) = decryption else { return Ok(None) };
        decryptor.finish(&mut |plain: &[u8]| {
            hasher.update(plain);
            append(file, len, plain)
        })?;
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(hasher.clone().finish().as_ref());
        Ok(Some(Sha256Digest::from_bytes(sha256)))
    }
}

fn append<F: Scratch>(file: &mut F, len: &mut u64, bytes: &[u8]) -> io::Result<()> {
    file.write_all(bytes)?;
    *len = len.saturating_add(bytes.len() as u64);
    Ok(())
}

/// Whether a failure is about a file that could not be decrypted.
pub(crate) const fn is_of_decryption(code: Code) -> bool {
    matches!(
        code,
        Code::NotEncrypted
            | Code::EncryptedUnexpected
            | Code::EncryptionHeader
            | Code::NoIdentityMatches
            | Code::DecryptionFailed
            | Code::EncryptedTruncated
    )
}

#[cfg(test)]
mod tests;
