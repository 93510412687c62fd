//! Public keys as certificates hold them, and signatures made with them.

use ed25519_dalek::Signature;
use ed25519_dalek::VerifyingKey;
use ring::signature;
use ring::signature::UnparsedPublicKey;
use ring::signature::VerificationAlgorithm;
use x509_cert::der::Decode;
use x509_cert::der::Reader;
use x509_cert::der::SliceReader;
use x509_cert::der::asn1::Any;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::asn1::UintRef;
use x509_cert::spki::AlgorithmIdentifierOwned;
use x509_cert::spki::SubjectPublicKeyInfoOwned;

const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const P256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const P384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
/// Curves that are known but not supported.
const P224: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.33");
const P521: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const RSA: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");

const ECDSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.2");
const ECDSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.4.3.3");
const RSA_SHA256: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.11");
const RSA_SHA384: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.12");
const RSA_SHA512: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.13");

/// Why a public key cannot be used.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("the key is {0}, not Ed25519")]
    NotEd25519(&'static str),
    #[error("the key's algorithm is not supported (Ed25519, ECDSA P-256 and P-384, RSA)")]
    Unsupported,
    /// Not in the form that its algorithm has: the certificate is refused.
    #[error("the key is malformed")]
    Malformed,
    #[error("the Ed25519 key is no point of the curve, or not written in the only way")]
    NotAPoint,
    #[error("the Ed25519 key is weak: anybody can make signatures that it accepts")]
    Weak,
    #[error("the RSA key has {0} bits; 2048 to 8192 are accepted")]
    RsaLength(usize),
}

/// Why a signature does not stand.
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
pub(crate) enum SignatureError {
    #[error("its signature algorithm is not supported, or not one for the issuer's key")]
    Algorithm,
    #[error("its signature is not by the issuer's key")]
    Wrong,
}

/// A usable public key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum PublicKey {
    Ed25519(VerifyingKey),
    /// Uncompressed point.
    P256(Vec<u8>),
    /// Uncompressed point.
    P384(Vec<u8>),
    /// DER of RSAPublicKey.
    Rsa(Vec<u8>),
}

impl PublicKey {
    pub(crate) fn from_spki(spki: &SubjectPublicKeyInfoOwned) -> Result<Self, KeyError> {
        let bytes = spki.subject_public_key.as_bytes().ok_or(KeyError::Malformed)?;
        let parameters = spki.algorithm.parameters.as_ref();
        match spki.algorithm.oid {
            ED25519 if parameters.is_none() => ed25519(bytes).map(Self::Ed25519),
            EC_PUBLIC_KEY => {
                let curve = parameters.and_then(|it| it.decode_as::<ObjectIdentifier>().ok());
                match curve {
                    Some(P256) => point(bytes, 32).map(Self::P256),
                    Some(P384) => point(bytes, 48).map(Self::P384),
                    Some(P224) => point(bytes, 28).and(Err(KeyError::Unsupported)),
                    Some(P521) => point(bytes, 66).and(Err(KeyError::Unsupported)),
                    // Explicit parameters, or a curve that readers of certificates do not know.
                    _ => Err(KeyError::Malformed),
                }
            }
            RSA if !parameters.is_some_and(Any::is_null) => Err(KeyError::Malformed),
            RSA => rsa(bytes).map(|()| Self::Rsa(bytes.to_vec())),
            ED25519 => Err(KeyError::Malformed),
            _ => Err(KeyError::Unsupported),
        }
    }

    /// The key as one that may sign OS packages.
    pub(crate) const fn as_ed25519(&self) -> Result<&VerifyingKey, KeyError> {
        match self {
            Self::Ed25519(key) => Ok(key),
            Self::P256(_) | Self::P384(_) => Err(KeyError::NotEd25519("ECDSA")),
            Self::Rsa(_) => Err(KeyError::NotEd25519("RSA")),
        }
    }

