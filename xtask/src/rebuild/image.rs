//! Rebuilding a boot image or boot medium.

mod contents;

use std::path::Path;
use std::path::PathBuf;

use bootmedia::authenticode;
use ramstrap_cli::Error;
use ramstrap_cli::boot_image::Built;
use ramstrap_cli::inspect;
use ramstrap_cli::inspect::Kind;
use ramstrap_cli::media;
use rebuild::compare;
use rebuild::compare::Parts;
use rebuild::record::Rebuilt;

use super::Failure;
use super::Options;
use super::Outcome;
use super::workshop::Wanted;
use super::workshop::Workshop;
use crate::kernel_build::Which;
use contents::Contents;

/// Section of an image with the signatures for Secure Boot.
const SIGNATURES: &str = "signatures for Secure Boot";

/// What an image does not hold, and who rebuilds it has to give.
#[derive(Clone, Debug, Default)]
pub struct Given {
    /// A kernel that is none of this source tree.
    pub kernel: Option<PathBuf>,
    /// The directory of modules that were chosen from.
    pub modules: Option<PathBuf>,
    /// The directory of firmware that was chosen from.
    pub firmware: Option<PathBuf>,
    /// The directory of UEFI stub and BIOS loaders.
    pub loaders: Option<PathBuf>,
}

/// Builds this image again and compares.
///
/// # Errors
///
/// It cannot be rebuilt, for the reason that is given, or the build fails.
pub fn rebuild(image: &Path, given: &Given, options: &Options) -> Result<Outcome, Failure> {
    let kind = inspect::inspect(image)?.kind;
    let format = format_of(kind).ok_or_else(|| {
        Error::new(format!("{}: {}: that is not built here", image.display(), kind.words())).remedy(
            "give an initramfs, UKI, ISO, disk image or PXE directory of `boot-image build`",
        )
    })?;
    let (original, parts) = inspect::parts(image)?;
    let contents = Contents::read(parts.initramfs.as_deref().unwrap_or_default())
        .map_err(|error| error.on(image.display()))?;
    let built = &contents.built;
    built.check_rebuildable().map_err(|error| error.on(image.display()))?;
    eprintln!(
        "{}: nothing is verified here; what is built from revision {} is compared with it",
        image.display(),
        built.source.revision
    );
    super::check_locked(built.builder.as_ref(), options)
        .map_err(|error| error.on(image.display()))?;
    let workshop = Workshop::open(&built.source, options)?;
    let mut remarks = Vec::new();
    let kernel = kernel(&workshop, (&parts, built), given, options, &mut remarks)?;
    let mut words = contents.words(workshop.out())?;
    if let Some(kernel) = kernel {
        words.push(format!("--kernel={}", absolute(&kernel)?));
    }
    words.extend(chosen(built, given)?);
    words.extend(command_line(&parts)?);
    if built.builder.is_some() {
        words.push("--locked".to_owned());
    }
    let result = make(&workshop, format, (words, given), parts.others.get(SIGNATURES))?;
    let (rebuilt, rebuilt_parts) = inspect::parts(&result)?;
    let comparison = compare::images((&original, &parts), (&rebuilt, &rebuilt_parts));
    let made = Contents::read(rebuilt_parts.initramfs.as_deref().unwrap_or_default())?;
    let toolchain = made.built.toolchain;
    remarks.splice(0..0, built.toolchain.differences(&toolchain));
    if comparison.identical {
        remarks.clear();
    }
    let locked = built.builder.is_some();
    let record = Rebuilt::image(&original, format, &built.source.revision, toolchain);
    let record = Rebuilt { locked, ..record };
    let outcome = Outcome::of(image.to_owned(), comparison, record, remarks)?;
    let kept = options.keep.then(|| workshop.out().to_owned());
    Ok(Outcome { kept, ..outcome })
}

fn format_of(kind: Kind) -> Option<&'static str> {
    match kind {
        Kind::Initramfs => Some("initramfs"),
        Kind::Uki => Some("uki"),
        Kind::Iso => Some("iso"),
        Kind::Disk => Some("disk"),
        Kind::Pxe => Some("pxe"),
        Kind::Kernel | Kind::EfiExecutable => None,
    }
}

