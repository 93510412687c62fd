//! HTTP over TCP and TLS, by way of a proxy where one is configured.

use core::net::IpAddr;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use hostcfg::ClientIdentity;
use hostcfg::NoProxy;
use hostcfg::Proxy;
use reqwest::StatusCode;
use reqwest::header;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderName;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use rustls::ClientConfig;
use rustls::crypto::SecureRandom;
use url::Url;

use crate::client::ClientOptions;
use crate::dns::DnsError;
use crate::dns::DnsOptions;
use crate::dns::StubResolver;
use crate::dns::answers::in_words;
use crate::error::ErrorKind;
use crate::handshake;
use crate::tls;
use crate::transport::Body;
use crate::transport::Request;
use crate::transport::Response;
use crate::transport::Transport;
use crate::tunnel::Tunnels;

const USER_AGENT: &str = concat!("ramstrap/", env!("CARGO_PKG_VERSION"));

/// The transport of a machine: sockets bound to one interface, TLS by the given roots alone.
///
/// Cheap to clone; clones share connections. Must be used inside a tokio runtime with I/O and time.
#[derive(Clone)]
pub struct Http {
    shared: Arc<Shared>,
}

struct Shared {
    plain: Routes,
    /// Mirrors that want a client certificate have connections of their own. Where the certificate or
    /// its key is of no use, why: that mirror is never asked, and the others do without it.
    identities: Vec<(ClientIdentity, Result<Routes, String>)>,
    proxy: Option<Proxy>,
    tunnels: Tunnels,
    no_proxy: NoProxy,
    has_roots: bool,
    connect: Duration,
    random: &'static dyn SecureRandom,
}

/// Connections straight to servers, and those by way of the proxy if there is one.
struct Routes {
    direct: reqwest::Client,
    proxied: Option<reqwest::Client>,
}

impl core::fmt::Debug for Http {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Http")
            .field("has_roots", &self.shared.has_roots)
            .field("proxy", &self.shared.proxy)
            .finish_non_exhaustive()
    }
}

impl Http {
    /// Sets up everything; nothing is sent yet.
    pub(crate) fn build(
        options: &ClientOptions,
        dns_servers: Vec<SocketAddr>,
    ) -> Result<Self, ErrorKind> {
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let options_of_dns = DnsOptions { servers: dns_servers, ..DnsOptions::of(options) };
        let random = options_of_dns.random;
        let resolver = StubResolver::new(options_of_dns);
        let routes = |identity: Option<&ClientIdentity>| {
            let tls = tls::client_config(&provider, &options.tls_roots, options.clock, identity)?;
            let direct = build(options, &resolver, tls.clone(), None)?;
            let proxied = options.proxy.as_ref();
            let proxied =
                proxied.map(|proxy| build(options, &resolver, tls, Some(proxy))).transpose()?;
            Ok::<_, ErrorKind>(Routes { direct, proxied })
        };
        let mut identities: Vec<(ClientIdentity, Result<Routes, String>)> = Vec::new();
        for identity in &options.identities {
            if identities.iter().any(|(known, _)| known == identity) {
                continue;
            }
            let routes = match routes(Some(identity)) {
                Ok(routes) => Ok(routes),
                Err(ErrorKind::ClientIdentity(why)) => Err(why),
                Err(other) => return Err(other),
            };
            identities.push((identity.clone(), routes));
        }
        let plain = routes(None)?;
        let tls = tls::client_config(&provider, &options.tls_roots, options.clock, None)?;
        let tunnels = Tunnels { interface: options.interface.clone(), resolver, tls };
        Ok(Self {
            shared: Arc::new(Shared {
                plain,
                tunnels,
                identities,
                proxy: options.proxy.clone(),
                no_proxy: options.no_proxy.clone(),
                has_roots: !options.tls_roots.is_empty(),
                connect: options.limits.connect,
                random,
            }),
        })
    }
}

