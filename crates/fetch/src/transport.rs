//! What a client needs of the world: a way to send a request, and numbers by chance.
//!
//! [`crate::Http`] is the real one. A simulator has its own, over no network at all: redirects,
//! limits, stalls and resumption are the client's and are the same on both.

use core::future::Future;
use core::net::IpAddr;

use bytes::Bytes;
use hostcfg::Mirror;
use hostcfg::ProvisioningUrl;
use reqwest::header::HeaderMap;

use crate::error::ErrorKind;

/// One GET request.
#[derive(Clone, Debug)]
pub struct Request<'a> {
    /// The mirror on whose behalf it is sent.
    pub mirror: &'a Mirror,
    /// Where to. Its credentials are in `headers` already, if they are to be sent.
    pub url: &'a ProvisioningUrl,
    /// Whether what the mirror wants to see (headers, client certificate) is for this server: it is
    /// of the mirror's own origin, and no redirect led there.
    pub own_origin: bool,
    /// What is sent beside what the transport itself sends. May hold secrets.
    pub headers: HeaderMap,
}

/// The head of a response, and its body to come.
#[derive(Debug)]
pub struct Response<B> {
    /// HTTP status.
    pub status: u16,
    /// All headers.
    pub headers: HeaderMap,
    /// Length of the body in bytes, if it was announced.
    pub length: Option<u64>,
    /// The body.
    pub body: B,
}

/// A body that comes piece by piece.
pub trait Body {
    /// The next piece, `None` at the end.
    ///
    /// # Errors
    /// Why it broke before its end.
    fn chunk(&mut self) -> impl Future<Output = Result<Option<Bytes>, String>>;
}

/// Sends requests over one network interface.
///
/// Its futures are dropped at any time: deadlines are the client's.
pub trait Transport {
    /// The body of its responses.
    type Body: Body;

    /// Sends a request, to whatever address the host of its URL has, and waits for the head of the
    /// response. Redirects are not followed.
    ///
    /// # Errors
    /// Why there was no response.
    fn send(
        &self,
        request: Request<'_>,
    ) -> impl Future<Output = Result<Response<Self::Body>, ErrorKind>>;

    /// The addresses that a name had when it was last looked up, four at most; for people. Empty where
    /// nothing is looked up.
    fn addresses(&self, _host: &str) -> Vec<IpAddr> {
        Vec::new()
    }

    /// Any number, for spreading the retries of many machines. Not a secret.
    fn random(&self) -> u64;
}
