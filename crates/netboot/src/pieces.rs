//! What came of an archive before its mirror failed, kept for the next try.

use std::io;

use fetch::Partial;
use fetch::Sink;
use hostcfg::ProvisioningUrl;
use ospkg::Descriptor;
use report::Code;
use report::Failure;

use crate::world::Scratch;

/// Where the archive is collected.
#[derive(Debug)]
pub(crate) struct ArchiveFile<F>(pub(crate) F);

impl<F: Scratch> Sink for ArchiveFile<F> {
    fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.0.write_all(bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.0.clear()
    }
}

/// An archive that is not complete, and what is known about which one it is.
#[derive(Debug)]
pub(crate) struct Pieces<F> {
    pub(crate) partial: Partial<ArchiveFile<F>>,
    interface: String,
    /// The signatures over its digest.
    signatures: Vec<Vec<u8>>,
}

impl<F> Pieces<F> {
    /// Nothing yet.
    pub(crate) fn new(interface: &str, descriptor: &Descriptor, file: F) -> Self {
        Self {
            partial: Partial::new(ArchiveFile(file)),
            interface: interface.to_owned(),
            signatures: signatures(descriptor),
        }
    }
}

/// Whether two descriptors have a signature in common, and so name the same archive.
pub(crate) fn same_archive(one: &Descriptor, other: &Descriptor) -> bool {
    let named = signatures(other);
    signatures(one).iter().any(|signature| named.contains(signature))
}

fn signatures(descriptor: &Descriptor) -> Vec<Vec<u8>> {
    descriptor.endorsements().iter().map(|endorsement| endorsement.signature.clone()).collect()
}

/// Keeps at most one archive that is not complete.
///
/// Two descriptors that share a signature name the same archive, for an Ed25519 signature is over
/// one digest, and the same key makes the same signature each time. So another mirror may go on
/// where one stopped. Whether the pieces fit is told by the digest in the end; if they do not, it
/// cannot be told which mirror is to blame: nobody is, and from then on each has to serve alone.
///
/// Pieces that came over one interface are never continued over another one.
#[derive(Debug)]
pub(crate) struct Shelf<F> {
    kept: Option<Pieces<F>>,
    alone: bool,
    /// Descriptors that were fetched a second time, and over which interface.
    second_looks: Vec<(String, ProvisioningUrl)>,
}

impl<F> Shelf<F> {
    /// An empty one.
    pub(crate) const fn new() -> Self {
        Self { kept: None, alone: false, second_looks: Vec::new() }
    }

    /// What there is of the archive that this descriptor names, to be continued from `url`. All else
    /// is thrown away, so that its memory is free.
    pub(crate) fn take(
        &mut self,
        interface: &str,
        descriptor: &Descriptor,
        url: &ProvisioningUrl,
    ) -> Option<Pieces<F>> {
        let kept = self.kept.take()?;
        let named = signatures(descriptor);
        let fits = kept.interface == interface
            && kept.signatures.iter().any(|signature| named.contains(signature))
            && (!self.alone || kept.partial.is_from(url));
        fits.then_some(kept)
    }

    /// Keeps what there is: whatever became of its mirror, the digest decides about the bytes. Not
    /// if it was this machine that had no room for them.
    pub(crate) fn put(&mut self, pieces: Pieces<F>, failure: &Failure) {
        let no_room =
            matches!(failure.code, Code::MemoryFile | Code::MemoryTooSmall | Code::ArchiveTooLarge);
        if !no_room && pieces.partial.received() > 0 {
            self.kept = Some(pieces);
        }
    }

    /// Whether a descriptor may be fetched again because the archive is not the one that it names:
    /// once in a boot over each interface.
    pub(crate) fn may_look_again(&mut self, interface: &str, url: &ProvisioningUrl) -> bool {
        let known = |(name, known): &(String, ProvisioningUrl)| name == interface && known == url;
        let new = !self.second_looks.iter().any(known);
        if new {
            self.second_looks.push((interface.to_owned(), url.clone()));
        }
        new
    }

    /// Pieces from several mirrors are not what was signed.
    pub(crate) fn blame_nobody(&mut self, failure: &Failure) -> Failure {
        self.alone = true;
        let detail = format!(
            "pieces from several mirrors are not what was signed; each has to serve alone now ({})",
            failure.detail
        );
        Failure::new(Code::PiecesDiffer, detail)
    }
}
