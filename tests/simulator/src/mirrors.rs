//! Mirrors, and the weather they live in.

use core::time::Duration;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::Mutex;

use bytes::Bytes;
use fastrand::Rng;
use fetch::Body;
use fetch::ErrorKind;
use fetch::Request;
use fetch::Response;
use fetch::Transport;
use fetch::header;
use fetch::header::HeaderMap;
use fetch::header::HeaderValue;
use tokio::time::sleep;

use crate::chance;
use crate::lan::Lan;
use crate::meter::Meter;
use crate::packages::Packages;
use crate::packages::Served;
use crate::proxy::Fate;
use crate::proxy::Proxy;

/// Bytes that come at a time.
const PIECE: usize = 16 << 10;

/// A page that a captive portal shows to everybody.
const PAGE: &[u8] = b"<!DOCTYPE html><html><body>Please sign in.</body></html>";

/// What a mirror does from some time on.
#[derive(Clone, Debug)]
pub struct Phase {
    /// From when on.
    pub from: Duration,
    /// What it does then.
    pub mood: Mood,
}

/// How a mirror behaves.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Mood {
    /// Serves the good package.
    Serves,
    /// Serves it without knowing of ranges.
    IgnoresRanges,
    /// Serves it with a new entity tag each time.
    Forgets,
    /// Has an older package until its descriptor was fetched once. The archive is another one from then
    /// on: the good one, with its descriptor; or, if it is replaced `twice`, one in between until the
    /// good descriptor was fetched.
    IsReplaced {
        /// Whether what takes its place is replaced, too.
        twice: bool,
    },
    /// No connection.
    Refuses,
    /// Takes the request and never answers.
    IsSilent,
    /// Its name cannot be resolved.
    IsUnknown,
    /// Answers with a status, and maybe with when to come again.
    Status(u16, Option<u16>),
    /// The connection breaks after so many bytes of the archive.
    Breaks(usize),
    /// Nothing comes any more after so many bytes.
    Stalls(usize),
    /// The body ends after so many bytes.
    EndsEarly(usize),
    /// A byte a second.
    Trickles,
    /// Another range comes than was asked for.
    LiesAboutRanges,
    /// The archive never ends.
    IsEndless,
    /// Redirects to itself.
    RunsInCircles,
    /// Redirects to the same without TLS.
    LeadsToHttp,
    /// Sends it in a content encoding that nobody asked for.
    Encodes,
    /// Breaks off, and has another archive when the rest is asked for.
    Replaces,
    /// A page for people, with status 200.
    IsAPortal,
    /// Something that is no descriptor.
    Babbles,
    /// Its TLS certificate is by somebody else.
    IsAnImpostor,
    /// A package that too few signed.
    IsBelowThreshold,
    /// A package that strangers signed.
    IsByStrangers,
    /// An archive in which one bit is another.
    Tampers,
}

impl Mood {
    /// What a mirror may do before it is good and still be asked again.
    pub(crate) const HEALS: [Self; 12] = [
        Self::Refuses,
        Self::IsSilent,
        Self::IsUnknown,
        Self::Status(503, None),
        Self::Status(503, Some(60)),
        Self::Status(500, None),
        Self::Status(429, Some(5)),
        Self::Breaks(0),
        Self::Breaks(120_000),
        Self::Stalls(90_000),
        Self::EndsEarly(70_000),
        Self::Trickles,
    ];

    /// The others that do not serve.
    pub(crate) const STAYS: [Self; 15] = [
        Self::Status(404, None),
        Self::Status(403, None),
        Self::Status(407, None),
        Self::LeadsToHttp,
        Self::Encodes,
        Self::Replaces,
        Self::LiesAboutRanges,
        Self::IsEndless,
        Self::RunsInCircles,
        Self::IsAPortal,
        Self::Babbles,
        Self::IsAnImpostor,
        Self::IsBelowThreshold,
        Self::IsByStrangers,
        Self::Tampers,
    ];
}

/// Counts by mirror.
pub(crate) type Looks = Arc<Mutex<BTreeMap<usize, usize>>>;

/// The mirrors of a world, over one link.
#[derive(Debug)]
pub(crate) struct Mirrors {
    pub(crate) interface: String,
    pub(crate) lan: Arc<Lan>,
    pub(crate) meter: Arc<Meter>,
    pub(crate) packages: Arc<Packages>,
    /// What each does, in order of time.
    pub(crate) phases: Arc<Vec<Vec<Phase>>>,
    /// What they are asked through.
    pub(crate) proxy: Option<Arc<Proxy>>,
    /// How often each was asked for the descriptor of a package that is being replaced.
    pub(crate) looks: Looks,
    pub(crate) rng: Mutex<Rng>,
}

