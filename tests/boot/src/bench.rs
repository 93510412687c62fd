//! What all cases share, made once: kernel, OS package, keys, certificates.

use std::env;
use std::fs;
use std::io::Cursor;
use std::path::Path;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::OnceLock;

use ::ospkg::CreateOptions;
use ::ospkg::Input;
use anyhow::Context;
use anyhow::Result;
use trust::Timestamp;
use xtask::build;
use xtask::kernels;
use xtask::kernels::Choice;
use xtask::kernels::Flavour;
use xtask::kernels::Kernel;
use xtask::minimal;
use xtask::ospkg;

use crate::keys::Authority;
use crate::keys::Signer;
use crate::keys::Validity;
use crate::net::Lab;
use crate::package::Archive;
use crate::package::CMDLINE;
use crate::package::manifest;
use crate::results::Table;
use crate::secure_boot::SecureBoot;
use crate::site::Identities;
use crate::turns::Turns;
use crate::vpn::packages;

/// Seed of the key of staff: always the same, so that the package is, too.
pub(crate) const STAFF: [u8; 32] = *b"staff of the boot tests' servers";

/// As many guests as two cores carry.
pub const GUESTS: usize = 2;

/// What all cases share.
#[derive(Debug)]
pub struct Bench {
    /// Kernel that boots.
    pub kernel: Kernel,
    /// Kernel in the OS package.
    pub os_kernel: Kernel,
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
    secure_boot: OnceLock<SecureBoot>,
    vpn: OnceLock<Archive>,
    tor_relay: OnceLock<Archive>,
    lab: OnceLock<Vec<u8>>,
    /// The lab VM that cases of networks share, if it runs.
    pub shared_lab: Mutex<Option<Lab>>,
    /// How many guests may run at a time.
    pub turns: Turns,
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
        let (kernel, os_kernel) = kernels_under_test()?;
        let kernel_image = fs::read(&os_kernel.image)
            .with_context(|| format!("cannot read {}", os_kernel.image.display()))?;
        let minimal_initramfs = minimal::initramfs(None)?;
        Ok(Self {
            minimal: pack(&kernel_image, &minimal_initramfs)?,
            kernel,
            os_kernel,
            kernel_image,
            minimal_initramfs,
            keys: Keys::generate()?,
            identities: Identities::generate()?,
            secure_boot: OnceLock::new(),
            vpn: OnceLock::new(),
            tor_relay: OnceLock::new(),
            lab: OnceLock::new(),
            shared_lab: Mutex::new(None),
            turns: Turns::new(GUESTS),
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

    /// The minimal OS with another command line, kernel, initramfs, watchdog or release.
    ///
    /// # Errors
    /// If it cannot be packed.
    pub fn os(&self, package: &OsPackage<'_>) -> Result<Archive> {
        let kernel = package.kernel.map(|kernel| {
            fs::read(&kernel.image)
                .with_context(|| format!("cannot read {}", kernel.image.display()))
        });
        let kernel = kernel.transpose()?;
        let kernel = kernel.as_deref().unwrap_or(&self.kernel_image);
        let initramfs = package.initramfs.unwrap_or(&self.minimal_initramfs);
        let cmdline = format!("{CMDLINE} {}", package.cmdline);
        let options = CreateOptions {
            watchdog_seconds: package.watchdog_seconds,
            release: package.release,
            not_after: package.not_after,
            channel: package.channel.map(str::parse).transpose()?,
            ..options(cmdline.trim_end())
        };
        pack_with(kernel, initramfs, &options)
    }

    /// A kernel of the distribution, with its modules.
    ///
    /// # Errors
    /// If it cannot be had.
    pub fn distribution_kernel(&self, flavour: Flavour) -> Result<Kernel> {
        kernels::select(&Choice::Distribution(flavour), &[])
    }

    /// Keys for Secure Boot, made when they are first asked for.
    ///
    /// # Errors
    /// If they cannot be made.
    pub fn secure_boot(&self) -> Result<&SecureBoot> {
        if let Some(made) = self.secure_boot.get() {
            return Ok(made);
        }
        let made = SecureBoot::generate()?;
        Ok(self.secure_boot.get_or_init(|| made))
    }

    /// The initramfs of the lab VM, built when it is first asked for.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn lab(&self) -> Result<&[u8]> {
        if let Some(made) = self.lab.get() {
            return Ok(made);
        }
        let made = ospkg::initramfs(&build::root().join("tests"), "lab")?;
        Ok(self.lab.get_or_init(|| made))
    }

    /// The VPN server's package as its recipe makes it, with [`Self::staff`]'s key; built when it is
    /// first asked for.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn vpn(&self) -> Result<&Archive> {
        if let Some(made) = self.vpn.get() {
            return Ok(made);
        }
        let made = packages::build("vpn", &self.staff())?;
        Ok(self.vpn.get_or_init(|| made))
    }

