//! Downloads from mirrors that fail in every way, over real sockets and real TLS.

#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

mod archive;
mod descriptor;
mod identity;
mod proxy;
mod redirects;
mod secrets;
mod support;
mod tls;
