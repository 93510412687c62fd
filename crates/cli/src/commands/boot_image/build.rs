//! `ramstrap boot-image build`.

use std::path::Path;
use std::path::PathBuf;

use bootmedia::authenticode;
use bootmedia::signer::Signer;
use clap::ValueEnum;

use super::configuration::Inputs;
use super::configuration::Read;
use super::tell;
use crate::Error;
use crate::Result;
use crate::boot_image;
use crate::boot_image::Base;
use crate::commands::FindInit;
use crate::dates;
use crate::files;
use crate::firmware::Firmware;
use crate::firmware::Wanted;
use crate::inspect;
use crate::media;
use crate::media::Loader;
use crate::media::Loaders;
use crate::media::Parts;
use crate::modules::Modules;
use crate::output::Output;
use crate::process_status;
use crate::progress::Progress;
use crate::secure_boot;

const EXAMPLES: &str = "\
Examples:
  ramstrap boot-image build --trust-policy trust-policy/ \\
      --host-config host.json \\
      --kernel bzImage --format iso --out boot.iso
  ramstrap boot-image build --trust-policy trust-policy/ --kernel bzImage \\
      --firmware /lib/firmware --format pxe --out pxe/
  ramstrap boot-image build --trust-policy trust-policy/ --kernel bzImage \\
      --format uki \\
      --secure-boot-key db.key --secure-boot-cert db.crt --out ramstrap.efi
  ramstrap boot-image build --uki ramstrap.signed.efi --format disk \\
      --out stick.img
  ramstrap boot-image build --trust-policy trust-policy/ --init ramstrap-init \\
      --modules modules/6.1.0-25-amd64 --nics-only ixgbe,igb \\
      --build-time 2026-11-21 \\
      --out initramfs.img";

/// Build a boot image: an initramfs (/init, trust policy, host configuration, kernel modules,
/// firmware) alone, or with a kernel as a medium that machines start from.
///
/// Trust policy and host configuration are judged first, exactly as the machine will; nothing is
/// built from what it would refuse. The same inputs give the same bytes.
///
/// The kernel's command line is `console=tty0 console=ttyS0,115200 panic=30 quiet` and, behind it,
/// what --cmdline says.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// What to build.
    #[arg(long, value_enum, default_value_t = Format::Initramfs)]
    pub(super) format: Format,
    #[command(flatten)]
    inputs: Inputs,
    /// What counts as the build's time: what expired before it never boots, whatever the machine's
    /// clock says. A date, or Unix seconds. Without it: SOURCE_DATE_EPOCH, else now.
    #[arg(
        long, value_name = "DATE", value_parser = dates::parse_or_epoch, env = "SOURCE_DATE_EPOCH",
        hide_env_values = true
    )]
    build_time: Option<i64>,
    /// More words for the kernel's command line; of two that set the same, the later one counts.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true)]
    cmdline: Option<String>,
    /// A finished UKI, such as one that was signed elsewhere: iso, pxe and disk hold exactly its
    /// kernel, initramfs and command line.
    #[arg(
        long, value_name = "FILE",
        conflicts_with_all = ["Inputs", "cmdline", "stub", "secure_boot_key"]
    )]
    uki: Option<PathBuf>,
    /// Directory with linuxx64.efi.stub, isolinux.bin, ldlinux.c32 and isohdpfx.bin. Without it:
    /// where Debian's systemd-boot-efi, isolinux and syslinux-common have them.
    #[arg(long, value_name = "DIR")]
    loaders: Option<PathBuf>,
    /// The UEFI stub alone.
    #[arg(long, value_name = "FILE")]
    stub: Option<PathBuf>,
    /// Sign the UKI with this RSA key, for firmware with Secure Boot.
    #[arg(long, value_name = "FILE", requires = "secure_boot_cert")]
    secure_boot_key: Option<PathBuf>,
    /// Certificate of that key, which is in the firmware's db.
    #[arg(long, value_name = "FILE", requires = "secure_boot_key")]
    secure_boot_cert: Option<PathBuf>,
    /// Where the image goes; for pxe, a directory. Missing directories above it are made.
    #[arg(long, value_name = "FILE|DIR")]
    pub(super) out: PathBuf,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
pub(super) enum Format {
    /// A compressed cpio archive for a kernel of your own.
    Initramfs,
    /// One UEFI executable with kernel, initramfs and command line.
    Uki,
    /// An image for CD drives and, written with dd, for sticks; BIOS and UEFI.
    Iso,
    /// A directory for TFTP and HTTP servers: iPXE, UEFI PXE, UEFI HTTP boot.
    Pxe,
    /// An image for a small disk or stick; UEFI.
    Disk,
}

