//! Trust policy, signing roots, certificate rules and the threshold: the only place that makes
//! bytes trusted.
//!
//! Everything here is a pure function of bytes and a [`Clock`]: no file, no network, no time of day.
//! [`TrustPolicy::load`] reads what the boot image embeds; [`authorize`] turns the signatures of an
//! OS package and the digest of its archive into an [`Authorized`], which nothing else can make and
//! without which no archive is ever opened.
//!
//! ```
//! use trust::{Clock, PolicyFiles, Sha256Digest, Timestamp, TrustPolicy, authorize};
//!
//! # let root_pem = include_bytes!("../../../tests/vectors/keys/root.cert.pem");
//! let policy = TrustPolicy::load(&PolicyFiles {
//!     trust_policy_json: br#"{"ospkg_signature_threshold": 2, "ospkg_fetch_method": "network"}"#,
//!     signing_root_pem: Some(root_pem),
//!     ..PolicyFiles::default()
//! })?;
//! let clock = Clock::exactly(Timestamp::from_unix(1_800_000_000));
//! let refusal = authorize(&policy, &[], Sha256Digest::of(b"archive"), &clock).unwrap_err();
//! assert_eq!(refusal.to_string(), "0 of 2 required signatures are valid (0 found)");
//! # Ok::<(), trust::PolicyError>(())
//! ```

#![forbid(unsafe_code)]

mod authorize;
mod certificate;
mod chain;
mod channel;
mod clock;
mod digest;
mod document;
mod key;
mod pem;
mod policy;
mod refusal;
pub mod sigsum;
#[cfg(test)]
mod test_certificates;

pub use authorize::Authorized;
pub use authorize::Endorsement;
pub use authorize::MAX_ENDORSEMENTS;
pub use authorize::Signer;
pub use authorize::authorize;
pub use certificate::Certificate;
pub use certificate::CertificateError;
pub use certificate::validity;
pub use channel::Channel;
pub use channel::ChannelError;
pub use channel::MAX_CHANNEL_LEN;
pub use clock::Clock;
pub use clock::ClockSource;
pub use clock::LOCAL_TIME_SECONDS;
pub use clock::TimeError;
pub use clock::Timestamp;
pub use clock::TimestampError;
pub use digest::DigestError;
pub use digest::Sha256Digest;
pub use document::DEFAULT_MAX_CLOCK_SKEW;
pub use document::FetchMethod;
pub use document::MAX_POLICY_LEN;
pub use document::PolicyDocument;
pub use pem::MAX_PEM_LEN;
pub use pem::PemError;
pub use pem::decode_certificate_pem;
pub use policy::MAX_SIGNING_ROOTS;
pub use policy::MAX_TLS_ROOTS;
pub use policy::PolicyError;
pub use policy::PolicyFiles;
pub use policy::TrustPolicy;
pub use refusal::Refusal;
pub use refusal::Skipped;
pub use sigsum::SigsumPolicy;
pub use sigsum::SigsumPolicyError;
