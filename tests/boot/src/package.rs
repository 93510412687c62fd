//! OS packages as the tests need them: a good one, and every kind of bad one.
//!
//! Archives and descriptors are written here, not by the product: a test has to be able to write
//! what the product refuses to write.

use std::io::Cursor;
use std::io::Write;
use std::sync::Arc;

use anyhow::Result;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use trust::Sha256Digest;
use zip::CompressionMethod;
use zip::ZipWriter;
use zip::write::SimpleFileOptions;

use crate::keys::Signer;

/// Bytes that several servers share.
pub type Bytes = Arc<[u8]>;

/// The archive of an OS package.
#[derive(Clone, Debug)]
pub struct Archive {
    /// The ZIP file.
    pub bytes: Bytes,
}

impl Archive {
    /// An archive of any bytes.
    pub fn of(bytes: impl Into<Bytes>) -> Self {
        Self { bytes: bytes.into() }
    }

    /// A ZIP file with this manifest and these files, stored as they are.
    ///
    /// # Errors
    /// If the ZIP library refuses.
    pub fn zip(manifest: &[u8], files: &[(&str, &[u8])]) -> Result<Self> {
        Self::zip_of(&[files, &[("manifest.json", manifest)]].concat(), CompressionMethod::Stored)
    }

    /// The same, but compressed, as other writers of OS packages do.
    ///
    /// # Errors
    /// If the ZIP library refuses.
    pub fn deflated(manifest: &[u8], files: &[(&str, &[u8])]) -> Result<Self> {
        let files = [files, &[("manifest.json", manifest)]].concat();
        Self::zip_of(&files, CompressionMethod::Deflated)
    }

    /// A ZIP file with these files and nothing that says what they are.
    ///
    /// # Errors
    /// If the ZIP library refuses.
    pub fn zip_without_manifest(files: &[(&str, &[u8])]) -> Result<Self> {
        Self::zip_of(files, CompressionMethod::Stored)
    }

    fn zip_of(files: &[(&str, &[u8])], method: CompressionMethod) -> Result<Self> {
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        let options = SimpleFileOptions::default().compression_method(method);
        zip.add_directory("boot/", options)?;
        for (name, content) in files {
            zip.start_file(*name, options)?;
            zip.write_all(content)?;
        }
        Ok(Self::of(zip.finish()?.into_inner()))
    }

    /// Length in bytes; never 0.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an archive is never empty")]
    pub fn len(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// The archive after a change.
    #[must_use]
    pub fn changed(&self, change: impl FnOnce(&mut Vec<u8>)) -> Self {
        let mut bytes = self.bytes.to_vec();
        change(&mut bytes);
        Self::of(bytes)
    }

    /// A descriptor of this archive, signed by these signers in this order.
    ///
    /// # Errors
    /// If a signer cannot sign.
    pub fn descriptor(&self, signers: &[&Signer]) -> Result<Descriptor> {
        let digest = Sha256Digest::of(&self.bytes);
        let sign = |signer: &&Signer| signer.sign(digest.as_bytes());
        Ok(Descriptor {
            os_pkg_url: "os.zip".to_owned(),
            certificates: signers.iter().map(|signer| signer.pem.clone()).collect(),
            signatures: signers.iter().map(sign).collect::<Result<_>>()?,
        })
    }
}

/// Kernel command line of the OS. A busy host's timer is no reason to give up.
pub const CMDLINE: &str = "no_timer_check console=ttyS0 panic=-1";

/// A manifest for [`Archive::zip`].
#[must_use]
pub fn manifest(kernel: &str, initramfs: &str) -> Vec<u8> {
    manifest_with_cmdline(kernel, initramfs, CMDLINE)
}

/// A manifest with another kernel command line.
#[must_use]
pub fn manifest_with_cmdline(kernel: &str, initramfs: &str, cmdline: &str) -> Vec<u8> {
    json!({
        "version": 1,
        "label": "boot test",
        "kernel": kernel,
        "initramfs": initramfs,
        "cmdline": cmdline,
    })
    .to_string()
    .into_bytes()
}

/// The descriptor of an OS package, every part of which a test can change.
#[derive(Clone, Debug)]
pub struct Descriptor {
    /// Where the archive is, relative to the descriptor.
    pub os_pkg_url: String,
    /// Certificates in PEM.
    pub certificates: Vec<String>,
    /// Signatures, raw.
    pub signatures: Vec<Vec<u8>>,
}

impl Descriptor {
    /// The descriptor after a change.
    #[must_use]
    pub fn changed(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// The file that a server serves.
    #[must_use]
    pub fn to_json(&self) -> Bytes {
        let certificates = self.certificates.iter().map(|pem| STANDARD.encode(pem));
        let signatures = self.signatures.iter().map(|signature| STANDARD.encode(signature));
        let json = json!({
            "version": 1,
            "os_pkg_url": self.os_pkg_url,
            "certificates": certificates.collect::<Vec<_>>(),
            "signatures": signatures.collect::<Vec<_>>(),
        });
        json.to_string().into_bytes().into()
    }
}
