//! `ramstrap uki`: unified kernel images of any kernel and initramfs.

use std::path::Path;
use std::path::PathBuf;

use bootmedia::authenticode;
use clap::Subcommand;
use clap::ValueEnum;
use serde_json::json;

use super::size;
use crate::Error;
use crate::Result;
use crate::dates;
use crate::files;
use crate::media;
use crate::media::Loader;
use crate::media::Loaders;
use crate::media::Parts;
use crate::media::Sbat;
use crate::output::Output;
use crate::secure_boot;

/// Make a UEFI executable, or an ISO image around one, of any kernel and initramfs.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap uki create --kernel vmlinuz --initramfs initramfs.cpio.gz \\
      --out stprov
  ramstrap uki create --kernel vmlinuz --initramfs initramfs.cpio.gz \\
      --format uki,iso \\
      --cmdline 'console=ttyS0 -- --loglevel=debug' \\
      --secure-boot-key db.key --secure-boot-cert db.crt --out signed/stprov";

#[derive(Debug, Subcommand)]
enum What {
    Create(Box<Create>),
}

/// Make a UEFI executable (UKI) of a kernel, an initramfs and a command line, all as they are given.
///
/// For what is no boot image of ours, such as an image that provisions machines. `boot-image build`
/// makes ours, and judges what goes in. The same inputs give the same bytes.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Create {
    /// The kernel, a bzImage with an EFI stub.
    #[arg(long, value_name = "FILE")]
    kernel: PathBuf,
    /// The initramfs, as the kernel unpacks it.
    #[arg(long, value_name = "FILE")]
    initramfs: PathBuf,
    /// All of the kernel's command line; nothing is added.
    #[arg(long, value_name = "TEXT", allow_hyphen_values = true, default_value = "")]
    cmdline: String,
    /// What the image says of itself, in the form of /etc/os-release. Without it: ramstrap's.
    #[arg(long, value_name = "FILE")]
    os_release: Option<PathBuf>,
    /// What to make: NAME.uki, NAME.iso or both.
    #[arg(long, value_enum, value_delimiter = ',', default_value = "uki", value_name = "LIST")]
    format: Vec<Format>,
    /// Directory with linuxx64.efi.stub and, for an ISO, isolinux.bin, ldlinux.c32 and isohdpfx.bin.
    /// Without it: where Debian's packages have them.
    #[arg(long, value_name = "DIR")]
    loaders: Option<PathBuf>,
    /// The UEFI stub alone.
    #[arg(long, value_name = "FILE")]
    stub: Option<PathBuf>,
    /// What .sbat is, in place of the stub's lines and one of ours.
    #[arg(long, value_name = "FILE", conflicts_with = "append_sbat")]
    sbat: Option<PathBuf>,
    /// Lines for .sbat behind the stub's, in place of one of ours.
    #[arg(long, value_name = "FILE")]
    append_sbat: Option<PathBuf>,
    /// Sign it with this RSA key, for firmware with Secure Boot.
    #[arg(long, value_name = "FILE", requires = "secure_boot_cert")]
    secure_boot_key: Option<PathBuf>,
    /// Certificate of that key, which is in the firmware's db.
    #[arg(long, value_name = "FILE", requires = "secure_boot_key")]
    secure_boot_cert: Option<PathBuf>,
    /// The time that it bears: a date, or Unix seconds. Without it: SOURCE_DATE_EPOCH, else now.
    #[arg(
        long, value_name = "DATE", value_parser = dates::parse_or_epoch, env = "SOURCE_DATE_EPOCH",
        hide_env_values = true
    )]
    build_time: Option<i64>,
    /// NAME; NAME.uki and NAME.iso mean the same. Missing directories above it are made.
    #[arg(long, value_name = "NAME")]
    out: PathBuf,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, ValueEnum)]
enum Format {
    /// One UEFI executable.
    Uki,
    /// An image for CD drives and, written with dd, for sticks; BIOS and UEFI.
    Iso,
}

pub(super) fn run(args: Args, output: &mut Output) -> Result<()> {
    match args.what {
        What::Create(args) => create(&args, output),
    }
}