/// Builds the image. One that is signed is built without the signature, and gets the original's:
/// nobody but the signer can make it, and it counts for this very image or not at all.
fn make(
    workshop: &Workshop,
    format: &str,
    (words, given): (Vec<String>, &Given),
    signatures: Option<&Vec<u8>>,
) -> Result<PathBuf, Failure> {
    let build = |format: &str, more: Vec<String>, out: &Path| {
        let mut line = vec!["boot-image".to_owned(), "build".to_owned()];
        line.push(format!("--format={format}"));
        line.push(format!("--out={}", out.display()));
        if let Some(loaders) = &given.loaders {
            line.push(format!("--loaders={}", absolute(loaders)?));
        }
        line.extend(more);
        workshop.xtask(&format!("build the image again ({format})"), &line)
    };
    let result = workshop.out().join("result");
    let Some(signatures) = signatures else {
        build(format, words, &result)?;
        return Ok(result);
    };
    let unsigned = workshop.out().join("unsigned.efi");
    build("uki", words, &unsigned)?;
    let bytes = read(&unsigned)?;
    let signed = authenticode::with_signatures(&bytes, signatures)
        .map_err(|error| Error::new(format!("moving the signatures over: {error}")))?;
    let uki = if format == "uki" { result.clone() } else { workshop.out().join("signed.efi") };
    std::fs::write(&uki, signed)
        .map_err(|error| Error::new(format!("cannot write {}: {error}", uki.display())))?;
    if format != "uki" {
        build(format, vec![format!("--uki={}", uki.display())], &result)?;
    }
    Ok(result)
}

/// The kernel to build with: built from source by the checkout, unless one was given. None if the
/// image was built without one.
fn kernel(
    workshop: &Workshop,
    (parts, built): (&Parts, &Built),
    given: &Given,
    options: &Options,
    remarks: &mut Vec<String>,
) -> Result<Option<PathBuf>, Failure> {
    if let Some(kernel) = &given.kernel {
        remarks.push(format!("the kernel is {}, which was given", kernel.display()));
        return Ok(Some(kernel.clone()));
    }
    let Some(recorded) = &built.kernel else {
        return match &parts.kernel {
            None => Ok(None),
            Some(kernel) => Err(Error::new(format!(
                "its kernel (SHA-256 {}) is none of the source tree",
                rebuild::sha256(kernel)
            ))
            .remedy("give that kernel, from who made it, with --kernel FILE")),
        };
    };
    let wanted = Wanted {
        which: Which::Boot,
        key: &recorded.key,
        source_sha256: &recorded.source_sha256,
        locked: built.builder.is_some(),
    };
    workshop.kernel(&wanted, options, remarks).map(Some)
}

/// Words for modules and firmware, which have to be chosen again from what they were chosen from.
fn chosen(built: &Built, given: &Given) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    for option in &built.options {
        let (name, _) = option.split_once('=').unwrap_or((option, ""));
        let directory = match name {
            "--modules" => &given.modules,
            "--firmware" => &given.firmware,
            "--nics" | "--nics-only" | "--module" => {
                words.push(option.clone());
                continue;
            }
            _ => {
                return Err(Error::new(format!("image.json: {option:?} is not known here"))
                    .remedy("rebuild it with a newer ramstrap"));
            }
        };
        let directory = directory.as_deref().ok_or_else(|| {
            let what = name.trim_start_matches('-');
            Error::new(format!("the image was built with {what}, which are not of the source tree"))
                .remedy(format!("give the directory that they were chosen from with {name} DIR"))
        })?;
        words.push(format!("{name}={}", absolute(directory)?));
    }
    Ok(words)
}

/// What was put behind the command line that every medium has.
fn command_line(parts: &Parts) -> Result<Option<String>, Failure> {
    let Some(line) = &parts.command_line else { return Ok(None) };
    let more = line.strip_prefix(media::COMMAND_LINE).ok_or_else(|| {
        Error::new(format!("the command line {line:?} is not one of `boot-image build`"))
            .remedy("rebuild it with the ramstrap of that time")
    })?;
    let more = more.trim();
    Ok((!more.is_empty()).then(|| format!("--cmdline={more}")))
}

fn absolute(path: &Path) -> Result<String, Failure> {
    let found = path.canonicalize();
    let found =
        found.map_err(|error| Error::new(format!("cannot read {}: {error}", path.display())))?;
    Ok(found.to_string_lossy().into_owned())
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path)
        .map_err(|error| Error::new(format!("cannot read {}: {error}", path.display())))
}