    /// Verifies a signature on a certificate: Ed25519, ECDSA on P-256 and P-384 with SHA-256 and
    /// SHA-384, RSA PKCS#1 v1.5 with SHA-256, SHA-384 and SHA-512. No SHA-1, no RSA-PSS, no P-521.
    pub(crate) fn verify(
        &self,
        algorithm: &AlgorithmIdentifierOwned,
        message: &[u8],
        signature: &[u8],
    ) -> Result<(), SignatureError> {
        // RSA algorithms have NULL as parameters, which some writers leave out; the others have none.
        let plain = algorithm.parameters.is_none();
        let null = algorithm.parameters.as_ref().is_none_or(|parameters| parameters.is_null());
        let (verifier, key): (&dyn VerificationAlgorithm, &[u8]) = match (self, algorithm.oid) {
            (Self::Ed25519(key), ED25519) if plain => {
                let signature =
                    Signature::from_slice(signature).map_err(|_| SignatureError::Wrong)?;
                return key.verify_strict(message, &signature).map_err(|_| SignatureError::Wrong);
            }
            (Self::P256(key), ECDSA_SHA256) if plain => (&signature::ECDSA_P256_SHA256_ASN1, key),
            (Self::P256(key), ECDSA_SHA384) if plain => (&signature::ECDSA_P256_SHA384_ASN1, key),
            (Self::P384(key), ECDSA_SHA256) if plain => (&signature::ECDSA_P384_SHA256_ASN1, key),
            (Self::P384(key), ECDSA_SHA384) if plain => (&signature::ECDSA_P384_SHA384_ASN1, key),
            (Self::Rsa(key), RSA_SHA256) if null => (&signature::RSA_PKCS1_2048_8192_SHA256, key),
            (Self::Rsa(key), RSA_SHA384) if null => (&signature::RSA_PKCS1_2048_8192_SHA384, key),
            (Self::Rsa(key), RSA_SHA512) if null => (&signature::RSA_PKCS1_2048_8192_SHA512, key),
            _ => return Err(SignatureError::Algorithm),
        };
        UnparsedPublicKey::new(verifier, key)
            .verify(message, signature)
            .map_err(|_| SignatureError::Wrong)
    }
}

/// An Ed25519 key of which there is one encoding only, and which is not weak.
pub(crate) fn ed25519(bytes: &[u8]) -> Result<VerifyingKey, KeyError> {
    let bytes: &[u8; 32] = bytes.try_into().map_err(|_| KeyError::Malformed)?;
    let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
    if key.is_weak() {
        return Err(KeyError::Weak);
    }
    // Signers are told apart by the bytes of their keys, so that a second way to write the same key
    // must not be accepted.
    if key.to_edwards().compress().as_bytes() != bytes {
        return Err(KeyError::NotAPoint);
    }
    Ok(key)
}

/// An uncompressed point with coordinates of this many bytes. Whether it lies on the curve is checked
/// when a signature is verified with it.
fn point(bytes: &[u8], coordinate_len: usize) -> Result<Vec<u8>, KeyError> {
    match bytes {
        [4, coordinates @ ..] if coordinates.len() == 2 * coordinate_len => Ok(bytes.to_vec()),
        _ => Err(KeyError::Malformed),
    }
}

fn rsa(bytes: &[u8]) -> Result<(), KeyError> {
    let modulus = SliceReader::new(bytes)
        .and_then(|mut reader| {
            let modulus = reader.sequence(|reader| {
                let modulus = UintRef::decode(reader)?;
                UintRef::decode(reader)?;
                Ok::<_, x509_cert::der::Error>(modulus)
            })?;
            reader.finish()?;
            Ok(modulus)
        })
        .map_err(|_| KeyError::Malformed)?;
    let modulus = modulus.as_bytes();
    let zeros = modulus.first().map_or(0, |byte| byte.leading_zeros());
    let bits = modulus.len().saturating_mul(8).saturating_sub(usize::try_from(zeros).unwrap_or(0));
    if (2048..=8192).contains(&bits) { Ok(()) } else { Err(KeyError::RsaLength(bits)) }
}

#[cfg(test)]
mod tests;
