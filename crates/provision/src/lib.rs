//! How staff takes a machine into service.
//!
//! A RAM-only OS starts without any secret. It makes an [`Identity`] in memory, shows its
//! [`Fingerprint`] on the console, and waits on TCP port [`PORT`] for a member of its [`Staff`] to
//! hand over a [`config::ServiceConfig`]. Both sides know each other by their raw Ed25519 keys
//! alone (TLS 1.3, RFC 7250): there are no certificates, names or dates.
//!
//! ```text
//!  machine (server)                                       staff (client)
//!     TLS 1.3: raw public keys of both sides, each judged before a byte of the protocol is read
//!     hello {identity, package, release, state, nonce}  ─►
//!                                                       ◄─  one request {nonce, identity, package, request}
//!     progress {text} …                                 ─►
//!     accepted {details} | refused {code, reason}       ─►
//! ```
//!
//! Every message is a JSON object behind its length ([`wire`]), with a limit and a deadline.
//! What a request does to the OS is not decided here: see [`server::Host`].

#![forbid(unsafe_code)]

#[cfg(feature = "client")]
pub mod client;
pub mod config;
#[cfg(all(feature = "client", feature = "server"))]
#[doc(hidden)]
pub mod fuzzing;
mod keys;
mod message;
#[cfg(feature = "server")]
pub mod server;
mod staff;
#[cfg(any(feature = "client", feature = "server"))]
mod tls;
pub mod wire;
pub mod wireguard;

pub use keys::Fingerprint;
pub use keys::FingerprintError;
pub use keys::Identity;
pub use keys::KeyError;
pub use keys::PublicKey;
pub use message::Accepted;
pub use message::Hello;
pub use message::Refused;
pub use message::Request;
pub use message::RequestKind;
pub use message::State;
pub use message::Why;
pub use staff::Staff;
pub use staff::StaffError;

/// The TCP port that a machine waits on.
pub const PORT: u16 = 7443;

/// Version of the protocol.
pub const VERSION: u64 = 1;