impl Mirrors {
    fn mood(&self, mirror: usize) -> Mood {
        let now = self.meter.now();
        let phases = self.phases.get(mirror).map(Vec::as_slice).unwrap_or_default();
        phases
            .iter()
            .rev()
            .find(|phase| phase.from <= now)
            .map_or(Mood::Refuses, |phase| phase.mood)
    }

    /// What is there of a package that is being replaced, when this mirror is asked for this file.
    fn replaced(&self, mirror: usize, archive: bool, twice: bool) -> &Served {
        let before = self.looks.lock().map_or(0, |mut looks| {
            let looks = looks.entry(mirror).or_default();
            let before = *looks;
            *looks += usize::from(!archive);
            before
        });
        match before {
            0 => &self.packages.older,
            1 if twice && archive => &self.packages.between,
            _ => &self.packages.good,
        }
    }

    fn served(&self, mood: Mood, mirror: usize, archive: bool) -> &Served {
        match mood {
            Mood::IsReplaced { twice } => self.replaced(mirror, archive, twice),
            Mood::IsBelowThreshold => &self.packages.below_threshold,
            Mood::IsByStrangers => &self.packages.by_strangers,
            Mood::Tampers => &self.packages.tampered,
            _ => &self.packages.good,
        }
    }

    fn chance<T>(&self, draw: impl FnOnce(&mut Rng) -> T) -> Option<T> {
        self.rng.lock().ok().map(|mut rng| draw(&mut rng))
    }
}

/// The position of a mirror whose host is called `m0.example` and so on.
fn position(host: &str) -> Option<usize> {
    host.strip_prefix('m')?.strip_suffix(".example")?.parse().ok()
}

impl Transport for Mirrors {
    type Body = Stream;

    async fn send(&self, request: Request<'_>) -> Result<Response<Stream>, ErrorKind> {
        self.meter.note();
        let url = request.url.url_without_userinfo();
        let mirror = url.host_str().and_then(position).unwrap_or(usize::MAX);
        let late = self.chance(|rng| {
            chance::between(rng, Duration::from_millis(1), Duration::from_millis(400))
        });
        sleep(late.unwrap_or_default()).await;
        if !self.lan.reaches(&self.interface, mirror) {
            return core::future::pending().await;
        }
        if let Some(proxy) = &self.proxy {
            match proxy.fate(self.meter.now(), mirror, url.scheme() == "https") {
                Fate::Passed => {}
                Fate::Lost => return core::future::pending().await,
                Fate::Answered(status) => return Ok(refusal(status, None)),
                Fate::Failed(kind) => return Err(kind),
            }
        }
        let mood = self.mood(mirror);
        match mood {
            Mood::Refuses => return Err(ErrorKind::Connect("connection refused".to_owned())),
            Mood::IsSilent => return core::future::pending().await,
            Mood::IsUnknown => return Err(ErrorKind::Resolve("no such name".to_owned())),
            Mood::IsAnImpostor if url.scheme() == "https" => {
                return Err(ErrorKind::TlsUntrusted("by none of the roots".to_owned()));
            }
            Mood::Status(status, again) => return Ok(refusal(status, again)),
            Mood::RunsInCircles => return Ok(redirect(url.as_str())),
            Mood::LeadsToHttp => {
                return Ok(redirect(&format!("http://m{mirror}.example{}", url.path())));
            }
            _ => {}
        }
        let archive = url.path().ends_with(".zip");
        let served = self.served(mood, mirror, archive);
        let replaced = mood == Mood::Replaces && request.headers.contains_key(header::RANGE);
        let content = match mood {
            Mood::Replaces if archive && replaced => self.packages.by_strangers.archive.clone(),
            Mood::IsAPortal => PAGE.to_vec(),
            Mood::Babbles | Mood::IsAnImpostor if !archive => vec![0x7b; 100],
            _ if archive => served.archive.clone(),
            _ => served.descriptor.clone(),
        };
        let tag = match mood {
            Mood::Forgets => format!("\"{}\"", self.meter.now().as_millis()),
            Mood::Replaces if replaced => "\"two\"".to_owned(),
            Mood::IsReplaced { .. } if served.archive == self.packages.older.archive => {
                "\"zero\"".to_owned()
            }
            Mood::IsReplaced { .. } if served.archive == self.packages.between.archive => {
                "\"between\"".to_owned()
            }
            _ => "\"one\"".to_owned(),
        };
        let pause = self.chance(|rng| {
            chance::between(rng, Duration::from_millis(1), Duration::from_millis(1500))
        });
        let stream = Stream {
            content: Bytes::from(content),
            at: 0,
            mood: if archive { mood } else { Mood::Serves },
            replaced,
            pause: pause.unwrap_or_default(),
            route: Some(Route {
                interface: self.interface.clone(),
                mirror,
                lan: Arc::clone(&self.lan),
            }),
        };
        Ok(answer(stream, &request.headers, mood, &tag))
    }

