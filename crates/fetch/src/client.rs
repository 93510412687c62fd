//! The client: one request at a time, redirects followed by hand.

use core::net::IpAddr;
use core::net::SocketAddr;
use core::time::Duration;
use std::io;
use std::sync::Arc;

use hostcfg::ProvisioningUrl;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use reqwest::redirect::Policy;
use rustls::crypto::SecureRandom;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;
use trust::Clock;

use crate::dns::DnsError;
use crate::dns::DnsOptions;
use crate::dns::StubResolver;
use crate::error::ErrorKind;
use crate::error::FetchError;
use crate::limits::Limits;
use crate::location;
use crate::tls;

/// Longest `Retry-After` that is passed on.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(120);
const USER_AGENT: &str = concat!("ramstrap/", env!("CARGO_PKG_VERSION"));

/// What a [`Client`] is made of.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Name of the network interface that every socket is bound to; `None` leaves it to the kernel.
    pub interface: Option<String>,
    /// DNS servers of that interface's network. Without any, only IP addresses work as hosts.
    pub dns: Vec<IpAddr>,
    /// TLS roots, each as DER. Without any, https is refused before connecting.
    pub tls_roots: Vec<Vec<u8>>,
    /// What is known about the time, for judging TLS certificates.
    pub clock: Clock,
    /// Sizes, waits and retries.
    pub limits: Limits,
}

/// Downloads over one network interface. Cheap to clone; clones share connections.
///
/// Must be used inside a tokio runtime with I/O and time.
#[derive(Clone)]
pub struct Client {
    http: reqwest::Client,
    has_roots: bool,
    limits: Arc<Limits>,
    random: &'static dyn SecureRandom,
}

impl core::fmt::Debug for Client {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Client")
            .field("has_roots", &self.has_roots)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Where a download is taken up again.
pub(crate) struct Resume<'a> {
    /// First byte that is missing.
    pub(crate) offset: u64,
    /// What the server called the version of the file that the bytes before are from.
    pub(crate) validator: Option<&'a HeaderValue>,
}

impl Client {
    /// Sets up the client; nothing is sent yet.
    ///
    /// # Errors
    /// [`report::Code::TlsRootsInvalid`] for a root that is not a usable certificate.
    pub fn new(options: ClientOptions) -> Result<Self, FetchError> {
        let servers = DnsOptions::servers(&options.dns);
        Self::build(options, servers).map_err(|kind| FetchError::new("", kind))
    }

    /// As [`Client::new`], with DNS servers on ports of their own.
    pub(crate) fn build(
        options: ClientOptions,
        dns_servers: Vec<SocketAddr>,
    ) -> Result<Self, ErrorKind> {
        let ClientOptions { interface, tls_roots, clock, limits, .. } = options;
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let random = provider.secure_random;
        let resolver = StubResolver::new(DnsOptions {
            servers: dns_servers,
            interface: interface.clone(),
            timeout: limits.dns_timeout,
            tries: limits.dns_tries,
            random,
        });
        let mut headers = HeaderMap::new();
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
        let mut builder = reqwest::Client::builder()
            .tls_backend_preconfigured(tls::client_config(&provider, &tls_roots, clock)?)
            .dns_resolver(resolver)
            .no_proxy()
            .redirect(Policy::none())
            .referer(false)
            .http1_only()
            .tcp_nodelay(true)
            .connect_timeout(limits.connect)
            .pool_max_idle_per_host(1)
            .user_agent(USER_AGENT)
            .default_headers(headers);
        if let Some(interface) = &interface {
            builder = builder.interface(interface);
        }
        let http = builder
            .build()
            .map_err(|error| ErrorKind::Setup(format!("HTTP client: {}", root_cause(&error))))?;
        Ok(Self { http, has_roots: !tls_roots.is_empty(), limits: Arc::new(limits), random })
    }