/// What was built, before it is written.
#[derive(Debug)]
pub(super) struct Made {
    pub(super) image: Image,
    pub(super) build_time: i64,
    /// What the image consists of, in bytes.
    pub(super) sizes: Vec<(&'static str, usize)>,
    /// Nothing if a finished UKI was given.
    pub(super) from: Option<From>,
    /// Whether passwords or keys are in it, which nobody else on this computer is to read.
    pub(super) secret: bool,
}

#[derive(Debug)]
pub(super) enum Image {
    Initramfs(Vec<u8>),
    Medium { parts: Parts, uki: Vec<u8>, signed: bool },
}

#[derive(Debug)]
pub(super) struct From {
    pub(super) init_file: PathBuf,
    pub(super) init_len: usize,
    pub(super) modules: Option<Modules>,
    pub(super) firmware: Option<Firmware>,
    pub(super) wanted: Wanted,
}

pub(super) fn run(args: &Args, output: &mut Output, find_init: FindInit<'_>) -> Result<()> {
    args.check()?;
    args.spare_inputs()?;
    let loaders = args.loaders();
    for warning in loaders.unpinned(args.needed_loaders())? {
        output.warning(warning);
    }
    if args.format == Format::Iso {
        media::check_iso_tools()?;
    }
    let signer = args.signer()?;
    let made = match &args.uki {
        Some(file) => from_uki(file, args.build_time)?,
        None => from_inputs(args, (&loaders, signer.as_ref()), output, find_init)?,
    };
    let mode = args.mode(&made, output);
    write(args, &made.image, &loaders, mode)?;
    tell::tell(args, &made, output)
}

impl Args {
    /// What the parser of the command line cannot say.
    fn check(&self) -> Result<()> {
        let format = self.format.to_possible_value();
        let format = format.as_ref().map_or("", |value| value.get_name());
        let initramfs = self.format == Format::Initramfs;
        if !initramfs && !self.inputs.has_kernel() && self.uki.is_none() {
            return Err(Error::usage(format!("--format {format} needs a kernel"))
                .remedy("give a bzImage with --kernel FILE"));
        }
        if self.uki.is_some() && matches!(self.format, Format::Initramfs | Format::Uki) {
            return Err(Error::usage(format!("--uki cannot be made into --format {format}"))
                .remedy("iso, pxe and disk can be made from a finished UKI"));
        }
        if initramfs && self.cmdline.is_some() {
            return Err(Error::usage("an initramfs has no command line").remedy(
                "say it to the loader that starts the kernel, or choose another --format",
            ));
        }
        if initramfs && self.secure_boot_key.is_some() {
            return Err(Error::usage("an initramfs cannot be signed for Secure Boot")
                .remedy("choose --format uki, iso, pxe or disk"));
        }
        Ok(())
    }

    /// An earlier image is replaced without a question; what this one is made of is not.
    fn spare_inputs(&self) -> Result<()> {
        let own = [&self.uki, &self.loaders, &self.stub];
        let keys = [&self.secure_boot_key, &self.secure_boot_cert];
        let own = own.into_iter().chain(keys).filter_map(Option::as_deref);
        files::spare_inputs(&self.out, self.inputs.paths().chain(own))
    }

    /// Who may read the image: with secrets in it, its owner alone. A web server must read all of
    /// what is made for it.
    fn mode(&self, made: &Made, output: &mut Output) -> u32 {
        match (made.secret, self.format) {
            (false, _) => files::PUBLIC,
            (true, Format::Pxe) => {
                output.warning(
                    "the image holds secrets (passwords of the host configuration, or keys), and \
                     whoever can ask the server that it is put on can read them",
                );
                // Who has closed new files to others means these first of all.
                let mode = files::SECRET | (files::PUBLIC & !process_status::umask());
                if mode != files::PUBLIC {
                    output.note(format!(
                        "note: as your umask says, its files have mode {mode:04o}: a web server of \
                         another user cannot read them"
                    ));
                }
                mode
            }
            (true, _) => {
                output.note(
                    "note: the image holds secrets (passwords of the host configuration, or keys), \
                     so that only you can read it (mode 0600)",
                );
                files::SECRET
            }
        }
    }

    fn loaders(&self) -> Loaders {
        let loaders = self.loaders.clone().map_or_else(Loaders::default, Loaders::in_directory);
        match &self.stub {
            Some(stub) => loaders.with_stub(stub.clone()),
            None => loaders,
        }
    }