pub(crate) fn build(
    options: &ClientOptions,
    resolver: &StubResolver,
    tls: ClientConfig,
    proxy: Option<&Proxy>,
) -> Result<reqwest::Client, ErrorKind> {
    let mut headers = HeaderMap::new();
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(tls)
        .dns_resolver(resolver.clone())
        .no_proxy()
        .redirect(Policy::none())
        .referer(false)
        .http1_only()
        .tcp_nodelay(true)
        .connect_timeout(options.limits.connect)
        .pool_max_idle_per_host(1)
        .user_agent(USER_AGENT)
        .default_headers(headers);
    if let Some(interface) = &options.interface {
        builder = builder.interface(interface);
    }
    if let Some(proxy) = proxy {
        let scheme = if proxy.tls { "https" } else { "http" };
        let url = format!("{scheme}://{}:{}", proxy.host, proxy.port);
        let mut route = reqwest::Proxy::all(url)
            .map_err(|_| ErrorKind::Proxy(format!("{proxy}: not usable")))?;
        if let Some(credentials) = &proxy.credentials {
            route = route.basic_auth(&credentials.user, credentials.password.expose());
        }
        builder = builder.proxy(route);
    }
    builder
        .build()
        .map_err(|error| ErrorKind::Setup(format!("HTTP client: {}", root_cause(&error))))
}

impl Http {
    /// No connection to what? To addresses that DNS named: then they are told.
    fn with_addresses(&self, kind: ErrorKind, target: &Url) -> ErrorKind {
        let host = target.host_str().unwrap_or_default();
        let addresses = self.addresses(host);
        if addresses.is_empty() {
            return kind;
        }
        let told = |reason| format!("{reason} ({host} is {})", in_words(&addresses));
        match kind {
            ErrorKind::Connect(reason) => ErrorKind::Connect(told(reason)),
            ErrorKind::Handshake(reason) => ErrorKind::Handshake(told(reason)),
            other => other,
        }
    }
}

impl Transport for Http {
    type Body = reqwest::Response;

    async fn send(&self, request: Request<'_>) -> Result<Response<Self::Body>, ErrorKind> {
        let Request { mirror, url, own_origin, headers } = request;
        let shared = &self.shared;
        if url.is_https() && !shared.has_roots {
            return Err(ErrorKind::TlsNoRoots);
        }
        let identity = mirror.client_identity.as_ref().filter(|_| own_origin && url.is_https());
        let known =
            identity.and_then(|wanted| shared.identities.iter().find(|(known, _)| known == wanted));
        let routes = match known {
            Some((_, Ok(routes))) => routes,
            Some((_, Err(why))) => return Err(ErrorKind::ClientIdentity(why.clone())),
            None => &shared.plain,
        };
        let target = url.url_without_userinfo();
        let exempt =
            mirror.direct || shared.no_proxy.matches(target.host_str().unwrap_or_default());
        let (client, proxy) = match &routes.proxied {
            Some(client) if !exempt => (client, shared.proxy.as_ref()),
            _ => (&routes.direct, None),
        };
        let mut request = client.get(target.clone()).headers(headers);
        if own_origin {
            for (name, value) in &mirror.headers {
                let name = HeaderName::from_bytes(name.as_bytes());
                let value = HeaderValue::from_bytes(value.expose().as_bytes());
                let (Ok(name), Ok(mut value)) = (name, value) else {
                    let reason = "a header of the mirror cannot be sent";
                    return Err(ErrorKind::Setup(reason.to_owned()));
                };
                value.set_sensitive(true);
                request = request.header(name, value);
            }
        }
        let (sent, greeted) = handshake::watched(request.send()).await;
        let response = match (sent, proxy) {
            (Ok(response), Some(proxy))
                if response.status() == StatusCode::PROXY_AUTHENTICATION_REQUIRED =>
            {
                return Err(ErrorKind::proxy_auth(proxy, 407));
            }
            (Ok(response), _) => response,
            (Err(error), proxy) => {
                let kind = failed_request(&error, proxy, shared.connect, greeted);
                return Err(match (kind, proxy) {
                    (ErrorKind::Proxy(reason), Some(proxy)) => {
                        match shared.tunnels.status(proxy, target).await {
                            Some(status @ (401 | 407)) => ErrorKind::proxy_auth(proxy, status),
                            _ => ErrorKind::Proxy(reason),
                        }
                    }
                    (kind, Some(_)) => kind,
                    (kind, None) => self.with_addresses(kind, target),
                });
            }
        };
        Ok(Response {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            length: response.content_length(),
            body: response,
        })
    }

