//! One try at one mirror: fetch what it has, verify it, open it.

use core::net::IpAddr;

use fetch::Client;
use fetch::Patience;
use hostcfg::Mirror;
use hostcfg::ProvisioningUrl;
use kexec_rs::MemFile;
use ospkg::Descriptor;
use ospkg::VerifiedPackage;
use report::ClockReport;
use report::Code;
use report::Failure;
use report::MirrorReport;
use report::Stage;
use report::micros;
use tracing::info;
use trust::Clock;

use crate::archive_file::ArchiveFile;
use crate::events::Event;
use crate::events::Events;
use crate::events::Running;
use crate::inputs::Inputs;
use crate::ledger::Trouble;
use crate::memory;
use crate::meter::Meter;
use crate::meter::megabytes;
use crate::pieces::Pieces;
use crate::pieces::Shelf;
use crate::pieces::same_archive;
use crate::time::LinkTime;
use crate::upgrade::Current;
use crate::verify::Found;
use crate::verify::Judged;
use crate::verify::Refused;
use crate::world::World;

/// What may be started, in memory files of its own.
pub type Verified<F = MemFile> = VerifiedPackage<F, F>;

/// A download that brought so many bytes has come further, slowly or not.
const ADVANCE: u64 = 4096;

/// One try at one mirror, for the report.
#[derive(Debug)]
pub(crate) struct Try {
    start_us: u64,
    /// Bytes of the archive that were there before.
    before: u64,
    bytes: u64,
    resumed: u32,
}

impl Try {
    /// Begins a try.
    pub(crate) fn new(events: &dyn Events) -> Self {
        Self { start_us: micros(events.elapsed()), before: 0, bytes: 0, resumed: 0 }
    }

    /// Whether it brought the download further.
    pub(crate) const fn advanced(&self) -> bool {
        self.bytes >= self.before.saturating_add(ADVANCE)
    }

    /// The entry for the boot report.
    pub(crate) fn report(
        &self,
        interface: &str,
        url: &ProvisioningUrl,
        addresses: Vec<IpAddr>,
        failure: Option<&Failure>,
    ) -> MirrorReport {
        MirrorReport {
            url: url.to_string(),
            interface: interface.to_owned(),
            addresses,
            start_us: self.start_us,
            bytes: self.bytes,
            resumed: self.resumed,
            failure: failure.cloned(),
        }
    }
}

/// One mirror over one link, and what it is to be asked for.
pub(crate) struct Job<'a, W: World> {
    pub(crate) world: &'a W,
    pub(crate) inputs: &'a Inputs,
    pub(crate) events: &'a dyn Events,
    pub(crate) client: &'a Client<W::Transport>,
    pub(crate) interface: &'a str,
    pub(crate) time: &'a LinkTime,
    pub(crate) mirror: &'a Mirror,
    /// Whether another mirror could be asked instead at this moment.
    pub(crate) patience: Patience,
    /// Where an OS looks for its successor: what must be newer.
    pub(crate) running: Option<&'a Current>,
    /// What came of an archive before.
    pub(crate) shelf: &'a mut Shelf<W::File>,
}

