//! The archive: streamed and hashed as it comes, taken up again where it broke, by the same mirror
//! or another one.

use core::time::Duration;

use hostcfg::Mirror;
use hostcfg::ProvisioningUrl;
use report::Failure;
use reqwest::header;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use tokio::time::Instant;
use tokio::time::sleep;
use tokio::time::timeout_at;
use trust::Sha256Digest;

use crate::client::Client;
use crate::client::Resume;
use crate::client::broken_body;
use crate::error::ErrorKind;
use crate::error::FetchError;
use crate::limits::Limits;
use crate::partial::Partial;
use crate::sink::Sink;
use crate::stall::StallWatch;
use crate::transport::Body;
use crate::transport::Response;
use crate::transport::Transport;

/// No try follows another one faster than this.
const RESUME_DELAY_MIN: Duration = Duration::from_millis(50);

/// How far a download is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Progress {
    /// Bytes in the sink.
    pub bytes: u64,
    /// Bytes in all, if the server said so.
    pub total: Option<u64>,
    /// How often the download was taken up again.
    pub resumed: u32,
}

/// What came of a download that is complete.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Download {
    /// SHA-256 of the bytes that came, or what the sink says in its place ([`Sink::finish`]).
    pub sha256: Sha256Digest,
    /// Bytes that came.
    pub len: u64,
    /// How often the download was taken up again.
    pub resumed: u32,
    /// From how many URLs its bytes are.
    pub sources: usize,
}

/// How long a mirror is waited for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Patience {
    /// Whether another mirror may be asked at this moment. Then
    /// [`Limits::stall_bytes_with_others`] and [`Limits::resume_attempts_with_others`] hold.
    pub others: bool,
    /// A download that has had this much time, and has no end in sight before as much has passed
    /// again, gives way to other mirrors ([`ErrorKind::NoEnd`]). `None`: it may take as long as it
    /// likes.
    pub turn: Option<Duration>,
}

impl Patience {
    /// There is nobody else to ask.
    pub const ALONE: Self = Self { others: false, turn: None };
    /// Another mirror may be asked instead.
    pub const OTHERS: Self = Self { others: true, turn: None };
}

impl<T: Transport> Client<T> {
    /// Downloads an archive, or what is missing of it, hashing every byte on its way.
    ///
    /// What `partial` holds already is continued with a `Range` request: with `If-Range` where it is
    /// from this very URL, and else on the caller's word that it is of the same file. A server that
    /// has a file of another length, or no ranges, begins again; whether the pieces fit is told by
    /// the digest in the end.
    ///
    /// `admit` is asked before the first byte whether there is room for an archive of the announced
    /// length (`None` if the server announces none), and again whenever the download has to start
    /// from its beginning. `progress` hears of every piece.
    ///
    /// A connection that breaks after this server has begun is taken up again, a few times in a row
    /// ([`Limits::resume_attempts`]); everything else is the caller's to retry, and so is a server
    /// that asks to be left alone for longer than [`Limits::resume_delay_max`]. After an error
    /// `partial` holds what had come.
    ///
    /// # Errors
    /// [`FetchError`], among them the failure of `admit` under its own code.
    pub async fn archive<S: Sink>(
        &self,
        mirror: &Mirror,
        url: &ProvisioningUrl,
        partial: &mut Partial<S>,
        patience: Patience,
        admit: impl FnMut(Option<u64>) -> Result<(), Failure>,
        progress: impl FnMut(Progress),
    ) -> Result<Download, FetchError> {
        let limits = self.limits();
        let (stall_bytes, attempts) = if patience.others {
            (limits.stall_bytes_with_others, limits.resume_attempts_with_others)
        } else {
            (limits.stall_bytes, limits.resume_attempts)
        };
        let turn = Turn::begin(patience.turn, partial.received());
        let begun = false;
        let mut transfer =
            Transfer { limits, mirror, url, stall_bytes, turn, partial, admit, progress, begun };
        // Bytes from which on a try counts as having brought something.
        let mut goal = transfer.partial.received().saturating_add(limits.stall_bytes);
        let mut fruitless = 0;
        loop {
            let Err(error) = transfer.run(self).await else {
                let failed = |kind| FetchError::new(url.to_string(), kind).after_answer();
                return transfer.partial.finish().map_err(failed);
            };
            if !transfer.begun || !error.is_resumable() {
                return Err(error);
            }
            let received = transfer.partial.received();
            if received >= goal {
                goal = received.saturating_add(limits.stall_bytes);
                fruitless = 0;
            }
            let asked = error.retry_after().unwrap_or_default();
            if asked > limits.resume_delay_max {
                return Err(error);
            }
            if fruitless >= attempts {
                let reason = format!(
                    "{received} bytes came; {fruitless} tries to go on brought nothing new; the \
                     last: {}",
                    error.kind()
                );
                let kind = ErrorKind::Truncated(reason);
                let retry_after = error.retry_after();
                let error = FetchError::new(error.url(), kind).with_retry_after(retry_after);
                return Err(error.after_answer());
            }
            let delay = resume_delay(limits, fruitless, self.random());
            tracing::warn!(%error, at = received, "download broke, taking it up again");
            sleep(delay + asked).await;
            fruitless += 1;
        }
    }
}