    fn addresses(&self, host: &str) -> Vec<IpAddr> {
        self.shared.tunnels.resolver.answered(host)
    }

    fn random(&self) -> u64 {
        let mut bytes = [0; 8];
        // Without random numbers retries are not spread, and TLS does not work either.
        let _ = self.shared.random.fill(&mut bytes);
        u64::from_be_bytes(bytes)
    }
}

impl Body for reqwest::Response {
    async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        Self::chunk(self).await.map_err(|error| root_cause(&error))
    }
}

/// What a request that got no response failed of. `greeted`: see [`handshake::watched`].
pub(crate) fn failed_request(
    error: &reqwest::Error,
    proxy: Option<&Proxy>,
    connect: Duration,
    greeted: bool,
) -> ErrorKind {
    let known = Causes(Some(error)).find_map(|cause| {
        if let Some(dns) = cause.downcast_ref::<DnsError>() {
            return Some(ErrorKind::Resolve(dns.to_string()));
        }
        if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
            return Some(tls::classify(tls));
        }
        if let Some(proxy) = proxy
            && let Some(kind) = failed_tunnel(&cause.to_string(), proxy)
        {
            return Some(kind);
        }
        let http = cause.downcast_ref::<hyper::Error>()?;
        http.is_parse().then(|| ErrorKind::Http(format!("not an HTTP response: {http}")))
    });
    let kind = known.unwrap_or_else(|| {
        let seconds = connect.as_secs_f32();
        match error.is_timeout() {
            true if greeted => ErrorKind::Handshake(format!(
                "connected, but no answer to the TLS handshake within {seconds} s: the server \
                 hangs, or the path swallows long packets (MTU)"
            )),
            true => ErrorKind::Connect(format!("no connection within {seconds} s")),
            false => ErrorKind::Connect(root_cause(error)),
        }
    });
    match (kind, proxy) {
        // With a proxy nothing else is connected to and looked up.
        (ErrorKind::Connect(reason), Some(proxy)) => {
            ErrorKind::Connect(format!("by way of the proxy {proxy}: {reason}"))
        }
        (ErrorKind::Handshake(reason), Some(proxy)) => {
            ErrorKind::Handshake(format!("by way of the proxy {proxy}: {reason}"))
        }
        (ErrorKind::Resolve(reason), Some(proxy)) => {
            ErrorKind::Resolve(format!("the proxy {proxy}: {reason}"))
        }
        (kind, _) => kind,
    }
}

/// What a proxy said to `CONNECT`. The library's error has no type that could be named; a test
/// holds its words fast.
fn failed_tunnel(cause: &str, proxy: &Proxy) -> Option<ErrorKind> {
    match cause.strip_prefix("tunnel error: ")? {
        "proxy authorization required" => Some(ErrorKind::proxy_auth(proxy, 407)),
        "unsuccessful" | "proxy response headers too long" => {
            Some(ErrorKind::Proxy(format!("{proxy} does not let the machine through (CONNECT)")))
        }
        "unexpected end of file" => {
            Some(ErrorKind::Proxy(format!("{proxy} closed the connection instead of answering")))
        }
        _ => None,
    }
}

/// The last cause of an error, which is the one that says something.
fn root_cause(error: &reqwest::Error) -> String {
    Causes(Some(error)).last().map(ToString::to_string).unwrap_or_default()
}

/// An error and its causes, those inside of I/O errors included.
struct Causes<'a>(Option<&'a (dyn core::error::Error + 'static)>);

impl<'a> Iterator for Causes<'a> {
    type Item = &'a (dyn core::error::Error + 'static);

    fn next(&mut self) -> Option<Self::Item> {
        let error = self.0?;
        // An I/O error's `source` is the source of what it holds, not what it holds.
        self.0 = match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
            Some(inner) => Some(inner),
            None => error.source(),
        };
        Some(error)
    }
}
