//! The client: one request at a time, redirects followed by hand.

use core::net::IpAddr;
use core::net::SocketAddr;
use std::sync::Arc;

use hostcfg::ClientIdentity;
use hostcfg::Mirror;
use hostcfg::NoProxy;
use hostcfg::ProvisioningUrl;
use hostcfg::Proxy;
use reqwest::header;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use tokio::time::Instant;
use tokio::time::timeout;
use tokio::time::timeout_at;
use trust::Clock;

use crate::credentials;
use crate::dns::DnsOptions;
use crate::dns::answers::Families;
use crate::error::ErrorKind;
use crate::error::FetchError;
use crate::http::Http;
use crate::limits::Limits;
use crate::location;
use crate::page;
use crate::retry_after::retry_after;
use crate::transport::Body;
use crate::transport::Request;
use crate::transport::Response;
use crate::transport::Transport;

/// What a [`Client`] is made of.
#[derive(Clone, Debug)]
pub struct ClientOptions {
    /// Name of the network interface that every socket is bound to; `None` leaves it to the kernel.
    pub interface: Option<String>,
    /// DNS servers of that interface's network. Without any, only IP addresses work as hosts.
    pub dns: Vec<IpAddr>,
    /// Domains in which names without a dot are looked for, and other names that are not found.
    pub search: Vec<String>,
    /// Which addresses of a name go first: those that this interface's network can lead to.
    pub families: Families,
    /// TLS roots, each as DER. Without any, https is refused before connecting.
    pub tls_roots: Vec<Vec<u8>>,
    /// What is known about the time, for judging TLS certificates.
    pub clock: Clock,
    /// The proxy that servers are asked through.
    pub proxy: Option<Proxy>,
    /// Hosts that are asked without it.
    pub no_proxy: NoProxy,
    /// The client certificates of all mirrors that will be asked.
    pub identities: Vec<ClientIdentity>,
    /// Sizes, waits and retries.
    pub limits: Limits,
}

impl ClientOptions {
    /// A client for http and IP addresses, over any interface, without proxy.
    #[must_use]
    pub fn new(clock: Clock) -> Self {
        Self {
            interface: None,
            dns: Vec::new(),
            search: Vec::new(),
            families: Families::BOTH,
            tls_roots: Vec::new(),
            clock,
            proxy: None,
            no_proxy: NoProxy::default(),
            identities: Vec::new(),
            limits: Limits::default(),
        }
    }
}

/// Downloads over one network interface. Cheap to clone; clones share connections.
#[derive(Clone, Debug)]
pub struct Client<T = Http> {
    transport: T,
    limits: Arc<Limits>,
}

/// Where a download is taken up again.
pub(crate) struct Resume<'a> {
    /// First byte that is missing.
    pub(crate) offset: u64,
    /// What this server called the version of the file that the bytes before are from.
    pub(crate) validator: Option<&'a HeaderValue>,
}

impl Client {
    /// Sets up the client; nothing is sent yet. It must be used inside a tokio runtime with I/O and
    /// time.
    ///
    /// # Errors
    /// [`report::Code::TlsRootsInvalid`] for a root that is not a usable certificate,
    /// [`report::Code::HostConfigInvalid`] for a client certificate that is none.
    pub fn new(options: ClientOptions) -> Result<Self, FetchError> {
        let servers = DnsOptions::servers(&options.dns);
        Self::build(options, servers).map_err(|kind| FetchError::new("", kind))
    }

    /// As [`Client::new`], with DNS servers on ports of their own.
    pub(crate) fn build(
        options: ClientOptions,
        dns_servers: Vec<SocketAddr>,
    ) -> Result<Self, ErrorKind> {
        let transport = Http::build(&options, dns_servers)?;
        Ok(Self::over(transport, options.limits))
    }
}

impl<T: Transport> Client<T> {
    /// A client over a transport of the caller's.
    pub fn over(transport: T, limits: Limits) -> Self {
        Self { transport, limits: Arc::new(limits) }
    }

    /// The addresses that the name of this mirror had when it was last looked up, four at most and in no
    /// order: for people, as DNS is not authenticated. Empty if it has an address instead, or if its
    /// name is the proxy's to look up.
    #[must_use]
    pub fn addresses(&self, mirror: &Mirror) -> Vec<IpAddr> {
        let host = mirror.url.url_without_userinfo().host_str().unwrap_or_default();
        self.transport.addresses(host)
    }

    /// The descriptor's bytes, as the server sent them. A page for people is told from it
    /// ([`report::Code::PageForPeople`]), all else is the caller's to judge.
    ///
    /// # Errors
    /// [`FetchError`]; nothing is retried here.
    pub async fn descriptor(&self, mirror: &Mirror) -> Result<Vec<u8>, FetchError> {
        let limits = &self.limits;
        let url = &mirror.url;
        let deadline = Instant::now() + limits.descriptor_time;
        let too_slow = || {
            let seconds = limits.descriptor_time.as_secs_f32();
            FetchError::new(
                url.to_string(),
                ErrorKind::Stalled(format!("not complete after {seconds} s")),
            )
        };
        let mut response =
            timeout_at(deadline, self.get(mirror, url, None)).await.map_err(|_| too_slow())??;

        let failed = |kind| FetchError::new(url.to_string(), kind).after_answer();
        let too_large = || failed(ErrorKind::DescriptorTooLarge { limit: limits.descriptor_len });
        if response.length.is_some_and(|len| len > limits.descriptor_len) {
            return Err(too_large());
        }
        let mut descriptor = Vec::new();
        loop {
            let chunk = timeout_at(deadline, response.body.chunk())
                .await
                .map_err(|_| too_slow().after_answer())?
                .map_err(|reason| failed(broken_body(&reason)))?;
            let Some(chunk) = chunk else { break };
            descriptor.extend_from_slice(&chunk);
            if u64::try_from(descriptor.len()).is_ok_and(|len| len > limits.descriptor_len) {
                return Err(too_large());
            }
        }
        if page::is_page(&response.headers, &descriptor) {
            return Err(failed(ErrorKind::Page { https: url.is_https() }));
        }
        Ok(descriptor)
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
        mirror: &Mirror,
        os_pkg_url: &str,
    ) -> Result<ProvisioningUrl, FetchError> {
        let url = &mirror.url;
        location::archive(url.url_without_userinfo(), os_pkg_url)
            .and_then(|target| url.derive(target).map_err(|error| error.to_string()))
            .map_err(|reason| {
                FetchError::new(url.to_string(), ErrorKind::ArchiveUrl(reason)).after_answer()
            })
    }

