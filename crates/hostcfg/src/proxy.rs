//! The proxy that mirrors are asked through, and what is asked without it.

use core::fmt;
use core::net::IpAddr;

use serde::Serialize;
use serde::Serializer;
use url::Url;

use crate::address::Cidr;
use crate::host::is_host_name;
use crate::provisioning_url::Credentials;
use crate::provisioning_url::ProvisioningUrl;
use crate::provisioning_url::UrlError;
use crate::secret::HIDDEN;

/// An HTTP proxy. Prints as a URL without user name and password.
#[derive(Clone, Eq, PartialEq)]
pub struct Proxy {
    /// Name or address, an IPv6 address in brackets.
    pub host: String,
    /// TCP port.
    pub port: u16,
    /// Whether the proxy itself is spoken to by TLS.
    pub tls: bool,
    /// What it wants to see.
    pub credentials: Option<Credentials>,
}

impl Proxy {
    /// Reads `http://[user:password@]host[:port][/]`, or the same with `https`.
    pub(crate) fn parse(text: &str) -> Result<Self, UrlError> {
        let read = ProvisioningUrl::parse(text)?;
        let url: &Url = read.url_without_userinfo();
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(UrlError::MoreThanHost);
        }
        Ok(Self {
            host: url.host_str().ok_or(UrlError::Syntax)?.to_owned(),
            port: url.port_or_known_default().ok_or(UrlError::Syntax)?,
            tls: read.is_https(),
            credentials: read.credentials().cloned(),
        })
    }
}

impl fmt::Display for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.tls { "https" } else { "http" };
        let credentials = self.credentials.as_ref().map(|_| format!("{HIDDEN}@"));
        let credentials = credentials.unwrap_or_default();
        write!(f, "{scheme}://{credentials}{}:{}", self.host, self.port)
    }
}

impl fmt::Debug for Proxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Proxy {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Hosts that are asked without the proxy.
#[derive(Clone, Debug, Default, Eq, PartialEq, Serialize)]
pub struct NoProxy(Vec<Exception>);

/// One entry.
#[derive(Clone, Debug, Eq, PartialEq)]
enum Exception {
    /// `*`
    Everything,
    /// A host and all names below it, or with a dot in front only those below it. Lower case.
    Name(String),
    /// An address or network.
    Network(Cidr),
}

impl NoProxy {
    /// Adds an entry; `None` if it is none.
    pub(crate) fn add(&mut self, text: &str) -> Option<()> {
        self.0.push(Exception::parse(text)?);
        Some(())
    }

    /// Whether there is no entry.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether this host is to be asked without the proxy: a name or an address, an IPv6 address
    /// with or without brackets. A name is not looked up, so that networks match addresses only.
    #[must_use]
    pub fn matches(&self, host: &str) -> bool {
        let host = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(host);
        let address = crate::address::parse_ip(host);
        let name = host.strip_suffix('.').unwrap_or(host).to_ascii_lowercase();
        self.0.iter().any(|exception| exception.matches(&name, address))
    }
}

/// The entries, separated by commas.
impl fmt::Display for NoProxy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, exception) in self.0.iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{exception}")?;
        }
        Ok(())
    }
}

impl Exception {
    fn parse(text: &str) -> Option<Self> {
        if text == "*" {
            return Some(Self::Everything);
        }
        if let Some(address) = crate::address::parse_ip(text) {
            let bits = if address.is_ipv4() { 32 } else { 128 };
            return Cidr::new(address, bits).ok().map(Self::Network);
        }
        if text.contains('/') {
            return text.parse().ok().map(Self::Network);
        }
        is_host_name(text.strip_prefix('.').unwrap_or(text))
            .then(|| Self::Name(text.to_ascii_lowercase()))
    }

    fn matches(&self, name: &str, address: Option<IpAddr>) -> bool {
        match self {
            Self::Everything => true,
            Self::Network(network) => address.is_some_and(|address| network.contains(address)),
            Self::Name(_) if address.is_some() => false,
            Self::Name(suffix) if suffix.starts_with('.') => {
                name.len() > suffix.len() && name.ends_with(suffix.as_str())
            }
            Self::Name(host) => name
                .strip_suffix(host.as_str())
                .is_some_and(|below| below.is_empty() || below.ends_with('.')),
        }
    }
}

impl fmt::Display for Exception {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Everything => f.write_str("*"),
            Self::Name(name) => f.write_str(name),
            Self::Network(network) => fmt::Display::fmt(network, f),
        }
    }
}

impl Serialize for Exception {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

#[cfg(test)]
mod tests {
    use super::NoProxy;
    use super::Proxy;

    #[test]
    fn a_proxy_is_a_url_without_path() {
        let proxy = Proxy::parse("http://canary:p%40ss@[2001:db8::1]:3128/").unwrap();
        assert_eq!((proxy.host.as_str(), proxy.port, proxy.tls), ("[2001:db8::1]", 3128, false));
        assert_eq!(proxy.credentials.as_ref().unwrap().password.expose(), "p@ss");
        assert_eq!(format!("{proxy} {proxy:?}"), ["http://***@[2001:db8::1]:3128"; 2].join(" "));
        assert_eq!(Proxy::parse("https://proxy.example").unwrap().port, 443);
        for text in ["socks5://a:1", "http://a/x", "http://a/?q", "http://a/#f", "a:3128", ""] {
            assert!(Proxy::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn exceptions_match_what_they_name() {
        let mut no_proxy = NoProxy::default();
        for entry in ["Example.net", ".below.example", "10.0.0.0/8", "192.0.2.9", "2001:db8::/32"] {
            no_proxy.add(entry).unwrap();
        }
        for host in [
            "example.net",
            "A.EXAMPLE.NET",
            "example.net.",
            "a.below.example",
            "10.1.2.3",
            "192.0.2.9",
            "[2001:db8::7]",
            "2001:db8::7",
        ] {
            assert!(no_proxy.matches(host), "{host}");
        }
        for host in
            ["notexample.net", "below.example", "example.net.org", "192.0.2.8", "[2001:db9::7]", ""]
        {
            assert!(!no_proxy.matches(host), "{host}");
        }
        assert!(NoProxy::default().is_empty() && !NoProxy::default().matches("example.net"));
        no_proxy.add("*").unwrap();
        assert!(no_proxy.matches("anything.example"));
        for entry in ["", ".", "a b", "10.0.0.0/33", "http://a", "a:80", "-a"] {
            assert_eq!(no_proxy.add(entry), None, "{entry}");
        }
    }
}