    /// The descriptor's bytes, as the server sent them.
    ///
    /// # Errors
    /// [`FetchError`]; nothing is retried here.
    pub async fn descriptor(&self, url: &ProvisioningUrl) -> Result<Vec<u8>, FetchError> {
        let limits = &self.limits;
        let deadline = Instant::now() + limits.descriptor_time;
        let too_slow = || {
            let seconds = limits.descriptor_time.as_secs_f32();
            FetchError::new(
                url.to_string(),
                ErrorKind::Stalled(format!("not complete after {seconds} s")),
            )
        };
        let mut response =
            timeout_at(deadline, self.get(url, None)).await.map_err(|_| too_slow())??;

        let failed = |kind| FetchError::new(url.to_string(), kind).after_answer();
        let too_large = || failed(ErrorKind::DescriptorTooLarge { limit: limits.descriptor_len });
        if response.content_length().is_some_and(|len| len > limits.descriptor_len) {
            return Err(too_large());
        }
        let mut descriptor = Vec::new();
        loop {
            let chunk = timeout_at(deadline, response.chunk())
                .await
                .map_err(|_| too_slow().after_answer())?
                .map_err(|error| failed(ErrorKind::Truncated(broken_body(&error))))?;
            let Some(chunk) = chunk else { return Ok(descriptor) };
            descriptor.extend_from_slice(&chunk);
            if u64::try_from(descriptor.len()).is_ok_and(|len| len > limits.descriptor_len) {
                return Err(too_large());
            }
        }
    }