/// Anything up to a bound that doubles with every try that brought nothing, so that machines that
/// lost the same server do not come back as one.
fn resume_delay(limits: &Limits, fruitless: u32, random: u64) -> Duration {
    let doubled = limits.resume_delay.saturating_mul(2_u32.saturating_pow(fruitless));
    let bound = doubled.min(limits.resume_delay_max);
    let micros = u64::try_from(bound.as_micros()).unwrap_or(u64::MAX);
    let delay = Duration::from_micros(random % micros.saturating_add(1));
    delay.max(RESUME_DELAY_MIN).min(bound)
}

/// One mirror's part in a download, over as many connections as it takes.
struct Transfer<'a, S, A, P> {
    limits: &'a Limits,
    mirror: &'a Mirror,
    url: &'a ProvisioningUrl,
    stall_bytes: u64,
    turn: Turn,
    partial: &'a mut Partial<S>,
    admit: A,
    progress: P,
    /// Whether this server ever had the file.
    begun: bool,
}

impl<S, A, P> Transfer<'_, S, A, P>
where
    S: Sink,
    A: FnMut(Option<u64>) -> Result<(), Failure>,
    P: FnMut(Progress),
{
    /// One try: from where the last one ended to the end of the file, or to the next break.
    async fn run<T: Transport>(&mut self, client: &Client<T>) -> Result<(), FetchError> {
        let url = self.url;
        let failed = |kind| FetchError::new(url.to_string(), kind).after_answer();
        if self.partial.is_complete() {
            // The last byte came, and with it the end of the connection.
            self.partial.vouch(url);
            return Ok(());
        }
        let offset = self.partial.received();
        let resume =
            (offset > 0).then(|| Resume { offset, validator: self.partial.validator(url) });
        let mut response = client.get(self.mirror, url, resume.as_ref()).await?;
        // A range that is gone, or is of another version of the file by now.
        let useless = match response.status {
            416 => true,
            206 => !self.fits(&response).map_err(failed)?,
            _ => false,
        };
        if useless {
            tracing::info!(%url, "the download cannot be continued, starting again");
            response = client.get(self.mirror, url, None).await?;
        }
        if response.status == 200 {
            self.restart(&response).map_err(failed)?;
        } else {
            self.partial.continue_from(url, validator(&response.headers));
        }
        self.begun = true;
        self.receive(response.body).await.map_err(failed)
    }

    /// Whether a partial response continues what is there; an error if it cannot be trusted to.
    fn fits<B>(&self, response: &Response<B>) -> Result<bool, ErrorKind> {
        let received = self.partial.received();
        let range = response.headers.get(header::CONTENT_RANGE).and_then(ContentRange::parse);
        let Some(range) = range else {
            return Err(ErrorKind::Http("a partial response without a usable range".to_owned()));
        };
        if range.start != received {
            return Err(ErrorKind::Http(format!(
                "asked for bytes from {received} on, but they start at {}",
                range.start
            )));
        }
        if let (Some(known), Some(now)) =
            (self.partial.validator(self.url), validator(&response.headers))
            && *known != now
        {
            return Ok(false);
        }
        match (self.partial.total(), range.total) {
            (Some(total), Some(now)) if total != now && self.partial.is_from(self.url) => {
                Err(ErrorKind::TooLong(format!(
                    "{total} bytes were announced at first, {now} bytes when resuming"
                )))
            }
            // Another mirror's file of another length is another file.
            (Some(total), Some(now)) => Ok(total == now),
            (None, _) | (_, None) => Ok(self.partial.is_from(self.url)),
        }
    }

    /// Begins with the first byte of the file in `response`.
    fn restart<B>(&mut self, response: &Response<B>) -> Result<(), ErrorKind> {
        let total = response.length;
        self.partial.restart(self.url, total, validator(&response.headers))?;
        // The caller first: it can say what is missing, not only that it is too much.
        (self.admit)(total).map_err(ErrorKind::Refused)?;
        let limit = self.limits.max_archive_len;
        if total.is_some_and(|total| total > limit) {
            return Err(ErrorKind::ArchiveTooLarge { limit, announced: total });
        }
        Ok(())
    }

    /// Takes a body to its end.
    async fn receive<B: Body>(&mut self, mut body: B) -> Result<(), ErrorKind> {
        let limit = self.limits.max_archive_len;
        let total = self.partial.total();
        let window = self.limits.stall_window;
        let mut watch = StallWatch::start(self.stall_bytes, window, Instant::now());
        loop {
            let stalled = |bytes| {
                let seconds = window.as_secs_f32();
                ErrorKind::Stalled(format!("{bytes} bytes in {seconds} s"))
            };
            let Ok(chunk) = timeout_at(watch.deadline(), body.chunk()).await else {
                watch.check(Instant::now()).map_err(stalled)?;
                continue;
            };
            let Some(chunk) = chunk.map_err(|reason| broken_body(&reason))? else {
                break;
            };
            let len = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let received = self.partial.received().saturating_add(len);
            if received > limit {
                return Err(ErrorKind::ArchiveTooLarge { limit, announced: None });
            }
            if let Some(total) = total.filter(|total| received > *total) {
                return Err(ErrorKind::TooLong(format!("more than the {total} bytes announced")));
            }
            self.partial.take(&chunk)?;
            (self.progress)(self.partial.progress());
            watch.add(len);
            watch.check(Instant::now()).map_err(stalled)?;
            self.turn.check(received, total)?;
        }
        let received = self.partial.received();
        match total {
            Some(total) if received < total => Err(ErrorKind::Truncated(format!(
                "the body ended after {received} of {total} bytes"
            ))),
            _ => Ok(()),
        }
    }
}

