//! What can go wrong with a download, and the stable code of each.

use core::fmt;
use core::time::Duration;
use std::io;

use hostcfg::Proxy;
use report::Class;
use report::Code;
use report::Coded;
use report::Failure;

/// Why a download failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The client could not be set up.
    #[error("{0}")]
    Setup(String),
    /// A TLS root cannot be used.
    #[error("TLS root {position}: {reason}")]
    TlsRoot {
        /// Position among the roots, from 1.
        position: usize,
        /// What is wrong with it.
        reason: String,
    },
    /// The name in the URL could not be resolved.
    #[error("{0}")]
    Resolve(String),
    /// No connection, or it was cut before there was an answer.
    #[error("{0}")]
    Connect(String),
    /// There was a connection, but no answer to the first message of TLS.
    #[error("{0}")]
    Handshake(String),
    /// The certificate is by none of the roots.
    #[error("{0}")]
    TlsUntrusted(String),
    /// The certificate is not valid at this time.
    #[error("{0}")]
    TlsExpired(String),
    /// The certificate is for another name.
    #[error("{0}")]
    TlsWrongName(String),
    /// TLS failed in another way.
    #[error("{0}")]
    TlsFailed(String),
    /// https, but there are no roots to judge a certificate by.
    #[error("no TLS roots")]
    TlsNoRoots,
    /// The server answered with a status that is not a file.
    #[error("HTTP status {status}{}", status_hint(*.status, *.credentials))]
    Status {
        /// The status.
        status: u16,
        /// Whether the request had credentials.
        credentials: bool,
    },
    /// A redirect that is not followed.
    #[error("{0}")]
    Redirect(String),
    /// The descriptor is longer than it may be.
    #[error("more than {limit} bytes")]
    DescriptorTooLarge {
        /// Bytes that are allowed.
        limit: u64,
    },
    /// The archive is longer than it may be.
    #[error("{}", archive_too_large(*.limit, *.announced))]
    ArchiveTooLarge {
        /// Bytes that are allowed.
        limit: u64,
        /// Bytes that the server announced, if it did.
        announced: Option<u64>,
    },
    /// Too little came in too much time.
    #[error("{0}")]
    Stalled(String),
    /// The end was too far away while others may be asked.
    #[error("{0}")]
    NoEnd(String),
    /// The body ended early, and resuming did not help or is not for this caller.
    #[error("{0}")]
    Truncated(String),
    /// More came than was announced.
    #[error("{0}")]
    TooLong(String),
    /// The descriptor's `os_pkg_url` cannot be used.
    #[error("{0}")]
    ArchiveUrl(String),
    /// The response is not what a plain file server sends.
    #[error("{0}")]
    Http(String),
    /// A page for people came instead of a descriptor.
    #[error("{}", page(*.https))]
    Page {
        /// Whether the server was one that the policy's TLS roots vouch for.
        https: bool,
    },
    /// The proxy refused to help.
    #[error("the proxy {0}")]
    Proxy(String),
    /// The proxy wants other credentials, or any.
    #[error("{0}")]
    ProxyAuth(String),
    /// The client certificate for a mirror cannot be used.
    #[error("client_certificate and client_key: {0}")]
    ClientIdentity(String),
    /// The caller refused the archive before its first byte.
    #[error("{}", .0.detail)]
    Refused(Failure),
    /// The sink refused the bytes.
    #[error("writing the archive: {0}")]
    Sink(io::Error),
}

impl ErrorKind {
    /// The proxy answered 407.
    pub(crate) fn proxy_auth(proxy: &Proxy, status: u16) -> Self {
        Self::ProxyAuth(match proxy.credentials {
            Some(_) => format!("the proxy {proxy} refused the user name and password ({status})"),
            None => format!("the proxy {proxy} wants a user name and password ({status})"),
        })
    }
}

/// A download that failed. Printing it names the URL without its credentials.
#[derive(Debug)]
pub struct FetchError {
    url: String,
    kind: Box<ErrorKind>,
    answered: bool,
    retry_after: Option<Duration>,
}

impl FetchError {
    /// `url` is for people: the caller has removed what is secret in it.
    pub(crate) fn new(url: impl Into<String>, kind: ErrorKind) -> Self {
        Self { url: url.into(), kind: Box::new(kind), answered: false, retry_after: None }
    }

    /// The same, known to have happened after an HTTP response.
    pub(crate) fn after_answer(mut self) -> Self {
        self.answered = true;
        self
    }

