//! Keys on PKCS#11 tokens.
//!
//! A token's driver is a shared library of its vendor. `ramstrap` never loads one: it can be one
//! static executable, and holds no foreign code. It runs the program `ramstrap-pkcs11`, which loads
//! the module, and talks to it in lines of JSON over a pipe ([`protocol`]). A driver that crashes or
//! hangs takes that program down and nothing else.
//!
//! Which token and key are meant is said by a URI of RFC 7512 ([`Uri`]).

#![forbid(unsafe_code)]

#[cfg(feature = "module")]
pub mod module;
pub mod protocol;
mod uri;

pub use uri::Uri;
pub use uri::UriError;

/// Name of the program.
pub const PROGRAM: &str = "ramstrap-pkcs11";
