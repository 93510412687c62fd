//! Servers without sockets, on tokio's paused clock.

use core::cell::RefCell;
use core::future::Future;
use core::pin::Pin;
use std::collections::BTreeMap;
use std::io::Cursor;
use std::rc::Rc;
use std::sync::Mutex;
use std::time::Duration;

use bytes::Bytes;
use fetch::Body;
use fetch::Client;
use fetch::ErrorKind;
use fetch::Request;
use fetch::Response;
use fetch::Transport;
use fetch::header;
use netboot::Event;
use netboot::Events;
use netboot::Inputs;
use netboot::Memory;
use netboot::Online;
use netboot::Scratch;
use netboot::World;
use netup::ConnectError;
use netup::Link;
use netup::Method;
use netup::Plan;
use netup::ProbeError;
use report::BootReport;
use report::Failure;
use report::MirrorReport;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout_at;

use crate::package::Package;

pub(crate) const INTERFACE: &str = "eth0";

/// What a server does with one request.
pub(crate) type Reply = Pin<Box<dyn Future<Output = Result<Response<Stream>, ErrorKind>>>>;

/// A server: is given each request, with its number from 0 on.
pub(crate) type Server = Rc<dyn Fn(Asked, usize) -> Reply>;

/// A request as a server sees it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Asked {
    pub(crate) path: String,
    /// First byte of the range that is wanted.
    pub(crate) from: u64,
    /// By whom.
    pub(crate) machine: u64,
}

/// A request, and when it came.
pub(crate) type Log = Rc<RefCell<Vec<(Instant, String, Asked)>>>;

/// All servers that there are.
#[derive(Clone, Default)]
pub(crate) struct Site {
    servers: BTreeMap<String, Server>,
    pub(crate) log: Log,
}

impl core::fmt::Debug for Site {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str("Site")
    }
}

impl Site {
    pub(crate) fn with(
        mut self,
        host: &str,
        server: impl Fn(Asked, usize) -> Reply + 'static,
    ) -> Self {
        self.servers.insert(host.to_owned(), Rc::new(server));
        self
    }

    /// Paths and ranges that a server was asked for.
    pub(crate) fn asked(&self, host: &str) -> Vec<(String, u64)> {
        let log = self.log.borrow();
        let of_host = log.iter().filter(|(_, name, _)| name == host);
        of_host.map(|(_, _, asked)| (asked.path.clone(), asked.from)).collect()
    }
}

/// A body that comes in pieces.
pub(crate) struct Stream {
    pub(crate) rest: Bytes,
    pub(crate) piece: usize,
    /// Wait before each piece.
    pub(crate) every: Duration,
    /// Whether the connection breaks at the end.
    pub(crate) breaks: bool,
    /// Held until the body is gone.
    pub(crate) _slot: Option<Box<dyn core::any::Any>>,
}

impl Body for Stream {
    async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        sleep(self.every).await;
        if self.rest.is_empty() {
            return if self.breaks { Err("reset".to_owned()) } else { Ok(None) };
        }
        Ok(Some(self.rest.split_to(self.piece.min(self.rest.len()))))
    }
}