    fn needed_loaders(&self) -> &'static [Loader] {
        use Loader::HybridMbr;
        use Loader::Isolinux;
        use Loader::Ldlinux;
        use Loader::Stub;
        match (self.format, &self.uki) {
            (Format::Initramfs, _) | (Format::Pxe | Format::Disk | Format::Uki, Some(_)) => &[],
            (Format::Iso, Some(_)) => &[Isolinux, Ldlinux, HybridMbr],
            (Format::Iso, None) => &[Stub, Isolinux, Ldlinux, HybridMbr],
            (Format::Pxe | Format::Disk | Format::Uki, None) => &[Stub],
        }
    }

    fn signer(&self) -> Result<Option<Signer>> {
        let (Some(key), Some(certificate)) = (&self.secure_boot_key, &self.secure_boot_cert) else {
            return Ok(None);
        };
        secure_boot::read_signer(key, certificate).map(Some)
    }
}

fn from_uki(file: &Path, build_time: Option<i64>) -> Result<Made> {
    let uki = files::read_large(file)?;
    let parts = Parts::from_uki(&uki, 0).map_err(|error| error.on(file.display()))?;
    secure_boot::refuse_changed(&uki).map_err(|error| error.on(file.display()))?;
    // What the image itself says, so that the same UKI gives the same medium on any day.
    let said = inspect::build_time(&parts.initramfs);
    let build_time = said.or(build_time).unwrap_or_else(dates::now);
    let signed = authenticode::signatures(&uki).is_ok_and(|signatures| !signatures.is_empty());
    let sizes = vec![("kernel", parts.kernel.len()), ("initramfs", parts.initramfs.len())];
    let parts = Parts { build_time, ..parts };
    let image = Image::Medium { parts, uki, signed };
    // What nobody else could read stays so.
    let secret = files::is_private(file);
    Ok(Made { image, build_time, sizes, from: None, secret })
}

fn from_inputs(
    args: &Args,
    (loaders, signer): (&Loaders, Option<&Signer>),
    output: &mut Output,
    find_init: FindInit<'_>,
) -> Result<Made> {
    let build_time = args.build_time.unwrap_or_else(dates::now);
    let Read { config, kernel, init_file, init, modules, firmware, wanted } =
        args.inputs.read(build_time, output, find_init)?;
    // Before what takes seconds: a command line that is too long is known at once.
    let parts = match kernel {
        Some(kernel) if args.format != Format::Initramfs => {
            Some(Parts::new(kernel, Vec::new(), args.cmdline.as_deref(), build_time)?)
        }
        _ => None,
    };
    let secret = config.holds_secrets();
    let base = Base { init, modules };
    let packed = {
        let _progress = Progress::spinner("compressing /init and modules");
        base.pack().map_err(|error| error.on(init_file.display()))?
    };
    let mut initramfs = boot_image::assemble(&packed, &config)?;
    let base_len = packed.as_bytes().len();
    let mut sizes = vec![("base", base_len), ("configuration", initramfs.len() - base_len)];
    if let Some(firmware) = &firmware {
        let _progress = Progress::spinner("compressing firmware");
        let blobs = firmware.pack()?;
        sizes.push(("firmware", blobs.len()));
        initramfs.extend_from_slice(&blobs);
    }
    let image = match parts {
        Some(parts) => {
            sizes.insert(0, ("kernel", parts.kernel.len()));
            let parts = Parts { initramfs, ..parts };
            let uki = media::uki(&parts, loaders, signer)?;
            Image::Medium { parts, uki, signed: signer.is_some() }
        }
        None => Image::Initramfs(initramfs),
    };
    let Base { init, modules } = base;
    let from = Some(From { init_file, init_len: init.len(), modules, firmware, wanted });
    Ok(Made { image, build_time, sizes, from, secret })
}

fn write(args: &Args, image: &Image, loaders: &Loaders, mode: u32) -> Result<()> {
    let file = |bytes: &[u8]| files::write(&args.out, bytes, mode, true);
    match image {
        Image::Initramfs(image) => file(image),
        Image::Medium { parts, uki, .. } => match args.format {
            Format::Initramfs => file(&parts.initramfs),
            Format::Uki => file(uki),
            Format::Disk => file(&media::disk(uki)?),
            Format::Iso => media::iso_as(mode, parts, uki, loaders, &args.out),
            Format::Pxe => media::pxe_as(mode, parts, uki, &args.out),
        },
    }
}