/// The time that a mirror has, over as many connections as it takes.
struct Turn {
    length: Option<Duration>,
    begun: Instant,
    /// Bytes that were there when it began.
    before: u64,
}

impl Turn {
    fn begin(length: Option<Duration>, before: u64) -> Self {
        Self { length, begun: Instant::now(), before }
    }

    /// Whoever sends without end, or so slowly that it comes to the same, must not keep a machine
    /// from mirrors that would serve it.
    fn check(&self, received: u64, total: Option<u64>) -> Result<(), ErrorKind> {
        let elapsed = self.begun.elapsed();
        let Some(length) = self.length.filter(|length| elapsed >= *length) else { return Ok(()) };
        let came = received.saturating_sub(self.before);
        let in_sight = total.is_some_and(|total| {
            let missing = u128::from(total.saturating_sub(received));
            missing * elapsed.as_millis() <= u128::from(came) * length.as_millis()
        });
        if in_sight {
            return Ok(());
        }
        let end = match total {
            Some(total) => format!("{received} of {total} bytes are there"),
            None => format!("{received} bytes are there, and the server announced no length"),
        };
        Err(ErrorKind::NoEnd(format!("no end in sight after {} s: {end}", elapsed.as_secs())))
    }
}

/// What `If-Range` takes: a strong entity tag, or else the date of the last change.
fn validator(headers: &HeaderMap) -> Option<HeaderValue> {
    headers
        .get(header::ETAG)
        .filter(|tag| tag.as_bytes().starts_with(b"\""))
        .or_else(|| headers.get(header::LAST_MODIFIED))
        .cloned()
}