/// A response without body.
pub(crate) fn status(status: u16, retry_after: Option<u64>) -> Response<Stream> {
    let mut response = whole(Bytes::new(), Duration::ZERO);
    response.status = status;
    if let Some(seconds) = retry_after {
        response.headers.insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

/// A file in pieces of 64 KiB.
pub(crate) fn whole(content: Bytes, every: Duration) -> Response<Stream> {
    Response {
        status: 200,
        headers: header::HeaderMap::new(),
        length: Some(content.len() as u64),
        body: Stream { rest: content, piece: 64 << 10, every, breaks: false, _slot: None },
    }
}

/// What a good server answers, piece after piece.
pub(crate) fn file(package: &Package, asked: &Asked, every: Duration) -> Response<Stream> {
    if asked.path == "/os.json" {
        return whole(package.descriptor.clone().into(), every);
    }
    let (total, from) = (package.archive.len(), usize::try_from(asked.from).unwrap());
    let mut response = whole(Bytes::from(package.archive.clone()).slice(from..), every);
    if from > 0 {
        response.status = 206;
        let range = format!("bytes {from}-{}/{total}", total - 1);
        response.headers.insert(header::CONTENT_RANGE, range.parse().unwrap());
    }
    response
}

/// Cuts a response after so many bytes of its body.
pub(crate) fn cut(mut response: Response<Stream>, after: usize) -> Response<Stream> {
    response.body.rest.truncate(after);
    response.body.breaks = true;
    response
}

pub(crate) fn ready(response: Response<Stream>) -> Reply {
    Box::pin(async move { Ok(response) })
}

/// One machine.
#[derive(Clone, Debug)]
pub(crate) struct SimWorld {
    pub(crate) site: Site,
    pub(crate) machine: u64,
    random: Rc<RefCell<u64>>,
    /// Whether a link that was lost gets no second lease.
    pub(crate) one_lease_only: bool,
    /// Whether looking for a link never ends.
    pub(crate) never_connects: bool,
    /// When the searches for a link began.
    pub(crate) searches: Rc<RefCell<Vec<Instant>>>,
    /// What probes over the link failed of.
    pub(crate) probes: Rc<RefCell<Vec<report::Code>>>,
    /// How often packets were to be shorter from then on.
    pub(crate) narrowed: Rc<RefCell<usize>>,
}

impl SimWorld {
    pub(crate) fn new(site: &Site, machine: u64) -> Self {
        let random = Rc::new(RefCell::new(machine.wrapping_mul(0x9e37_79b9_7f4a_7c15)));
        Self {
            site: site.clone(),
            machine,
            random,
            one_lease_only: false,
            never_connects: false,
            searches: Rc::default(),
            probes: Rc::default(),
            narrowed: Rc::default(),
        }
    }
}

impl Transport for SimWorld {
    type Body = Stream;

    async fn send(&self, request: Request<'_>) -> Result<Response<Stream>, ErrorKind> {
        let url = request.url.url_without_userinfo();
        let host = url.host_str().unwrap().to_owned();
        let range = request.headers.get(header::RANGE).map(|range| range.to_str().unwrap());
        let from = range.map_or(0, |range| {
            range
                .strip_prefix("bytes=")
                .and_then(|it| it.strip_suffix('-'))
                .unwrap()
                .parse()
                .unwrap()
        });
        let asked = Asked { path: url.path().to_owned(), from, machine: self.machine };
        let number = self.site.asked(&host).len();
        self.site.log.borrow_mut().push((Instant::now(), host.clone(), asked.clone()));
        let Some(server) = self.site.servers.get(&host) else {
            return Err(ErrorKind::Resolve(format!("there is no {host}")));
        };
        server(asked, number).await
    }

    fn random(&self) -> u64 {
        let mut state = self.random.borrow_mut();
        *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = *state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }
}

impl World for SimWorld {
    type Transport = Self;
    type Hold = ();
    type File = Cursor<Vec<u8>>;

    async fn connect<P, F>(
        &self,
        _: &Plan,
        deadline: Instant,
        probe: P,
    ) -> Result<Online<()>, ConnectError>
    where
        P: Fn(Link) -> F,
        F: Future<Output = Result<(), ProbeError>>,
    {
        let failed = |failure| ConnectError { failure, nics: Vec::new() };
        self.searches.borrow_mut().push(Instant::now());
        if self.one_lease_only && self.searches.borrow().len() > 1 {
            tokio::time::sleep_until(deadline).await;
            return Err(failed(Failure::new(report::Code::NoLease, "eth0: asked 0 times")));
        }
        if self.never_connects {
            return core::future::pending().await;
        }
        let mut last = Failure::new(report::Code::DeadlineReached, "no server had answered");
        loop {
            match timeout_at(deadline, probe(link())).await {
                Ok(Ok(())) => return Ok(Online { link: link(), nics: Vec::new(), hold: () }),
                Ok(Err(ProbeError::Transient(failure))) => {
                    self.probes.borrow_mut().push(failure.code);
                    last = failure;
                }
                Ok(Err(ProbeError::Final(failure))) => return Err(failed(failure)),
                Err(_) => return Err(failed(last)),
            }
            sleep(Duration::from_secs(1)).await;
        }
    }

    fn client(&self, _: &Inputs, _: &Link) -> Result<Client<Self>, Failure> {
        Ok(Client::over(self.clone(), netboot::limits(self.memory())))
    }

    fn narrow(&self, (): &()) {
        *self.narrowed.borrow_mut() += 1;
    }

    fn file(&self, _: &'static str) -> Result<Self::File, Failure> {
        fn is_scratch(_: &impl Scratch) {}
        let file = Cursor::new(Vec::new());
        is_scratch(&file);
        Ok(file)
    }

    fn memory(&self) -> Memory {
        Memory { installed: 4 << 30, total: 4 << 30, available: 4 << 30 }
    }
}

fn link() -> Link {
    Link {
        interface: INTERFACE.to_owned(),
        index: 2,
        mac: "52:54:00:12:34:56".to_owned(),
        method: Method::Dhcp,
        addresses: Vec::new(),
        gateways: Vec::new(),
        routes: Vec::new(),
        dns: Vec::new(),
        search: Vec::new(),
        ntp: Vec::new(),
        dhcp_server: None,
        lease_seconds: None,
    }
}

/// Keeps the tries at mirrors.
#[derive(Debug)]
pub(crate) struct Journal {
    start: Instant,
    pub(crate) mirrors: Mutex<Vec<MirrorReport>>,
}

impl Journal {
    pub(crate) fn new() -> Self {
        Self { start: Instant::now(), mirrors: Mutex::default() }
    }

    /// Host and failure code of each try.
    pub(crate) fn tries(&self) -> Vec<(String, Option<&'static str>)> {
        let mirrors = self.mirrors.lock().unwrap();
        let host = |url: &str| url.split('/').nth(2).unwrap().to_owned();
        let code = |mirror: &MirrorReport| mirror.failure.as_ref().map(|it| it.code.id());
        mirrors.iter().map(|mirror| (host(&mirror.url), code(mirror))).collect()
    }
}

impl Events for Journal {
    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }

    fn on(&self, event: Event) {
        if let Event::Mirror(mirror) = event {
            self.mirrors.lock().unwrap().push(mirror);
        }
    }

    fn hand_over(&self) -> Option<BootReport> {
        None
    }
}
