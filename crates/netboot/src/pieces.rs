//! What came of an archive before its mirror failed, kept for the next try.

use fetch::Partial;
use hostcfg::ProvisioningUrl;
use ospkg::Descriptor;
use report::Code;
use report::Failure;

use crate::archive_file;
use crate::archive_file::ArchiveFile;
use crate::world::Scratch;

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
    pub(crate) fn new(interface: &str, descriptor: &Descriptor, file: ArchiveFile<F>) -> Self
    where
        F: Scratch,
    {
        Self {
            partial: Partial::new(file),
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
    /// if it was this machine that had no room for them, or if they could not be decrypted. Gives
    /// what the failure comes to.
    pub(crate) fn put(&mut self, pieces: Pieces<F>, failure: Failure) -> Failure {
        let no_room =
            matches!(failure.code, Code::MemoryFile | Code::MemoryTooSmall | Code::ArchiveTooLarge);
        let spoilt = archive_file::is_of_decryption(failure.code);
        // Two mirrors may have encrypted the same archive, each to other bytes.
        if spoilt && pieces.partial.is_mixed() {
            return self.blame_nobody(&failure);
        }
        if !no_room && !spoilt && pieces.partial.received() > 0 {
            self.kept = Some(pieces);
        }
        failure
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
