//! One try at one mirror: fetch what it has, verify it, open it.

use std::io;
use std::io::Seek;
use std::io::Write;

use fetch::Client;
use fetch::Sink;
use hostcfg::ProvisioningUrl;
use kexec_rs::MemFile;
use ospkg::Descriptor;
use ospkg::Package;
use ospkg::VerifiedPackage;
use report::Code;
use report::Failure;
use report::MirrorReport;
use report::PackageReport;
use report::Stage;
use report::micros;
use tracing::debug;
use tracing::warn;

use crate::events::Event;
use crate::events::Events;
use crate::events::Running;
use crate::inputs::Inputs;
use crate::load::kexec_failure;
use crate::memory;
use crate::meter::Meter;
use crate::meter::megabytes;
use crate::upgrade::Current;

/// What may be started, in memory files of its own.
pub type Verified = VerifiedPackage<MemFile, MemFile>;

/// One try at one mirror, for the report.
#[derive(Debug)]
pub(crate) struct Try {
    start_us: u64,
    bytes: u64,
    resumed: u32,
}

impl Try {
    /// Begins a try.
    pub(crate) fn new(events: &dyn Events) -> Self {
        Self { start_us: micros(events.elapsed()), bytes: 0, resumed: 0 }
    }

    /// The entry for the boot report.
    pub(crate) fn report(
        &self,
        interface: &str,
        url: &ProvisioningUrl,
        failure: Option<&Failure>,
    ) -> MirrorReport {
        MirrorReport {
            url: url.to_string(),
            interface: interface.to_owned(),
            start_us: self.start_us,
            bytes: self.bytes,
            resumed: self.resumed,
            failure: failure.cloned(),
        }
    }
}

/// Fetches and verifies what one mirror has. Where an OS looks for its successor, it must be newer
/// than what is `running`.
pub(crate) async fn serve(
    inputs: &Inputs,
    events: &dyn Events,
    client: &Client,
    url: &ProvisioningUrl,
    descriptor: Option<Vec<u8>>,
    running: Option<&Current>,
    attempt: &mut Try,
) -> Result<Verified, Failure> {
    let fetching = Running::begin(events, Stage::Fetch);
    let fetched = fetch(events, client, url, descriptor, attempt).await;
    let fetched = fetching.close(fetched, Fetched::summary)?;

    let verifying = Running::begin(events, Stage::Verify);
    let verified = verify(inputs, events, url, fetched, running);
    verifying.close(verified, |(_, summary)| summary.clone()).map(|(package, _)| package)
}

/// A descriptor and an archive, neither of them trusted.
struct Fetched {
    descriptor: Descriptor,
    archive_url: ProvisioningUrl,
    archive: MemFile,
    download: fetch::Download,
}

impl Fetched {
    fn summary(&self) -> String {
        let resumed = match self.download.resumed {
            0 => String::new(),
            times => format!(", resumed {times} time(s)"),
        };
        format!("{} from {}{resumed}", megabytes(self.download.len), self.archive_url)
    }
}

async fn fetch(
    events: &dyn Events,
    client: &Client,
    url: &ProvisioningUrl,
    descriptor: Option<Vec<u8>>,
    attempt: &mut Try,
) -> Result<Fetched, Failure> {
    let bytes = match descriptor {
        Some(bytes) => bytes,
        None => client.descriptor(url).await.map_err(|error| error.failure())?,
    };
    let descriptor = Descriptor::parse(&bytes).map_err(|error| Failure::from_error(&error))?;
    let archive_url =
        client.archive_url(url, descriptor.os_pkg_url()).map_err(|error| error.failure())?;
    let mut archive = ArchiveFile(MemFile::create("archive").map_err(kexec_failure)?);
    let mut meter = Meter::new(events);
    let download = client
        .archive(
            &archive_url,
            &mut archive,
            |length| length.map_or(Ok(()), |length| memory::admit(events, length)),
            |progress| {
                attempt.bytes = progress.bytes;
                attempt.resumed = progress.resumed;
                meter.show(progress);
            },
        )
        .await
        .map_err(|error| error.failure())?;
    attempt.bytes = download.len;
    attempt.resumed = download.resumed;
    Ok(Fetched { descriptor, archive_url, archive: archive.0, download })
}

/// Judges what was fetched; the archive is opened only once its digest is authorised.
fn verify(
    inputs: &Inputs,
    events: &dyn Events,
    url: &ProvisioningUrl,
    fetched: Fetched,
    running: Option<&Current>,
) -> Result<(Verified, String), Failure> {
    let Fetched { descriptor, archive_url, mut archive, download } = fetched;
    let authorized = trust::authorize(
        &inputs.policy.policy,
        descriptor.endorsements(),
        download.sha256,
        &inputs.clock,
    )
    .map_err(|refusal| Failure::from_error(&refusal))?;
    let mut package_report = PackageReport {
        sha256: download.sha256.to_string(),
        size: download.len,
        descriptor_url: url.to_string(),
        archive_url: archive_url.to_string(),
        signers: authorized.signer_reports(),
        skipped: authorized.skipped_reports(),
        ..PackageReport::default()
    };
    for skipped in &package_report.skipped {
        warn!("signature {} was skipped: {} {}", skipped.entry, skipped.code, skipped.reason);
    }

    archive.rewind().map_err(|error| Failure::new(Code::MemoryFile, error.to_string()))?;
    let package = Package::open(authorized, download.sha256, archive)
        .map_err(|error| Failure::from_error(&error))?;
    if let Some(running) = running {
        running.check_newer(package.manifest().release)?;
    }
    memory::admit_extraction(events, download.len, package.kernel_len(), package.initramfs_len())?;
    package_report.label.clone_from(&package.manifest().label);
    package_report.release = package.manifest().release;
    package_report.kernel_size = package.kernel_len();
    package_report.initramfs_size = package.initramfs_len();
    let kernel = MemFile::create("kernel").map_err(kexec_failure)?;
    let initramfs = MemFile::create("initramfs").map_err(kexec_failure)?;
    let package = package
        .extract(kernel, initramfs, |archive: &mut MemFile, offset| {
            if let Err(error) = archive.release_before(offset) {
                debug!("memory of the archive is not given back: {error}");
            }
        })
        .map_err(|error| Failure::from_error(&error))?;

    let signers: Vec<&str> =
        package_report.signers.iter().map(|signer| signer.subject.as_str()).collect();
    let summary = format!(
        "{} signed by {} of {} needed: {}",
        package_report.label.as_deref().unwrap_or("package"),
        signers.len(),
        inputs.policy.policy.document().threshold(),
        signers.join(", "),
    );
    events.on(Event::Package(package_report));
    Ok((package, summary))
}

/// Where the archive is collected.
struct ArchiveFile(MemFile);

impl Sink for ArchiveFile {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.0.clear().map_err(io::Error::other)
    }
}
