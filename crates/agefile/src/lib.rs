//! Decrypts age files (C2SP `age`, version 1) while they come.
//!
//! What a machine needs of age, and no more: native X25519 [`Identities`], files that are not
//! armored, and a [`Decryptor`] that takes bytes as they arrive and gives plaintext back in chunks
//! of 64 KiB, each authenticated before it is given. Headers are by anybody: they are bounded
//! ([`MAX_HEADER_LEN`], [`MAX_STANZAS`]), parsed strictly, and nothing in them can make it panic.
//!
//! Decryption says nothing about who made a file: whoever knows a recipient can encrypt to it. What
//! comes out is exactly as untrusted as what goes in.
//!
//! Secrets are wiped when they are dropped, and never printed.

#![forbid(unsafe_code)]

mod decrypt;
mod error;
mod header;
mod identity;

pub use decrypt::Decryptor;
pub use decrypt::decrypt;
pub use error::AgeError;
pub use header::MAX_HEADER_LEN;
pub use header::MAX_STANZAS;
pub use header::is_age_file;
pub use header::is_armored;
pub use identity::Identities;
pub use identity::Identity;
pub use identity::IdentityError;
pub use identity::MAX_IDENTITIES;
pub use identity::MAX_IDENTITIES_LEN;
