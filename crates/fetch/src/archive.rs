//! The archive: streamed and hashed as it comes, taken up again where it broke.

use core::time::Duration;

use hostcfg::ProvisioningUrl;
use report::Failure;
use reqwest::Response;
use reqwest::StatusCode;
use reqwest::header;
use reqwest::header::HeaderMap;
use reqwest::header::HeaderValue;
use ring::digest;
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
use crate::sink::Sink;
use crate::stall::StallWatch;

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
    /// SHA-256 of the bytes in the sink.
    pub sha256: Sha256Digest,
    /// Bytes in the sink.
    pub len: u64,
    /// How often the download was taken up again.
    pub resumed: u32,
}

impl Client {
    /// Downloads an archive into `sink`, hashing every byte on its way.
    ///
    /// `admit` is asked before the first byte whether there is room for an archive of the announced
    /// length (`None` if the server announces none), and again whenever the download has to start
    /// from its beginning. `progress` hears of every piece.
    ///
    /// A connection that breaks after the download has begun is taken up again with a `Range`
    /// request, a few times in a row ([`Limits::resume_attempts`]); everything else is the caller's
    /// to retry. The sink must be empty; after an error it holds what had come.
    ///
    /// # Errors
    /// [`FetchError`], among them the failure of `admit` under its own code.
    pub async fn archive<S: Sink>(
        &self,
        url: &ProvisioningUrl,
        sink: &mut S,
        admit: impl FnMut(Option<u64>) -> Result<(), Failure>,
        progress: impl FnMut(Progress),
    ) -> Result<Download, FetchError> {
        let mut transfer = Transfer {
            limits: self.limits(),
            sink,
            admit,
            progress,
            hasher: digest::Context::new(&digest::SHA256),
            received: 0,
            total: None,
            validator: None,
            begun: false,
            resumed: 0,
        };
        // Bytes from which on a try counts as having brought something.
        let mut goal = self.limits().stall_bytes;
        let mut fruitless = 0;
        loop {
            let Err(error) = transfer.run(self, url).await else {
                return Ok(transfer.finish());
            };
            if !transfer.begun || !error.is_resumable() {
                return Err(error);
            }
            if transfer.received >= goal {
                goal = transfer.received + self.limits().stall_bytes;
                fruitless = 0;
            }
            if fruitless >= self.limits().resume_attempts {
                let reason = format!(
                    "{} bytes came; {fruitless} tries to go on brought nothing new; the last: {}",
                    transfer.received,
                    error.kind()
                );
                let error = FetchError::new(error.url(), ErrorKind::Truncated(reason));
                return Err(error.after_answer());
            }
            let delay = resume_delay(self.limits(), fruitless, self.jitter());
            let asked = error.retry_after().unwrap_or_default();
            tracing::warn!(%error, at = transfer.received, "download broke, taking it up again");
            sleep(delay.max(asked.min(self.limits().resume_delay_max))).await;
            fruitless += 1;
        }
    }
}

/// Doubles with every try that brought nothing; spread over its upper half, so that machines that
/// lost the same server do not come back as one.
fn resume_delay(limits: &Limits, fruitless: u32, jitter: u16) -> Duration {
    let doubled = limits.resume_delay.saturating_mul(2_u32.saturating_pow(fruitless));
    let half = doubled.min(limits.resume_delay_max) / 2;
    half + half.saturating_mul(u32::from(jitter)) / u32::from(u16::MAX)
}

/// One download, over as many connections as it takes.
struct Transfer<'a, S, A, P> {
    limits: &'a Limits,
    sink: &'a mut S,
    admit: A,
    progress: P,
    /// `ring`'s: where the processor has no SHA instructions (servers of before 2020), its assembly
    /// is more than twice as fast as portable code.
    hasher: digest::Context,
    /// Bytes in the sink and in the hasher.
    received: u64,
    /// Length of the whole file, once a server said so.
    total: Option<u64>,
    /// The server's name for the version of the file that is being received.
    validator: Option<HeaderValue>,
    /// Whether the file was ever there.
    begun: bool,
    resumed: u32,
}