    /// Where the archive is that a descriptor names.
    ///
    /// `os_pkg_url` may be relative to the descriptor's URL (RFC 3986, section 5). It is from an
    /// untrusted descriptor: anything but an http or https URL whose path ends in `.zip` is refused.
    /// The descriptor's credentials go along to its own origin only.
    ///
    /// # Errors
    /// [`report::Code::ArchiveUrlInvalid`].
    pub fn archive_url(
        &self,
        descriptor_url: &ProvisioningUrl,
        os_pkg_url: &str,
    ) -> Result<ProvisioningUrl, FetchError> {
        location::archive(descriptor_url.url_without_userinfo(), os_pkg_url)
            .and_then(|url| descriptor_url.derive(url).map_err(|error| error.to_string()))
            .map_err(|reason| {
                FetchError::new(descriptor_url.to_string(), ErrorKind::ArchiveUrl(reason))
                    .after_answer()
            })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Any number, for spreading retries of many machines. Not a secret.
    #[must_use]
    pub fn jitter(&self) -> u16 {
        let mut bytes = [0; 2];
        // Without random numbers retries are not spread, and TLS does not work either.
        let _ = self.random.fill(&mut bytes);
        u16::from_be_bytes(bytes)
    }

    /// The response that has the file: status 200, or 206 and 416 when resuming.
    pub(crate) async fn get(
        &self,
        url: &ProvisioningUrl,
        resume: Option<&Resume<'_>>,
    ) -> Result<Response, FetchError> {
        let mut target = url.clone();
        let mut answered = false;
        for hop in 0..=self.limits.redirects {
            let with_credentials = hop == 0;
            let failed = |kind| FetchError::new(target.to_string(), kind);
            let response = match self.request(&target, with_credentials, resume).await {
                Ok(response) => response,
                Err(kind) if answered => return Err(failed(kind).after_answer()),
                Err(kind) => return Err(failed(kind)),
            };
            answered = true;
            let failed = |kind| failed(kind).after_answer();

            match response.status() {
                StatusCode::MOVED_PERMANENTLY
                | StatusCode::FOUND
                | StatusCode::SEE_OTHER
                | StatusCode::TEMPORARY_REDIRECT
                | StatusCode::PERMANENT_REDIRECT => {
                    let location =
                        response.headers().get(header::LOCATION).map(HeaderValue::as_bytes);
                    let next = location::redirect(target.url_without_userinfo(), location)
                        .and_then(|url| target.derive(url).map_err(|error| error.to_string()))
                        .map_err(|reason| failed(ErrorKind::Redirect(reason)))?;
                    tracing::info!(from = %target, to = %next, "redirect");
                    target = next;
                }
                StatusCode::OK => {
                    plain_body(&response).map_err(failed)?;
                    return Ok(response);
                }
                StatusCode::PARTIAL_CONTENT | StatusCode::RANGE_NOT_SATISFIABLE
                    if resume.is_some() =>
                {
                    plain_body(&response).map_err(failed)?;
                    return Ok(response);
                }
                status if status.is_client_error() || status.is_server_error() => {
                    let credentials = with_credentials && target.credentials().is_some();
                    let kind = ErrorKind::Status { status: status.as_u16(), credentials };
                    return Err(failed(kind).with_retry_after(retry_after(&response)));
                }
                status => {
                    let reason = format!("HTTP status {} instead of a file", status.as_u16());
                    return Err(failed(ErrorKind::Http(reason)));
                }
            }
        }
        let reason = format!("more than {} redirects", self.limits.redirects);
        Err(FetchError::new(target.to_string(), ErrorKind::Redirect(reason)).after_answer())
    }

    /// Sends one request and waits for the head of its response.
    async fn request(
        &self,
        target: &ProvisioningUrl,
        with_credentials: bool,
        resume: Option<&Resume<'_>>,
    ) -> Result<Response, ErrorKind> {
        if target.is_https() && !self.has_roots {
            return Err(ErrorKind::TlsNoRoots);
        }
        let mut request = self.http.get(target.url_without_userinfo().clone());
        if let Some(credentials) = target.credentials().filter(|_| with_credentials) {
            request = request.basic_auth(&credentials.user, Some(credentials.password.expose()));
        }
        if let Some(resume) = resume {
            request = request.header(header::RANGE, format!("bytes={}-", resume.offset));
            if let Some(validator) = resume.validator {
                request = request.header(header::IF_RANGE, validator.clone());
            }
        }
        match timeout(self.limits.header, request.send()).await {
            Ok(Ok(response)) => Ok(response),
            Ok(Err(error)) => Err(self.failed_request(&error)),
            Err(_) => {
                let seconds = self.limits.header.as_secs_f32();
                Err(ErrorKind::Stalled(format!("no response within {seconds} s")))
            }
        }
    }

    /// What a request that got no response failed of.
    fn failed_request(&self, error: &reqwest::Error) -> ErrorKind {
        let mut causes = Causes(Some(error));
        let known = causes.find_map(|cause| {
            if let Some(dns) = cause.downcast_ref::<DnsError>() {
                return Some(ErrorKind::Resolve(dns.to_string()));
            }
            if let Some(tls) = cause.downcast_ref::<rustls::Error>() {
                return Some(tls::classify(tls));
            }
            let http = cause.downcast_ref::<hyper::Error>()?;
            http.is_parse().then(|| ErrorKind::Http(format!("not an HTTP response: {http}")))
        });
        known.unwrap_or_else(|| {
            ErrorKind::Connect(if error.is_timeout() {
                format!("no connection within {} s", self.limits.connect.as_secs_f32())
            } else {
                root_cause(error)
            })
        })
    }
}

/// Refuses what would have to be decoded: the archive is hashed as it comes.
fn plain_body(response: &Response) -> Result<(), ErrorKind> {
    match response.headers().get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"") => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(encoding) => {
            let encoding: String = encoding.escape_ascii().to_string().chars().take(40).collect();
            Err(ErrorKind::Http(format!("content encoding {encoding}, which was not asked for")))
        }
    }
}

/// `Retry-After` in seconds. The form with a date is of no use without a clock.
fn retry_after(response: &Response) -> Option<Duration> {
    let value = response.headers().get(header::RETRY_AFTER)?.to_str().ok()?;
    let seconds = Duration::from_secs(value.trim().parse().ok()?);
    Some(seconds.min(MAX_RETRY_AFTER))
}

/// Why a body ended before its end.
pub(crate) fn broken_body(error: &reqwest::Error) -> String {
    format!("the connection broke: {}", root_cause(error))
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