    /// The Tor relay's package, in the same way.
    ///
    /// # Errors
    /// If it cannot be built.
    pub fn tor_relay(&self) -> Result<&Archive> {
        if let Some(made) = self.tor_relay.get() {
            return Ok(made);
        }
        let made = packages::build("tor-relay", &self.staff())?;
        Ok(self.tor_relay.get_or_init(|| made))
    }

    /// The key of the member of staff who may take VPN servers into service.
    #[must_use]
    pub fn staff(&self) -> provision::Identity {
        provision::Identity::from_seed(&STAFF)
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

/// The boot kernel and the OS kernel that the cases are about: ours. `RAMSTRAP_BOOT_KERNEL` and
/// `RAMSTRAP_OS_KERNEL` may name another bzImage that has all built in.
fn kernels_under_test() -> Result<(Kernel, Kernel)> {
    let of = |variable: &str| match env::var_os(variable) {
        Some(file) => Choice::File { image: file.into(), modules: None },
        None => Choice::Ours,
    };
    let nics = ["virtio-net-pci".to_owned()];
    Ok((
        kernels::select(&of("RAMSTRAP_BOOT_KERNEL"), &nics)?,
        kernels::select_os(&of("RAMSTRAP_OS_KERNEL"))?,
    ))
}

/// What an OS package has in place of what [`Bench::minimal`] has.
#[derive(Clone, Copy, Debug, Default)]
pub struct OsPackage<'a> {
    /// Kernel.
    pub kernel: Option<&'a Kernel>,
    /// Initramfs.
    pub initramfs: Option<&'a [u8]>,
    /// More on the kernel's command line.
    pub cmdline: &'a str,
    /// What the manifest says of the watchdog.
    pub watchdog_seconds: Option<u32>,
    /// What the manifest says of the release.
    pub release: Option<u64>,
    /// What the manifest says of its end.
    pub not_after: Option<Timestamp>,
    /// What the manifest says of the channel.
    pub channel: Option<&'a str>,
}

/// The minimal OS as the product itself packs it.
fn pack(kernel: &[u8], initramfs: &[u8]) -> Result<Archive> {
    pack_with(kernel, initramfs, &options(CMDLINE))
}

fn options(cmdline: &str) -> CreateOptions {
    CreateOptions {
        label: "boot test".to_owned(),
        cmdline: cmdline.to_owned(),
        kernel_name: "vmlinuz".to_owned(),
        initramfs_name: "initramfs".to_owned(),
        ..CreateOptions::default()
    }
}

fn pack_with(kernel: &[u8], initramfs: &[u8], options: &CreateOptions) -> Result<Archive> {
    let mut archive = Cursor::new(Vec::new());
    let input = |data| -> Result<Input<&[u8]>> { Ok(Input { len: len(data)?, data }) };
    ::ospkg::create(&mut archive, options, input(kernel)?, input(initramfs)?)?;
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