/// `Content-Range: bytes START-END/TOTAL`.
#[derive(Debug, Eq, PartialEq)]
pub(crate) struct ContentRange {
    start: u64,
    total: Option<u64>,
}

impl ContentRange {
    pub(crate) fn parse(value: &HeaderValue) -> Option<Self> {
        let (unit, range) = value.to_str().ok()?.trim().split_once(' ')?;
        let (range, total) = range.trim().split_once('/')?;
        let (start, end) = range.split_once('-')?;
        let (start, end): (u64, u64) = (start.parse().ok()?, end.parse().ok()?);
        let total = match total {
            "*" => None,
            total => Some(total.parse().ok()?),
        };
        let sound = unit.eq_ignore_ascii_case("bytes")
            && start <= end
            && total.is_none_or(|total: u64| end < total);
        sound.then_some(Self { start, total })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_ranges_are_read_strictly() {
        let parse = |text| ContentRange::parse(&HeaderValue::from_static(text));
        assert_eq!(parse("bytes 5-9/10"), Some(ContentRange { start: 5, total: Some(10) }));
        assert_eq!(parse("bytes 5-9/*"), Some(ContentRange { start: 5, total: None }));
        for text in [
            "",
            "bytes",
            "bytes */10",
            "lines 5-9/10",
            "bytes 9-5/10",
            "bytes 5-10/10",
            "bytes -5-9/10",
            "bytes 5-9",
        ] {
            assert_eq!(parse(text), None, "{text}");
        }
    }

    proptest::proptest! {
        #[test]
        fn any_range_is_judged_without_panic(text in "(bytes |BYTES  ?)?[0-9]{0,24}-?[0-9]{0,24}/?[0-9*]{0,24}") {
            if let Some(range) = HeaderValue::try_from(text).ok().as_ref().and_then(ContentRange::parse) {
                proptest::prop_assert!(range.total.is_none_or(|total| range.start < total));
            }
        }
    }

    #[test]
    fn delays_double_up_to_their_bound() {
        let limits = Limits::default();
        let longest = |fruitless| {
            (0..1000_u64)
                .map(|random| resume_delay(&limits, fruitless, random * 7919))
                .max()
                .unwrap()
        };
        for (fruitless, millis) in [(0, 200), (2, 800), (4, 3200), (5, 5000), (u32::MAX, 5000)] {
            let (longest, bound) = (longest(fruitless), Duration::from_millis(millis));
            assert!(longest <= bound && longest > bound * 9 / 10, "{fruitless}: {longest:?}");
        }
        assert_eq!(resume_delay(&limits, 5, 0), RESUME_DELAY_MIN, "never at once");
        assert_eq!(
            resume_delay(&Limits { resume_delay_max: Duration::ZERO, ..limits }, 5, 9),
            Duration::ZERO
        );
    }

    #[test]
    fn weak_entity_tags_do_not_validate() {
        let mut headers = HeaderMap::new();
        headers.insert(header::ETAG, HeaderValue::from_static("W/\"1\""));
        assert_eq!(validator(&headers), None);
        headers.insert(header::LAST_MODIFIED, HeaderValue::from_static("yesterday"));
        assert_eq!(validator(&headers).unwrap(), "yesterday");
        headers.insert(header::ETAG, HeaderValue::from_static("\"1\""));
        assert_eq!(validator(&headers).unwrap(), "\"1\"");
    }
}
