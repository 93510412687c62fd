//! Downloads from untrusted mirrors: limits, resume, stall detection, redirect rules.
//!
//! A [`Client`] belongs to one network interface: its TCP and DNS sockets are bound to it, and the
//! answers of one network are never used on another. It gets an OS package's descriptor as bytes,
//! and its archive as a stream into a [`Sink`], hashed while it comes. Nothing here is trusted or
//! verified; what a mirror can do is to fail, and every way of failing has its stable code.
//!
//! What holds for every request:
//! - https is judged by the given TLS roots alone, never by roots, proxies or settings of the host,
//!   and a proxy from the host configuration sees nothing of it but the name of the server;
//! - time comes from [`trust::Clock`], so that a dead clock does not lock a machine out;
//! - redirects never leave https; credentials, headers and client certificates go to the origin they
//!   were configured for only, and nowhere that a redirect leads;
//! - nothing is unbounded: sizes, waits, redirects and retries have [`Limits`].

#![forbid(unsafe_code)]

mod archive;
mod beside;
mod client;
mod credentials;
mod dns;
mod error;
#[doc(hidden)]
pub mod fuzzing;
mod handshake;
mod http;
mod limits;
mod location;
mod page;
mod partial;
mod retry_after;
mod sink;
mod stall;
mod tls;
mod transport;
mod tunnel;

pub use archive::Download;
pub use archive::Patience;
pub use archive::Progress;
pub use beside::Poster;
pub use beside::Resolver;
pub use beside::tls_config;
pub use client::Client;
pub use client::ClientOptions;
pub use dns::answers::Families;
pub use error::ErrorKind;
pub use error::FetchError;
pub use http::Http;
pub use limits::Limits;
pub use partial::Partial;
pub use reqwest::header;
pub use sink::Sink;
pub use transport::Body;
pub use transport::Request;
pub use transport::Response;
pub use transport::Transport;