    pub(crate) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Any number, for spreading retries of many machines. Not a secret.
    #[must_use]
    pub fn random(&self) -> u64 {
        self.transport.random()
    }

    /// The response that has the file: status 200, or 206 and 416 when resuming.
    pub(crate) async fn get(
        &self,
        mirror: &Mirror,
        url: &ProvisioningUrl,
        resume: Option<&Resume<'_>>,
    ) -> Result<Response<T::Body>, FetchError> {
        let mut target = url.clone();
        let mut answered = false;
        for hop in 0..=self.limits.redirects {
            let at_first = hop == 0;
            let failed = |kind| FetchError::new(target.to_string(), kind);
            let response = match self.request(mirror, &target, at_first, resume).await {
                Ok(response) => response,
                Err(kind) if answered => return Err(failed(kind).after_answer()),
                Err(kind) => return Err(failed(kind)),
            };
            answered = true;
            let failed = |kind| failed(kind).after_answer();

            match response.status {
                301 | 302 | 303 | 307 | 308 => {
                    let location =
                        response.headers.get(header::LOCATION).map(HeaderValue::as_bytes);
                    let next = location::redirect(target.url_without_userinfo(), location)
                        .and_then(|url| target.derive(url).map_err(|error| error.to_string()))
                        .map_err(|reason| failed(ErrorKind::Redirect(reason)))?;
                    tracing::info!(from = %target, to = %next, "redirect");
                    target = next;
                }
                200 => {
                    plain_body(&response.headers).map_err(failed)?;
                    return Ok(response);
                }
                206 | 416 if resume.is_some() => {
                    plain_body(&response.headers).map_err(failed)?;
                    return Ok(response);
                }
                status @ 400..=599 => {
                    let credentials = at_first && target.credentials().is_some();
                    let kind = ErrorKind::Status { status, credentials };
                    return Err(failed(kind).with_retry_after(retry_after(&response.headers)));
                }
                status => {
                    let reason = format!("HTTP status {status} instead of a file");
                    return Err(failed(ErrorKind::Http(reason)));
                }
            }
        }
        let reason = format!("more than {} redirects", self.limits.redirects);
        Err(FetchError::new(target.to_string(), ErrorKind::Redirect(reason)).after_answer())
    }

    /// Sends one request and waits for the head of its response. What is secret is sent `at_first`
    /// only, and not where a redirect leads.
    async fn request(
        &self,
        mirror: &Mirror,
        target: &ProvisioningUrl,
        at_first: bool,
        resume: Option<&Resume<'_>>,
    ) -> Result<Response<T::Body>, ErrorKind> {
        let mut headers = HeaderMap::new();
        if let Some(credentials) = target.credentials().filter(|_| at_first) {
            headers.insert(header::AUTHORIZATION, credentials::basic(credentials)?);
        }
        if let Some(resume) = resume {
            let range = HeaderValue::try_from(format!("bytes={}-", resume.offset));
            headers.insert(header::RANGE, range.map_err(|error| internal(&error))?);
            if let Some(validator) = resume.validator {
                headers.insert(header::IF_RANGE, validator.clone());
            }
        }
        let origin = |url: &ProvisioningUrl| url.url_without_userinfo().origin();
        let own_origin = at_first && origin(target) == origin(&mirror.url);
        let request = Request { mirror, url: target, own_origin, headers };
        match timeout(self.limits.header, self.transport.send(request)).await {
            Ok(result) => result,
            Err(_) => {
                let seconds = self.limits.header.as_secs_f32();
                Err(ErrorKind::Stalled(format!("no response within {seconds} s")))
            }
        }
    }
}

fn internal(error: &dyn core::error::Error) -> ErrorKind {
    ErrorKind::Setup(format!("a request cannot be made: {error}"))
}

/// Refuses what would have to be decoded: the archive is hashed as it comes.
fn plain_body(headers: &HeaderMap) -> Result<(), ErrorKind> {
    match headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes) {
        None | Some(b"") => Ok(()),
        Some(encoding) if encoding.eq_ignore_ascii_case(b"identity") => Ok(()),
        Some(encoding) => {
            let encoding: String = encoding.escape_ascii().to_string().chars().take(40).collect();
            Err(ErrorKind::Http(format!("content encoding {encoding}, which was not asked for")))
        }
    }
}

/// A body that ended before its end.
pub(crate) fn broken_body(reason: &str) -> ErrorKind {
    ErrorKind::Truncated(format!("the connection broke: {reason}"))
}