    pub(crate) fn with_retry_after(mut self, retry_after: Option<Duration>) -> Self {
        self.retry_after = retry_after;
        self
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> &ErrorKind {
        &self.kind
    }

    /// The URL that was asked, without credentials; empty when setting up the client failed.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Whether an HTTP server gave an answer: over verified TLS, or over plain http.
    ///
    /// It says that this network leads to a server, whatever that server thinks of the request.
    #[must_use]
    pub fn answered(&self) -> bool {
        self.answered
    }

    /// How long the server asked to be left alone (`Retry-After` in seconds), two minutes at most.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        self.retry_after
    }

    /// The failure for the summary and the report.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure::from_error(self)
    }

    /// Whether taking up the same download again may help.
    pub(crate) fn is_resumable(&self) -> bool {
        match &*self.kind {
            ErrorKind::Connect(_)
            | ErrorKind::Resolve(_)
            | ErrorKind::Truncated(_)
            | ErrorKind::Proxy(_) => true,
            ErrorKind::Status { .. } => self.class() == Class::Transient,
            _ => false,
        }
    }
}

impl Coded for FetchError {
    fn code(&self) -> Code {
        match &*self.kind {
            ErrorKind::Setup(_) => Code::Internal,
            ErrorKind::TlsRoot { .. } => Code::TlsRootsInvalid,
            ErrorKind::Resolve(_) => Code::DnsFailed,
            ErrorKind::Connect(_) => Code::ConnectFailed,
            ErrorKind::TlsUntrusted(_) => Code::TlsUntrusted,
            ErrorKind::TlsExpired(_) => Code::TlsExpired,
            ErrorKind::TlsWrongName(_) => Code::TlsWrongName,
            ErrorKind::TlsFailed(_) => Code::TlsFailed,
            ErrorKind::TlsNoRoots => Code::TlsNoRoots,
            ErrorKind::Status { status: 408 | 425 | 429 | 500.., .. } => Code::ServerError,
            ErrorKind::Status { .. } => Code::NotFound,
            ErrorKind::Redirect(_) => Code::RedirectRefused,
            ErrorKind::DescriptorTooLarge { .. } => Code::DescriptorTooLarge,
            ErrorKind::ArchiveTooLarge { .. } => Code::ArchiveTooLarge,
            ErrorKind::Stalled(_) | ErrorKind::NoEnd(_) | ErrorKind::Handshake(_) => Code::Stalled,
            ErrorKind::Truncated(_) => Code::BodyTruncated,
            ErrorKind::TooLong(_) => Code::BodyTooLong,
            ErrorKind::ArchiveUrl(_) => Code::ArchiveUrlInvalid,
            ErrorKind::Http(_) => Code::HttpInvalid,
            ErrorKind::Page { https: false } => Code::PageForPeople,
            ErrorKind::Page { https: true } => Code::HttpInvalid,
            ErrorKind::Proxy(_) => Code::ProxyRefused,
            ErrorKind::ProxyAuth(_) => Code::ProxyAuth,
            ErrorKind::ClientIdentity(_) => Code::HostConfigInvalid,
            ErrorKind::Refused(failure) => failure.code,
            ErrorKind::Sink(_) => Code::MemoryFile,
        }
    }
}

impl fmt::Display for FetchError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.url.is_empty() {
            self.kind.fmt(f)
        } else {
            write!(f, "{}: {}", self.url, self.kind)
        }
    }
}

impl core::error::Error for FetchError {}

/// What a status that has to do with access is about.
fn status_hint(status: u16, credentials: bool) -> &'static str {
    match (status, credentials) {
        (401 | 403, true) => ": the server refused the URL's user name and password",
        (401, false) => ": the server wants credentials, and the URL has none",
        (403, false) => ": access refused; the URL has no credentials",
        _ => "",
    }
}

/// What a page is where a descriptor should be.
fn page(https: bool) -> &'static str {
    if https {
        "an HTML page instead of a descriptor: the URL leads to a web site, not to NAME.json"
    } else {
        "an HTML page instead of a descriptor: it looks like a login page (captive portal) of the \
         network, or the URL leads to a web site"
    }
}

fn archive_too_large(limit: u64, announced: Option<u64>) -> String {
    match announced {
        Some(announced) => format!("{announced} bytes announced, {limit} allowed"),
        None => format!("more than {limit} bytes came"),
    }
}
