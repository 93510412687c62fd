//! What is served, and what goes wrong with it.

use core::net::Ipv4Addr;
use core::net::SocketAddr;
use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;

use crate::pki::Identity;

/// What a [`crate::FaultServer`] does.
#[derive(Clone, Debug)]
pub struct Config {
    pub(crate) listen: SocketAddr,
    pub(crate) start_after: Duration,
    pub(crate) cut_connections: u64,
    pub(crate) identity: Option<Identity>,
    pub(crate) tls12_only: bool,
    pub(crate) client_ca: Option<Vec<u8>>,
    pub(crate) files: BTreeMap<String, File>,
}

impl Config {
    /// A server without TLS on a free port of the loopback address.
    #[must_use]
    pub fn http() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            start_after: Duration::ZERO,
            cut_connections: 0,
            identity: None,
            tls12_only: false,
            client_ca: None,
            files: BTreeMap::new(),
        }
    }

    /// The same with TLS.
    #[must_use]
    pub fn https(identity: Identity) -> Self {
        Self { identity: Some(identity), ..Self::http() }
    }

    /// Speaks TLS 1.2, but not 1.3.
    #[must_use]
    pub fn tls12_only(mut self) -> Self {
        self.tls12_only = true;
        self
    }

    /// Wants a client certificate by this CA, given as DER.
    #[must_use]
    pub fn client_ca(mut self, der: Vec<u8>) -> Self {
        self.client_ca = Some(der);
        self
    }

    /// Serves `file` at `path`, which begins with a slash and has no query.
    #[must_use]
    pub fn file(mut self, path: &str, file: File) -> Self {
        self.files.insert(path.to_owned(), file);
        self
    }

    /// Binds to this address instead of a free port of the loopback address.
    #[must_use]
    pub fn listen(mut self, address: SocketAddr) -> Self {
        self.listen = address;
        self
    }

    /// Reserves the port at once, but refuses connections for this long.
    #[must_use]
    pub fn start_after(mut self, delay: Duration) -> Self {
        self.start_after = delay;
        self
    }

    /// Closes the first `count` connections as soon as they are there, before any TLS handshake.
    #[must_use]
    pub fn cut_connections(mut self, count: u64) -> Self {
        self.cut_connections = count;
        self
    }
}

/// A file, and how requests for it are answered.
#[derive(Clone, Debug)]
pub struct File {
    pub(crate) content: Arc<[u8]>,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) ranges: Ranges,
    pub(crate) chunked: bool,
    pub(crate) credentials: Option<(String, String)>,
    /// Faults of the first requests; `None` is a request that goes well.
    pub(crate) script: Vec<Option<Fault>>,
    /// What all further requests meet.
    pub(crate) rest: Option<Fault>,
}

impl File {
    /// A file that is served well, with ranges, without entity tag.
    #[must_use]
    pub fn new(content: impl Into<Vec<u8>>) -> Self {
        Self {
            content: content.into().into(),
            headers: Vec::new(),
            ranges: Ranges::Honour,
            chunked: false,
            credentials: None,
            script: Vec::new(),
            rest: None,
        }
    }

    /// Adds a response header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Adds an entity tag, quoted as in the header: `"\"1\""`.
    #[must_use]
    pub fn etag(self, tag: &str) -> Self {
        self.header("ETag", tag)
    }

    /// What becomes of `Range` headers.
    #[must_use]
    pub fn ranges(mut self, ranges: Ranges) -> Self {
        self.ranges = ranges;
        self
    }

    /// Sends no length, but chunks.
    #[must_use]
    pub fn chunked(mut self) -> Self {
        self.chunked = true;
        self
    }

    /// Answers 401 without these credentials (HTTP basic authentication).
    #[must_use]
    pub fn credentials(mut self, user: &str, password: &str) -> Self {
        self.credentials = Some((user.to_owned(), password.to_owned()));
        self
    }

    /// The next `count` requests, after those scripted before, meet `fault`.
    #[must_use]
    pub fn first(mut self, count: usize, fault: Fault) -> Self {
        self.script.extend(core::iter::repeat_n(Some(fault), count));
        self
    }

    /// The next `count` requests, after those scripted before, go well.
    #[must_use]
    pub fn then_well(mut self, count: usize) -> Self {
        self.script.extend(core::iter::repeat_n(None, count));
        self
    }

    /// All requests after the scripted ones meet `fault`.
    #[must_use]
    pub fn always(mut self, fault: Fault) -> Self {
        self.rest = Some(fault);
        self
    }

    /// What request number `index`, from 0, meets.
    pub(crate) fn fault(&self, index: usize) -> Option<&Fault> {
        self.script.get(index).unwrap_or(&self.rest).as_ref()
    }
}

/// What becomes of `Range` headers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Ranges {
    /// Answered as they should be, `If-Range` with an entity tag included.
    Honour,
    /// Answered with 200 and the whole file.
    Ignore,
    /// Answered with 416.
    Refuse,
    /// Answered with 206, but from the first byte of the file.
    WrongStart,
    /// Answered with 206 and a length of the file that is one byte more than it was.
    WrongTotal,
}

/// What goes wrong with a request.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status with an empty body.
    Status(u16),
    /// This status with these headers and an empty body; also for redirects.
    StatusWith(u16, Vec<(String, String)>),
    /// These bytes, whatever they are, instead of a response; then the connection closes.
    Raw(Vec<u8>),
    /// Closes the connection instead of answering.
    Hangup,
    /// Reads the request and never answers.
    Silence,
    /// Closes the connection after this many bytes of the body.
    CloseAfter(u64),
    /// Sends this many bytes of the body, then nothing more, and keeps the connection open.
    StallAfter(u64),
    /// Sends this many bytes of the body well, then one byte at a time.
    Drip {
        /// Bytes that are sent well.
        after: u64,
        /// Wait before each further byte.
        every: Duration,
    },
    /// Sends the body slowly, but well.
    Slowly {
        /// Bytes at a time.
        bytes: usize,
        /// Wait before each piece.
        every: Duration,
    },
    /// A chunked body that never ends.
    Endless,
    /// Announces this length, whatever is sent.
    Announce(u64),
    /// One bit of the body is wrong.
    FlipBit {
        /// Byte of the file, from 0.
        offset: u64,
        /// Bit of that byte, from 0.
        bit: u8,
    },
}

impl Fault {
    /// A redirect.
    #[must_use]
    pub fn redirect(status: u16, location: &str) -> Self {
        Self::StatusWith(status, vec![("Location".to_owned(), location.to_owned())])
    }
}
