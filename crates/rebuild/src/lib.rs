//! What makes a build auditable.
//!
//! * [`store`]: the inputs of a release, kept by their digests beside it, so that it can be built
//!   again when the archives that they came from have moved on.
//! * [`compare`]: where two OS packages or boot images differ, down to the file inside an initramfs.
//! * [`sbom`]: the bill of materials of a package.
//! * [`build`], [`source`], [`toolchain`]: what a build was made of, as `build.json` says it.
//! * [`checkout`]: the recorded revision of the source tree, in a directory of its own.
//! * [`record`]: that this user has built exactly these bytes again; what
//!   `ramstrap ospkg sign --after-rebuild` asks for.
//!
//! Everything that is read here may come from anywhere: every size is bounded, and nothing decides
//! whether a machine boots anything.

#![forbid(unsafe_code)]

pub mod build;
pub mod checkout;
pub mod compare;
mod error;
mod files;
pub mod initramfs;
pub mod record;
pub mod sbom;
pub mod source;
pub mod store;
pub mod toolchain;

pub use error::Error;
pub use error::Result;

use sha2::Digest;
use sha2::Sha256;

/// The SHA-256 of these bytes, in lower-case hexadecimal digits.
#[must_use]
pub fn sha256(bytes: &[u8]) -> String {
    hex::encode(Sha256::digest(bytes))
}

/// Whether this is a SHA-256 as it is written here: 64 lower-case hexadecimal digits.
#[must_use]
pub fn is_sha256(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}