impl<S, A, P> Transfer<'_, S, A, P>
where
    S: Sink,
    A: FnMut(Option<u64>) -> Result<(), Failure>,
    P: FnMut(Progress),
{
    /// One try: from where the last one ended to the end of the file, or to the next break.
    async fn run(&mut self, client: &Client, url: &ProvisioningUrl) -> Result<(), FetchError> {
        let failed = |kind| FetchError::new(url.to_string(), kind).after_answer();
        let resume = (self.received > 0)
            .then_some(Resume { offset: self.received, validator: self.validator.as_ref() });
        let mut response = client.get(url, resume.as_ref()).await?;
        if self.begun {
            self.resumed += 1;
        }
        // A range that is gone, or is of another version of the file by now.
        let useless = match response.status() {
            StatusCode::RANGE_NOT_SATISFIABLE => true,
            StatusCode::PARTIAL_CONTENT => !self.fits(&response).map_err(failed)?,
            _ => false,
        };
        if useless {
            tracing::info!(%url, "the download cannot be continued, starting again");
            response = client.get(url, None).await?;
        }
        if response.status() == StatusCode::OK {
            self.restart(&response).map_err(failed)?;
        }
        self.begun = true;
        self.receive(response).await.map_err(failed)
    }

    /// Whether a partial response continues what is there; an error if it cannot be trusted to.
    fn fits(&self, response: &Response) -> Result<bool, ErrorKind> {
        let range = response.headers().get(header::CONTENT_RANGE).and_then(ContentRange::parse);
        let Some(range) = range else {
            return Err(ErrorKind::Http("a partial response without a usable range".to_owned()));
        };
        if range.start != self.received {
            return Err(ErrorKind::Http(format!(
                "asked for bytes from {} on, but they start at {}",
                self.received, range.start
            )));
        }
        if let (Some(known), Some(now)) = (&self.validator, validator(response.headers()))
            && *known != now
        {
            return Ok(false);
        }
        match (self.total, range.total) {
            (Some(total), Some(now)) if total != now => Err(ErrorKind::TooLong(format!(
                "{total} bytes were announced at first, {now} bytes when resuming"
            ))),
            _ => Ok(true),
        }
    }

    /// Begins with the first byte of the file in `response`.
    fn restart(&mut self, response: &Response) -> Result<(), ErrorKind> {
        self.total = response.content_length();
        self.validator = validator(response.headers());
        if self.received > 0 {
            self.sink.restart().map_err(ErrorKind::Sink)?;
            self.hasher = digest::Context::new(&digest::SHA256);
            self.received = 0;
        }
        // The caller first: it can say what is missing, not only that it is too much.
        (self.admit)(self.total).map_err(ErrorKind::Refused)?;
        let limit = self.limits.max_archive_len;
        if self.total.is_some_and(|total| total > limit) {
            return Err(ErrorKind::ArchiveTooLarge { limit, announced: self.total });
        }
        Ok(())
    }

    /// Takes a body to its end.
    async fn receive(&mut self, mut response: Response) -> Result<(), ErrorKind> {
        let limit = self.limits.max_archive_len;
        let (min_bytes, window) = (self.limits.stall_bytes, self.limits.stall_window);
        let mut watch = StallWatch::start(min_bytes, window, Instant::now());
        loop {
            let stalled = |bytes| {
                let seconds = window.as_secs_f32();
                ErrorKind::Stalled(format!("{bytes} bytes in {seconds} s"))
            };
            let Ok(chunk) = timeout_at(watch.deadline(), response.chunk()).await else {
                watch.check(Instant::now()).map_err(stalled)?;
                continue;
            };
            let Some(chunk) = chunk.map_err(|error| ErrorKind::Truncated(broken_body(&error)))?
            else {
                break;
            };
            let len = u64::try_from(chunk.len()).unwrap_or(u64::MAX);
            let received = self.received.saturating_add(len);
            if received > limit {
                return Err(ErrorKind::ArchiveTooLarge { limit, announced: None });
            }
            if let Some(total) = self.total.filter(|total| received > *total) {
                return Err(ErrorKind::TooLong(format!("more than the {total} bytes announced")));
            }
            self.sink.write_all(&chunk).map_err(ErrorKind::Sink)?;
            self.hasher.update(&chunk);
            self.received = received;
            (self.progress)(Progress { bytes: received, total: self.total, resumed: self.resumed });
            watch.add(len);
            watch.check(Instant::now()).map_err(stalled)?;
        }
        match self.total {
            Some(total) if self.received < total => Err(ErrorKind::Truncated(format!(
                "the body ended after {} of {total} bytes",
                self.received
            ))),
            _ => Ok(()),
        }
    }

    fn finish(self) -> Download {
        let mut sha256 = [0; 32];
        sha256.copy_from_slice(self.hasher.finish().as_ref());
        Download {
            sha256: Sha256Digest::from_bytes(sha256),
            len: self.received,
            resumed: self.resumed,
        }
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
struct ContentRange {
    start: u64,
    total: Option<u64>,
}

impl ContentRange {
    fn parse(value: &HeaderValue) -> Option<Self> {
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

    #[test]
    fn delays_double_up_to_their_bound() {
        let limits = Limits::default();
        assert_eq!(resume_delay(&limits, 0, u16::MAX), Duration::from_millis(200));
        assert_eq!(resume_delay(&limits, 0, 0), Duration::from_millis(100));
        assert_eq!(resume_delay(&limits, 2, u16::MAX), Duration::from_millis(800));
        assert_eq!(resume_delay(&limits, 5, u16::MAX), Duration::from_secs(5));
        assert_eq!(resume_delay(&limits, u32::MAX, u16::MAX), Duration::from_secs(5));
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
