//! Servers that have OS packages, and what they want to see before they give them.

use crate::provisioning_url::ProvisioningUrl;
use crate::secret::Secret;

/// A server that descriptors are fetched from.
///
/// Headers and client certificate go to the origin (scheme, host, port) of [`Mirror::url`] only:
/// never to another origin, never after a redirect to one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Mirror {
    /// The descriptor's URL.
    pub url: ProvisioningUrl,
    /// Lower ones are tried first; those of `ospkg_pointer` have 0.
    pub priority: u16,
    /// Further headers of every request, names as written. None that the client sets itself.
    pub headers: Vec<(String, Secret)>,
    /// How the machine proves who it is in TLS.
    pub client_identity: Option<ClientIdentity>,
    /// Whether the proxy is passed by.
    pub direct: bool,
}

impl Mirror {
    /// A mirror that wants nothing, with the first priority.
    #[must_use]
    pub fn plain(url: ProvisioningUrl) -> Self {
        Self { url, priority: 0, headers: Vec::new(), client_identity: None, direct: false }
    }
}

/// A client certificate with its key.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct ClientIdentity {
    /// The certificate and those between it and its root, as PEM.
    pub certificate_pem: String,
    /// Its private key as PEM: PKCS #8, PKCS #1 or SEC 1, not encrypted.
    pub key_pem: Secret,
}
