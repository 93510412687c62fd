//! What has come of an archive so far, from one mirror or several.

use std::io;

use hostcfg::ProvisioningUrl;
use reqwest::header::HeaderValue;
use ring::digest;
use trust::Sha256Digest;

use crate::archive::Download;
use crate::archive::Progress;
use crate::error::ErrorKind;
use crate::sink::Sink;

/// Most URLs that are told apart.
const MAX_SOURCES: usize = 16;

/// An archive that is not complete yet: its bytes in a sink, and their digest so far.
///
/// It outlives the mirror that began it, so that another one can go on. Nothing in it is trusted.
pub struct Partial<S> {
    sink: S,
    /// `ring`'s: where the processor has no SHA instructions (servers of before 2020), its assembly
    /// is more than twice as fast as portable code. `None` where the sink hashes.
    hasher: Option<digest::Context>,
    /// Bytes in the sink and in the hasher.
    received: u64,
    /// Length of the whole file, once a server said so.
    total: Option<u64>,
    /// Where the bytes are from.
    sources: Vec<ProvisioningUrl>,
    /// What the server of the last bytes calls the version of the file.
    validator: Option<HeaderValue>,
    begun: bool,
    resumed: u32,
}

impl<S> core::fmt::Debug for Partial<S> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("Partial")
            .field("received", &self.received)
            .field("total", &self.total)
            .field("sources", &self.sources)
            .finish_non_exhaustive()
    }
}

impl<S> Partial<S> {
    /// Bytes that are there.
    #[must_use]
    pub const fn received(&self) -> u64 {
        self.received
    }

    /// Whether bytes from more than one URL are in it.
    #[must_use]
    pub fn is_mixed(&self) -> bool {
        self.sources.len() > 1
    }

    /// Whether all of its bytes are from this URL.
    #[must_use]
    pub fn is_from(&self, url: &ProvisioningUrl) -> bool {
        self.sources.iter().all(|source| source == url)
    }

    /// The sink, with what is in it.
    #[must_use]
    pub fn into_sink(self) -> S {
        self.sink
    }

    pub(crate) const fn total(&self) -> Option<u64> {
        self.total
    }

    /// Whether all bytes that were announced are there.
    pub(crate) fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| total > 0 && self.received == total)
    }

    /// What `If-Range` asks this URL for: bytes of another server have another server's names.
    pub(crate) fn validator(&self, url: &ProvisioningUrl) -> Option<&HeaderValue> {
        self.validator.as_ref().filter(|_| self.sources.last() == Some(url))
    }

    pub(crate) const fn progress(&self) -> Progress {
        Progress { bytes: self.received, total: self.total, resumed: self.resumed }
    }

    /// A server goes on where the last one stopped.
    pub(crate) fn continue_from(&mut self, url: &ProvisioningUrl, validator: Option<HeaderValue>) {
        self.count_resumption();
        if self.sources.last() != Some(url) {
            self.validator = validator;
            self.add_source(url);
        }
    }

    /// A server is taken at its word that all bytes are there, whoever they are from: it is one of
    /// those who may be wrong.
    pub(crate) fn vouch(&mut self, url: &ProvisioningUrl) {
        if self.sources.last() != Some(url) {
            self.add_source(url);
            self.validator = None;
        }
    }

    fn add_source(&mut self, url: &ProvisioningUrl) {
        self.sources.retain(|source| source != url);
        self.sources.push(url.clone());
        if self.sources.len() > MAX_SOURCES {
            self.sources.remove(0);
        }
    }

    fn count_resumption(&mut self) {
        if self.begun {
            self.resumed = self.resumed.saturating_add(1);
        }
        self.begun = true;
    }
}

impl<S: Sink> Partial<S> {
    /// Nothing yet, in a sink that is empty.
    pub fn new(sink: S) -> Self {
        Self {
            hasher: hasher(&sink),
            sink,
            received: 0,
            total: None,
            sources: Vec::new(),
            validator: None,
            begun: false,
            resumed: 0,
        }
    }

    /// All bytes have come.
    pub(crate) fn finish(&mut self) -> Result<Download, ErrorKind> {
        let of_sink = self.sink.finish().map_err(ErrorKind::Sink)?;
        let own = self.hasher.clone().map(|hasher| {
            let mut sha256 = [0; 32];
            sha256.copy_from_slice(hasher.finish().as_ref());
            Sha256Digest::from_bytes(sha256)
        });
        let sha256 = of_sink.or(own).ok_or_else(|| {
            ErrorKind::Sink(io::Error::other("nobody knows the digest of what came"))
        })?;
        Ok(Download {
            sha256,
            len: self.received,
            resumed: self.resumed,
            sources: self.sources.len(),
        })
    }

    /// Throws away what is there: a server begins with the first byte.
    pub(crate) fn restart(
        &mut self,
        url: &ProvisioningUrl,
        total: Option<u64>,
        validator: Option<HeaderValue>,
    ) -> Result<(), ErrorKind> {
        self.count_resumption();
        if self.received > 0 {
            self.sink.restart().map_err(ErrorKind::Sink)?;
            self.hasher = hasher(&self.sink);
            self.received = 0;
        }
        self.sources = vec![url.clone()];
        self.total = total;
        self.validator = validator;
        Ok(())
    }

    /// Takes the next bytes.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<(), ErrorKind> {
        self.sink.write_all(bytes).map_err(ErrorKind::Sink)?;
        if let Some(hasher) = &mut self.hasher {
            hasher.update(bytes);
        }
        let len = u64::try_from(bytes.len()).unwrap_or(u64::MAX);
        self.received = self.received.saturating_add(len);
        Ok(())
    }
}

fn hasher<S: Sink>(sink: &S) -> Option<digest::Context> {
    (!sink.hashes()).then(|| digest::Context::new(&digest::SHA256))
}

#[cfg(test)]
mod tests {
    use super::Partial;

    #[test]
    fn whoever_had_a_part_in_it_is_named() {
        let url = |host: &str| format!("http://{host}.example/os.zip").parse().unwrap();
        let (one, other) = (url("a"), url("b"));
        let mut partial = Partial::new(Vec::new());
        partial.restart(&one, Some(3), None).unwrap();
        partial.take(b"abc").unwrap();
        assert!(partial.is_complete() && partial.is_from(&one) && !partial.is_mixed());
        partial.vouch(&one);
        assert_eq!(partial.finish().unwrap().sources, 1);
        partial.vouch(&other);
        assert!(partial.is_mixed() && !partial.is_from(&one));
        assert_eq!(partial.finish().unwrap().sha256, trust::Sha256Digest::of(b"abc"));
        partial.restart(&other, Some(3), None).unwrap();
        assert!(partial.is_from(&other) && partial.into_sink().is_empty());
    }
}