    fn random(&self) -> u64 {
        self.chance(|rng| rng.u64(..)).unwrap_or_default()
    }
}

fn refusal(status: u16, again: Option<u16>) -> Response<Stream> {
    let mut headers = HeaderMap::new();
    if let Some(seconds) = again {
        headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    Response { status, headers, length: Some(0), body: Stream::empty() }
}

fn redirect(location: &str) -> Response<Stream> {
    let mut headers = HeaderMap::new();
    if let Ok(location) = HeaderValue::from_str(location) {
        headers.insert(header::LOCATION, location);
    }
    Response { status: 302, headers, length: Some(0), body: Stream::empty() }
}

/// The head for a body, or for the part of it that was asked for.
fn answer(mut stream: Stream, asked: &HeaderMap, mood: Mood, tag: &str) -> Response<Stream> {
    let mut headers = HeaderMap::new();
    if mood == Mood::Encodes {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Ok(tag) = HeaderValue::from_str(tag) {
        headers.insert(header::ETAG, tag);
    }
    let all = stream.content.len();
    let from = asked
        .get(header::RANGE)
        .and_then(|range| {
            range.to_str().ok()?.strip_prefix("bytes=")?.strip_suffix('-')?.parse().ok()
        })
        .filter(|from| *from < all && mood != Mood::IgnoresRanges)
        .filter(|_| {
            let validator = asked.get(header::IF_RANGE);
            validator.is_none_or(|validator| validator.as_bytes() == tag.as_bytes())
        });
    let Some(from) = from else {
        let length = (mood != Mood::IsEndless).then(|| u64::try_from(all).unwrap_or(u64::MAX));
        return Response { status: 200, headers, length, body: stream };
    };
    let start = if mood == Mood::LiesAboutRanges { from / 2 } else { from };
    if let Ok(range) = HeaderValue::from_str(&format!("bytes {start}-{}/{all}", all - 1)) {
        headers.insert(header::CONTENT_RANGE, range);
    }
    stream.at = start;
    let length = u64::try_from(all - start).ok();
    Response { status: 206, headers, length, body: stream }
}

/// A body on its way.
#[derive(Debug)]
pub(crate) struct Stream {
    content: Bytes,
    at: usize,
    mood: Mood,
    /// Whether it is what has taken the place of another.
    replaced: bool,
    pause: Duration,
    /// What it comes along; `None` for one without content.
    route: Option<Route>,
}

/// The way from a link to a mirror.
#[derive(Debug)]
struct Route {
    interface: String,
    mirror: usize,
    lan: Arc<Lan>,
}

impl Stream {
    const fn empty() -> Self {
        let pause = Duration::ZERO;
        let mood = Mood::Serves;
        Self { content: Bytes::new(), at: 0, mood, replaced: false, pause, route: None }
    }

    /// Where the mood ends the stream, if it does.
    const fn end(&self) -> Option<usize> {
        match self.mood {
            Mood::Breaks(end) | Mood::Stalls(end) | Mood::EndsEarly(end) => Some(end),
            // Once, so that somebody asks for a range.
            Mood::LiesAboutRanges if self.at < 50_000 => Some(50_000),
            // Once, too: the tag of what comes then is another one.
            Mood::Replaces if !self.replaced => Some(110_000),
            _ => None,
        }
    }
}

impl Body for Stream {
    async fn chunk(&mut self) -> Result<Option<Bytes>, String> {
        sleep(self.pause).await;
        let reaches = |route: &Route| route.lan.reaches(&route.interface, route.mirror);
        if !self.route.as_ref().is_none_or(reaches) {
            return core::future::pending().await;
        }
        let all = self.content.len();
        if self.mood == Mood::IsEndless {
            return Ok(Some(Bytes::from_static(&[0; PIECE])));
        }
        let mut until = (self.at + PIECE).min(all);
        if let Some(end) = self.end() {
            if self.at >= end {
                return match self.mood {
                    Mood::Stalls(_) => core::future::pending().await,
                    Mood::EndsEarly(_) => Ok(None),
                    _ => Err("connection reset".to_owned()),
                };
            }
            until = until.min(end);
        }
        if self.mood == Mood::Trickles {
            sleep(Duration::from_secs(1)).await;
            until = until.min(self.at + 1);
        }
        if self.at >= all {
            return Ok(None);
        }
        let piece = self.content.slice(self.at..until);
        self.at = until;
        Ok(Some(piece))
    }
}
