//! What all cases share, made once: kernel, OS package, keys, certificates.

use std::io::Cursor;
use std::path::Path;
use std::path::PathBuf;

use anyhow::Context;
use anyhow::Result;
use ospkg::CreateOptions;
use ospkg::Input;
use xtask::kernels;
use xtask::kernels::Kernel;
use xtask::minimal;

use crate::keys::Authority;
use crate::keys::Signer;
use crate::keys::Validity;
use crate::package::Archive;
use crate::package::CMDLINE;
use crate::package::manifest;
use crate::results::Table;
use crate::site::Identities;

/// What all cases share.
#[derive(Debug)]
pub struct Bench {
    /// Kernel that boots, and that the OS package holds.
    pub kernel: Kernel,
    /// The bytes of that kernel.
    pub kernel_image: Vec<u8>,
    /// The initramfs of the minimal OS.
    pub minimal_initramfs: Vec<u8>,
    /// Archive of the minimal OS, good in every way.
    pub minimal: Archive,
    /// Signers of all kinds.
    pub keys: Keys,
    /// What servers prove themselves with.
    pub identities: Identities,
    /// Results.
    pub table: Table,
    /// Where logs and results go.
    pub output: PathBuf,
}

impl Bench {
    /// Makes everything that the cases share. Logs go below `output`.
    ///
    /// # Errors
    /// If a part of it cannot be made.
    pub fn set_up(output: &Path, table: Table) -> Result<Self> {
        let kernel = kernels::select(&kernels::Choice::default(), &["virtio-net-pci".to_owned()])?;
        let kernel_image = std::fs::read(&kernel.image)
            .with_context(|| format!("cannot read {}", kernel.image.display()))?;
        let minimal_initramfs = minimal::initramfs(None)?;
        Ok(Self {
            minimal: pack(&kernel_image, &minimal_initramfs)?,
            kernel,
            kernel_image,
            minimal_initramfs,
            keys: Keys::generate()?,
            identities: Identities::generate()?,
            table,
            output: output.to_owned(),
        })
    }

    /// The minimal OS with so many bytes more in its initramfs.
    ///
    /// # Errors
    /// If it cannot be packed.
    pub fn os_with_ballast(&self, bytes: u64) -> Result<Archive> {
        pack(&self.kernel_image, &minimal::initramfs(Some(bytes))?)
    }

    /// The minimal OS in a compressed archive, not packed by the product.
    ///
    /// # Errors
    /// If it cannot be packed.
    pub fn minimal_deflated(&self) -> Result<Archive> {
        let files = [
            ("boot/vmlinuz", &self.kernel_image[..]),
            ("boot/initramfs", &self.minimal_initramfs[..]),
        ];
        Archive::deflated(&manifest("boot/vmlinuz", "boot/initramfs"), &files)
    }
}

/// The minimal OS as the product itself packs it.
fn pack(kernel: &[u8], initramfs: &[u8]) -> Result<Archive> {
    let options = CreateOptions {
        label: "boot test".to_owned(),
        cmdline: CMDLINE.to_owned(),
        kernel_name: "vmlinuz".to_owned(),
        initramfs_name: "initramfs".to_owned(),
        watchdog_seconds: None,
    };
    let mut archive = Cursor::new(Vec::new());
    let input = |data| -> Result<Input<&[u8]>> { Ok(Input { len: len(data)?, data }) };
    ospkg::create(&mut archive, &options, input(kernel)?, input(initramfs)?)?;
    Ok(Archive::of(archive.into_inner()))
}

fn len(bytes: &[u8]) -> Result<u64> {
    Ok(u64::try_from(bytes.len())?)
}

/// Signers of all kinds.
#[derive(Debug)]
pub struct Keys {
    /// The root in the trust policy.
    pub root: Authority,
    /// Three good signers under it.
    pub signers: [Signer; 3],
    /// A signer under a root that nobody knows.
    pub foreign: Signer,
    /// Its certificate has expired.
    pub expired: Signer,
    /// Its certificate is not valid yet.
    pub not_yet: Signer,
    /// An RSA key under the root.
    pub rsa: Signer,
    /// An ECDSA key under the root.
    pub ecdsa: Signer,
    /// The key of the first signer under a second certificate.
    pub again: Signer,
    /// A certificate for TLS servers under the root.
    pub tls_only: Signer,
}

impl Keys {
    fn generate() -> Result<Self> {
        let root = Authority::new("boot test root")?;
        let signer = |name| root.signer(name, Validity::Now);
        let signers = [signer("signer 1")?, signer("signer 2")?, signer("signer 3")?];
        Ok(Self {
            foreign: Authority::new("foreign root")?.signer("foreign", Validity::Now)?,
            expired: root.signer("expired", Validity::Expired)?,
            not_yet: root.signer("not yet", Validity::NotYet)?,
            rsa: root.rsa()?,
            ecdsa: root.ecdsa()?,
            again: root.again(&signers[0], "signer 1 again")?,
            tls_only: root.tls_only("tls only")?,
            signers,
            root,
        })
    }

    /// The first two signers: what the threshold asks for.
    #[must_use]
    pub const fn two(&self) -> [&Signer; 2] {
        [&self.signers[0], &self.signers[1]]
    }
}
