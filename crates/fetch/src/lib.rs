//! Downloads from untrusted mirrors: limits, resume, stall detection, redirect rules.
//!
//! A [`Client`] belongs to one network interface: its TCP and DNS sockets are bound to it, and the
//! answers of one network are never used on another. It gets an OS package's descriptor as bytes,
//! and its archive as a stream into a [`Sink`], hashed while it comes. Nothing here is trusted or
//! verified; what a mirror can do is to fail, and every way of failing has its stable code.
//!
//! What holds for every request:
//! - https is judged by the given TLS roots alone, never by roots, proxies or settings of the host;
//! - time comes from [`trust::Clock`], so that a dead clock does not lock a machine out;
//! - redirects never leave https, and credentials go to the host they were configured for only;
//! - nothing is unbounded: sizes, waits, redirects and retries have [`Limits`].

#![forbid(unsafe_code)]

mod archive;
mod client;
mod dns;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod limits;
mod location;
mod sink;
mod stall;
mod tls;

pub use archive::Download;
pub use archive::Progress;
pub use client::Client;
pub use client::ClientOptions;
pub use error::ErrorKind;
pub use error::FetchError;
pub use limits::Limits;
pub use sink::Sink;