fn create(args: &Create, output: &mut Output) -> Result<()> {
    // `dir/` would be a hidden file in it, named `.uki`.
    if args.out.as_os_str().as_encoded_bytes().ends_with(b"/") || args.out.file_name().is_none() {
        return Err(Error::new(format!("{} is a directory", args.out.display()))
            .remedy("give the name of a file in it, with or without .uki"));
    }
    let iso = args.format.contains(&Format::Iso).then(|| named(&args.out, "iso"));
    let uki = args.format.contains(&Format::Uki).then(|| named(&args.out, "uki"));
    let outputs: Vec<&Path> = uki.iter().chain(&iso).map(PathBuf::as_path).collect();
    if !args.force {
        files::refuse_existing(&outputs)?;
    }
    for out in &outputs {
        files::spare_inputs(out, args.inputs())?;
    }
    let loaders = args.loaders.clone().map_or_else(Loaders::default, Loaders::in_directory);
    let loaders = match &args.stub {
        Some(stub) => loaders.with_stub(stub.clone()),
        None => loaders,
    };
    let mut needed = vec![Loader::Stub];
    if iso.is_some() {
        media::check_iso_tools()?;
        needed.extend([Loader::Isolinux, Loader::Ldlinux, Loader::HybridMbr]);
    }
    for warning in loaders.unpinned(&needed)? {
        output.warning(warning);
    }
    let image = image(args, &loaders)?;
    let build_time = args.build_time.unwrap_or_else(dates::now);
    if let Some(out) = &uki {
        files::write(out, &image, files::PUBLIC, true)?;
        output.field("UKI", format!("{} ({})", out.display(), size(image.len() as u64)));
    }
    if let Some(out) = &iso {
        let parts = Parts::from_uki(&image, build_time)?;
        media::iso(&parts, &image, &loaders, out)?;
        output.field("ISO", out.display());
    }
    let signers: Vec<String> = authenticode::signatures(&image)
        .unwrap_or_default()
        .into_iter()
        .map(|signature| signature.subject)
        .collect();
    output.field(
        "signed by",
        if signers.is_empty() { "nobody".to_owned() } else { signers.join(", ") },
    );
    output.result(json!({ "uki": uki, "iso": iso, "size": image.len(), "signers": signers }));
    Ok(())
}

impl Create {
    fn inputs(&self) -> impl Iterator<Item = &Path> {
        let own = [&self.os_release, &self.loaders, &self.stub, &self.sbat, &self.append_sbat];
        let keys = [&self.secure_boot_key, &self.secure_boot_cert];
        let options = own.into_iter().chain(keys).filter_map(Option::as_deref);
        [self.kernel.as_path(), self.initramfs.as_path()].into_iter().chain(options)
    }
}

fn image(args: &Create, loaders: &Loaders) -> Result<Vec<u8>> {
    let signer = match (&args.secure_boot_key, &args.secure_boot_cert) {
        (Some(key), Some(certificate)) => Some(secure_boot::read_signer(key, certificate)?),
        _ => None,
    };
    let kernel = media::read_kernel(&args.kernel)?;
    let initramfs = files::read_large(&args.initramfs)?;
    let build_time = args.build_time.unwrap_or_else(dates::now);
    let parts = Parts::new(kernel, initramfs, None, build_time)
        .map_err(|error| error.on(args.kernel.display()))?;
    // As it was given: what our own boot images have in front of it is theirs.
    let parts = Parts { command_line: args.cmdline.trim_end_matches('\n').to_owned(), ..parts };
    let text = |path: &Option<PathBuf>| path.as_deref().map(text).transpose();
    let (os_release, sbat, more) =
        (text(&args.os_release)?, text(&args.sbat)?, text(&args.append_sbat)?);
    let sbat = match (&sbat, &more) {
        (Some(lines), _) => Sbat::Only(lines),
        (None, Some(lines)) => Sbat::Append(lines),
        (None, None) => Sbat::Ours,
    };
    media::uki_of(&parts, loaders, signer.as_ref(), os_release.as_deref(), sbat)
}

fn text(path: &Path) -> Result<String> {
    String::from_utf8(files::read(path)?).map_err(|_| {
        Error::new(format!("{} is no text in UTF-8", path.display()))
            .remedy("is it the right file? What goes into this section is plain text")
    })
}

/// `NAME.suffix`, whichever of its names was given.
fn named(out: &Path, suffix: &str) -> PathBuf {
    let stem = match out.extension().and_then(|it| it.to_str()) {
        Some("uki" | "iso") => out.with_extension(""),
        _ => out.to_owned(),
    };
    let mut name = stem.into_os_string();
    name.push(".");
    name.push(suffix);
    PathBuf::from(name)
}
