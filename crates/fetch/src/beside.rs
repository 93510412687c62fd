//! What other protocols than downloads need of a link: names, TLS, and a way to hand in a log.

use core::net::IpAddr;

use crate::client::ClientOptions;
use crate::dns::DnsOptions;
use crate::dns::StubResolver;
use crate::error::ErrorKind;
use crate::error::FetchError;

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
        Self(StubResolver::new(DnsOptions {
            servers: DnsOptions::servers(&options.dns),
            search: options.search.clone(),
            interface: options.interface.clone(),
            timeout: options.limits.dns_timeout,
            tries: options.limits.dns_tries,
            random: rustls::crypto::ring::default_provider().secure_random,
        }))
    }

    /// The addresses of a host; of an address, that address.
    ///
    /// # Errors
    /// [`report::Code::DnsFailed`].
    pub async fn addresses(&self, host: &str) -> Result<Vec<IpAddr>, FetchError> {
        let failed = |kind| FetchError::new(host.to_owned(), kind);
        self.0.lookup(host).await.map_err(|error| failed(ErrorKind::Resolve(error.to_string())))
    }
}