impl<W: World> Job<'_, W> {
    /// Fetches and verifies what the mirror has. `descriptor` is its answer if it was asked already.
    pub(crate) async fn serve(
        &mut self,
        descriptor: Option<Vec<u8>>,
        attempt: &mut Try,
    ) -> Result<Verified<W::File>, Trouble> {
        let fetching = Running::begin(self.events, Stage::Fetch);
        let fetched = match self.fetch(descriptor, attempt).await {
            Ok(fetched) => fetching.close(Ok(fetched), Fetched::summary)?,
            Err(trouble) => {
                // What it returns is part of the trouble.
                fetching.close(Err::<(), _>(trouble.failure.clone()), |()| String::new()).ok();
                return Err(trouble);
            }
        };

        let verifying = Running::begin(self.events, Stage::Verify);
        let (clock, report) = self.time.settled().await;
        self.events.on(Event::Time(report.clone()));
        let verified = self
            .authorize(&clock, &report, fetched)
            .await
            .and_then(|judged| judged.open(self.world, self.inputs, self.events, self.running));
        Ok(verifying.close(verified, |(_, summary)| summary.clone()).map(|(package, _)| package)?)
    }

    async fn fetch(
        &mut self,
        descriptor: Option<Vec<u8>>,
        attempt: &mut Try,
    ) -> Result<Fetched<W::File>, Trouble> {
        let Self { world, inputs, events, client, mirror, .. } = *self;
        let bytes = match descriptor {
            Some(bytes) => bytes,
            None => client.descriptor(mirror).await?,
        };
        let descriptor = inputs.policy.descriptor(&bytes)?;
        let archive_url = client.archive_url(mirror, descriptor.os_pkg_url())?;
        let mut pieces = match self.shelf.take(self.interface, &descriptor, &archive_url) {
            Some(pieces) => pieces,
            None => {
                let identities = inputs.policy.policy.decryption_identities();
                let file = ArchiveFile::new(world.file("archive")?, identities);
                Pieces::new(self.interface, &descriptor, file)
            }
        };
        attempt.before = pieces.partial.received();
        attempt.bytes = attempt.before;
        let mut meter = Meter::new(events, attempt.before);
        let download = client
            .archive(
                mirror,
                &archive_url,
                &mut pieces.partial,
                self.patience,
                |length| {
                    let admit = |length| memory::admit(events, world.memory(), length);
                    length.map_or(Ok(()), admit)
                },
                |progress| {
                    // A server that began again has brought all of it.
                    attempt.before = attempt.before.min(progress.bytes);
                    attempt.bytes = progress.bytes;
                    attempt.resumed = progress.resumed;
                    meter.show(progress);
                },
            )
            .await;
        let download = match download {
            Ok(download) => download,
            Err(error) => {
                let trouble = Trouble::from(error);
                let failure = self.shelf.put(pieces, trouble.failure);
                return Err(Trouble { failure, ..trouble });
            }
        };
        attempt.bytes = download.len;
        attempt.resumed = download.resumed;
        let (archive, len) = pieces.partial.into_sink().into_file();
        Ok(Fetched { descriptor, archive_url, archive, len, download })
    }

    /// Judges what was fetched; nothing of the archive is read.
    ///
    /// Where the archive is not the one that the descriptor names, it may have been put in the other
    /// one's place after the descriptor was fetched: that is then fetched again, once in a boot.
    async fn authorize(
        &mut self,
        clock: &Clock,
        said: &ClockReport,
        fetched: Fetched<W::File>,
    ) -> Result<Judged<W::File>, Failure> {
        let Self { inputs, events, mirror, .. } = *self;
        let Fetched { descriptor, archive_url, archive, len, download } = fetched;
        let found = Found {
            descriptor_url: mirror.url.to_string(),
            archive_url: archive_url.to_string(),
            sha256: download.sha256,
            len,
            given_back: len,
            descriptor,
            archive,
        };
        let Refused { found, failure } = match found.authorize(inputs, clock, said, events) {
            Ok(judged) => return Ok(judged),
            Err(refused) => *refused,
        };
        if download.sources > 1 {
            return Err(self.shelf.blame_nobody(&failure));
        }
        if failure.code != Code::SignatureWrong {
            return Err(failure);
        }
        let Some(descriptor) = self.other_descriptor(&found.descriptor).await else {
            return Err(failure);
        };
        let verdict = Found { descriptor, ..found }.authorize(inputs, clock, said, events);
        let still_wrong = |refused: &Refused<_>| refused.failure.code == Code::SignatureWrong;
        if verdict.as_ref().is_err_and(|refused| still_wrong(refused)) {
            let detail = format!("{}: the descriptor is another one by now", mirror.url);
            return Err(Failure::new(Code::PackageReplaced, detail));
        }
        info!("{}: the package was replaced during the download", mirror.url);
        verdict.map_err(|refused| refused.failure)
    }

    /// The descriptor that the mirror has now, if it names another archive than this one; asked for
    /// once in a boot.
    async fn other_descriptor(&mut self, old: &Descriptor) -> Option<Descriptor> {
        if !self.shelf.may_look_again(self.interface, &self.mirror.url) {
            return None;
        }
        let bytes = self.client.descriptor(self.mirror).await.ok()?;
        let now = self.inputs.policy.descriptor(&bytes).ok()?;
        (!same_archive(old, &now)).then_some(now)
    }
}

/// A descriptor and an archive, neither of them trusted.
struct Fetched<F> {
    descriptor: Descriptor,
    archive_url: ProvisioningUrl,
    archive: F,
    /// Its length in bytes; less than what came, if that was encrypted.
    len: u64,
    download: fetch::Download,
}

impl<F> Fetched<F> {
    fn summary(&self) -> String {
        let resumed = match self.download.resumed {
            0 => String::new(),
            times => format!(", resumed {times} time(s)"),
        };
        let mixed = match self.download.sources {
            0 | 1 => String::new(),
            sources => format!(", in pieces from {sources} mirrors"),
        };
        format!("{} from {}{resumed}{mixed}", megabytes(self.download.len), self.archive_url)
    }
}
