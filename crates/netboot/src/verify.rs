//! A descriptor and its archive, wherever they were found, are judged and unpacked.

use core::fmt::Debug;

use ospkg::Descriptor;
use ospkg::Package;
use report::ClockReport;
use report::Code;
use report::Failure;
use report::PackageReport;
use tracing::debug;
use tracing::info;
use tracing::warn;
use trust::Authorized;
use trust::Clock;
use trust::Sha256Digest;

use crate::events::Event;
use crate::events::Events;
use crate::inputs::Inputs;
use crate::memory;
use crate::mirror::Verified;
use crate::time::clock_report;
use crate::upgrade::Current;
use crate::world::Scratch;
use crate::world::World;

/// A descriptor and an archive, neither of them trusted.
#[derive(Debug)]
pub(crate) struct Found<A> {
    pub(crate) descriptor: Descriptor,
    pub(crate) archive: A,
    /// SHA-256 of what `archive` yields from its first byte to its last.
    pub(crate) sha256: Sha256Digest,
    /// Length of the archive in bytes.
    pub(crate) len: u64,
    /// How many bytes of memory are given back while it is unpacked.
    pub(crate) given_back: u64,
    /// Where they were, for the report.
    pub(crate) descriptor_url: String,
    pub(crate) archive_url: String,
}

/// An archive that may be opened. Only [`Found::authorize`] makes one, so that what is opened has been
/// judged, and is not judged again.
#[derive(Debug)]
pub(crate) struct Judged<A> {
    found: Found<A>,
    authorized: Authorized,
}

/// An archive that may not be opened under its descriptor, and why.
#[derive(Debug)]
pub(crate) struct Refused<A> {
    pub(crate) found: Found<A>,
    pub(crate) failure: Failure,
}

impl<A> Found<A> {
    /// Judges the signatures; nothing of the archive is read. `said` is what has been told of the
    /// clock so far: it is told again if the witnesses of a log know better.
    ///
    /// # Errors
    /// E0404 to E0419.
    pub(crate) fn authorize(
        self,
        inputs: &Inputs,
        clock: &Clock,
        said: &ClockReport,
        events: &dyn Events,
    ) -> Result<Judged<A>, Box<Refused<A>>> {
        let policy = &inputs.policy.policy;
        let endorsements = self.descriptor.endorsements();
        let authorized = match trust::authorize(policy, endorsements, self.sha256, clock) {
            Ok(authorized) => authorized,
            Err(refusal) => {
                let failure = Failure::from_error(&refusal);
                return Err(Box::new(Refused { found: self, failure }));
            }
        };
        let now = authorized.clock();
        if now != clock {
            info!("by the Sigsum witnesses it is {} or later", now.floor());
            let sntp = said.sntp.clone();
            events.on(Event::Time(ClockReport { sntp, ..clock_report(now) }));
        }
        if policy.document().max_cosignature_age().is_some() && !now.is_trusted() {
            warn!(
                "the clock is not trusted: max_cosignature_age was held against {} only, the earliest \
                 that it can be",
                now.floor()
            );
        }
        Ok(Judged { found: self, authorized })
    }
}

impl<A: Debug + Scratch> Judged<A> {
    /// Opens the archive and copies kernel and initramfs out of it. With a line about it.
    ///
    /// # Errors
    /// E0414, E05xx and E06xx.
    pub(crate) fn open<W: World>(
        self,
        world: &W,
        inputs: &Inputs,
        events: &dyn Events,
        running: Option<&Current>,
    ) -> Result<(Verified<W::File>, String), Failure> {
        let Self { found, authorized } = self;
        let Found { mut archive, sha256, len, given_back, .. } = found;
        let mut package_report = PackageReport {
            sha256: sha256.to_string(),
            size: len,
            descriptor_url: found.descriptor_url,
            archive_url: found.archive_url,
            signers: authorized.signer_reports(),
            skipped: authorized.skipped_reports(),
            ..PackageReport::default()
        };
        for signer in &package_report.signers {
            if let Some(sigsum) = &signer.sigsum {
                info!("the signature of {} is public: {sigsum}", signer.subject);
            }
        }
        for skipped in &package_report.skipped {
            warn!("signature {} was skipped: {} {}", skipped.entry, skipped.code, skipped.reason);
        }

        let clock = *authorized.clock();
        archive.rewind().map_err(|error| Failure::new(Code::MemoryFile, error.to_string()))?;
        let package = Package::open(authorized, sha256, archive)
            .map_err(|error| Failure::from_error(&error))?;
        if let Some(running) = running {
            running.check_newer(package.manifest().release)?;
        }
        let (kernel_len, initramfs_len) = (package.kernel_len(), package.initramfs_len());
        memory::admit_extraction(events, world.memory(), given_back, kernel_len, initramfs_len)?;
        package_report.label.clone_from(&package.manifest().label);
        package_report.release = package.manifest().release;
        package_report.not_after = package.manifest().not_after.map(|end| end.to_string());
        package_report.channel = package.manifest().channel.as_ref().map(ToString::to_string);
        if let Some(end) = package_report.not_after.as_deref().filter(|_| !clock.is_trusted()) {
            warn!("clock: untrusted; whether the package's end, {end}, has passed is not known");
        }
        package_report.kernel_size = kernel_len;
        package_report.initramfs_size = initramfs_len;
        let kernel = world.file("kernel")?;
        let initramfs = world.file("initramfs")?;
        let package = package
            .extract(kernel, initramfs, |archive: &mut A, offset| {
                if let Err(error) = archive.release_before(offset) {
                    debug!("memory of the archive is not given back: {error}");
                }
            })
            .map_err(|error| Failure::from_error(&error))?;

        let signers: Vec<&str> =
            package_report.signers.iter().map(|signer| signer.subject.as_str()).collect();
        let summary = format!(
            "{}{} signed by {} of {} needed: {}",
            package_report.label.as_deref().unwrap_or("package"),
            facts(&package_report),
            signers.len(),
            inputs.policy.policy.document().threshold(),
            signers.join(", "),
        );
        events.on(Event::Package(package_report));
        Ok((package, summary))
    }
}

/// What the signed manifest says besides the label, for the console.
fn facts(package: &PackageReport) -> String {
    let channel = package.channel.as_ref().map(|name| format!("channel {name}"));
    let end = package.not_after.as_ref().map(|end| format!("not after {end}"));
    let facts: Vec<String> = [channel, end].into_iter().flatten().collect();
    if facts.is_empty() { String::new() } else { format!(" ({})", facts.join(", ")) }
}
