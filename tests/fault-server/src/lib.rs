//! A web server that misbehaves on request, for tests.
//!
//! [`FaultServer::start`] serves files from memory over http or https, on a thread of its own, so
//! that synchronous tests can use it. A [`File`] may go wrong for its first requests, for all of
//! them, or for some in the middle ([`Fault`]); every request is logged for assertions. [`Pki`]
//! makes the certificates, good and bad ones; [`FaultProxy`] stands between. Nothing here is meant to face a real network.
//!
//! ```
//! use fault_server::{Config, Fault, FaultServer, File};
//!
//! let file = File::new("content").first(1, Fault::Status(503));
//! let server = FaultServer::start(Config::http().file("/os.json", file))?;
//! println!("{} will fail once", server.url("/os.json"));
//! assert_eq!(server.count("/os.json"), 0);
//! # Ok::<(), anyhow::Error>(())
//! ```

#![forbid(unsafe_code)]

mod config;
mod connection;
mod pki;
mod proxy;
mod request;
mod server;

pub use config::Config;
pub use config::Fault;
pub use config::File;
pub use config::Ranges;
pub use pki::Identity;
pub use pki::Pki;
pub use pki::Validity;
pub use proxy::FaultProxy;
pub use proxy::ProxyConfig;
pub use request::Request;
pub use server::FaultServer;
