//! What other protocols than downloads need of a link: names, TLS, and a way to hand in a log.

use core::net::IpAddr;
use core::time::Duration;
use std::sync::Arc;

use hostcfg::ProvisioningUrl;
use reqwest::header;
use rustls::ClientConfig;
use tokio::time::timeout;

use crate::client::ClientOptions;
use crate::dns::DnsOptions;
use crate::dns::StubResolver;
use crate::error::ErrorKind;
use crate::error::FetchError;
use crate::handshake;
use crate::http;
use crate::tls;

/// Looks up host names at the DNS servers of one link, over its interface.
#[derive(Clone)]
pub struct Resolver(StubResolver);

impl core::fmt::Debug for Resolver {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Resolver").finish_non_exhaustive()
    }
}

impl Resolver {
    /// The resolver of the link that these options are for.
    #[must_use]
    pub fn new(options: &ClientOptions) -> Self {
        Self(StubResolver::new(DnsOptions::of(options)))
    }

    /// The addresses of a host, those of the link's families first; of an address, that address.
    ///
    /// # Errors
    /// [`report::Code::DnsFailed`].
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, FetchError> {
        let failed = |kind| FetchError::new(host.to_owned(), kind);
        self.0.lookup(host).await.map_err(|error| failed(ErrorKind::Resolve(error.to_string())))
    }
}

/// TLS for another protocol than HTTP: by the TLS roots and the clock of these options alone.
///
/// # Errors
/// [`report::Code::TlsNoRoots`] without roots, [`report::Code::TlsRootsInvalid`] for a root that is
/// not a usable certificate.
pub fn tls_config(options: &ClientOptions) -> Result<Arc<ClientConfig>, FetchError> {
    let mut config = client_config(options).map_err(|kind| FetchError::new("", kind))?;
    config.alpn_protocols.clear();
    Ok(Arc::new(config))
}

fn client_config(options: &ClientOptions) -> Result<ClientConfig, ErrorKind> {
    if options.tls_roots.is_empty() {
        return Err(ErrorKind::TlsNoRoots);
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    tls::client_config(&provider, &options.tls_roots, options.clock, None)
}

/// Hands something in at a web server, by way of the proxy if there is one. Redirects are not followed.
#[derive(Clone, Debug)]
pub struct Poster {
    http: reqwest::Client,
    patience: Duration,
}

impl Poster {
    /// For this server. Nothing is sent yet.
    ///
    /// # Errors
    /// Those of [`tls_config`].
    pub fn new(options: &ClientOptions, url: &ProvisioningUrl) -> Result<Self, FetchError> {
        let failed = |kind| FetchError::new(url.to_string(), kind);
        let host = url.url_without_userinfo().host_str().unwrap_or_default().to_owned();
        let proxy = options.proxy.as_ref().filter(|_| !options.no_proxy.matches(&host));
        // Each post may be a connection, and each line about one a post.
        let resolver = StubResolver::new(DnsOptions { tell: false, ..DnsOptions::of(options) });
        let http = client_config(options)
            .and_then(|tls| http::build(options, &resolver, tls, proxy))
            .map_err(failed)?;
        Ok(Self { http, patience: options.limits.header })
    }

    /// Sends this body; the URL's user name and password go with it.
    ///
    /// # Errors
    /// Why it did not come through, and [`report::Code::NotFound`] or [`report::Code::ServerError`]
    /// for any answer but success.
    pub async fn post(
        &self,
        url: &ProvisioningUrl,
        content_type: &'static str,
        body: Vec<u8>,
    ) -> Result<(), FetchError> {
        let failed = |kind| FetchError::new(url.to_string(), kind);
        let mut request = self
            .http
            .post(url.url_without_userinfo().clone())
            .header(header::CONTENT_TYPE, content_type)
            .body(body);
        if let Some(credentials) = url.credentials() {
            request = request.basic_auth(&credentials.user, Some(credentials.password.expose()));
        }
        let response = match timeout(self.patience, handshake::watched(request.send())).await {
            Ok((Ok(response), _)) => response,
            Ok((Err(error), greeted)) => {
                return Err(failed(http::failed_request(&error, None, self.patience, greeted)));
            }
            Err(_) => return Err(failed(ErrorKind::Stalled("no response".to_owned()))),
        };
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let credentials = url.credentials().is_some();
        Err(failed(ErrorKind::Status { status: status.as_u16(), credentials }))
    }
}
