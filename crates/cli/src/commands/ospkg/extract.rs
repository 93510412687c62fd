//! `ramstrap ospkg extract`.

use core::cell::OnceCell;
use std::fs::File;
use std::io::Seek;
use std::path::PathBuf;

use ospkg::Manifest;
use rebuild::compare;
use serde_json::json;

use super::judge;
use super::judge::Judge;
use super::reading;
use super::reading::Reader;
use crate::Error;
use crate::Result;
use crate::commands::size;
use crate::files;
use crate::files::Noting;
use crate::new_directory::NewDirectory;
use crate::output::Output;
use crate::package;
use crate::package::Names;

const MANIFEST: &str = "manifest.json";
const KERNEL: &str = "kernel";
const INITRAMFS: &str = "initramfs";
const CMDLINE: &str = "cmdline";

/// Take an OS package apart: `kernel`, `initramfs`, `cmdline` and `manifest.json` in a new directory.
///
/// Only what a machine with this trust policy would boot is taken apart, unless --unverified is said.
/// Both files may be encrypted with age, to an identity of the trust policy or of --identity.
/// Names inside the archive play no part in where files go; the directory appears whole or not at
/// all. Exit status: 0 done, 1 refused or unreadable, 2 wrong usage.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    judge: Judge,
    /// Take it apart whoever signed it, if anybody did. Do not run what comes out.
    #[arg(long, group = "whose", conflicts_with_all = ["threshold", "at"])]
    unverified: bool,
    /// Age identities for files that are encrypted, in place of the trust policy's own.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// A directory that does not exist, or is empty. Missing directories above it are made.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// The descriptor; the archive is NAME.zip beside it.
    #[arg(value_name = "NAME.json")]
    descriptor: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg extract --trust-policy trust-policy/ --out parts os.json
  ramstrap ospkg extract --unverified --out parts os.json
  qemu-system-x86_64 -m 2G -nographic -kernel parts/kernel \\
      -initrd parts/initramfs -append \"$(cat parts/cmdline)\"";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let names = Names::of_descriptor(&args.descriptor)?;
    let given = reading::identities(args.identity.as_deref())?;
    let policy = match args.unverified {
        true => None,
        false => Some(args.judge.policy(output)?),
    };
    let reader = Reader::new(&names, given.as_ref(), policy.as_ref());
    let mut archive = reader.archive()?.plain;
    let (digest, _) = names.digest_archive(&mut archive)?;
    let authorized = if let Some(policy) = &policy {
        let descriptor = reader.descriptor()?.plain;
        trust::authorize(policy, descriptor.endorsements(), digest, &args.judge.clock())
            .map_err(|refusal| judge::refused(&refusal).on(names.descriptor.display()))?
    } else {
        output.warning(format!(
            "{} is not verified: nobody vouches for what comes out of it",
            names.archive.display()
        ));
        package::anybody(digest)?
    };
    let signers: Vec<report::SignerReport> = match args.unverified {
        true => Vec::new(),
        false => authorized.signers().iter().map(Into::into).collect(),
    };
    let directory = NewDirectory::create(&args.out, 0o755)?;
    refuse_occupied(args)?;
    let place = |name| directory.start(name, files::PUBLIC);
    let (kernel, initramfs) = (place(KERNEL)?, place(INITRAMFS)?);
    let document =
        archive.try_clone().map_err(|error| Error::io("read", &names.archive, &error))?;
    let failed = OnceCell::new();
    let (kernel, initramfs) = (Noting::new(kernel, &failed), Noting::new(initramfs, &failed));
    let package = package::open_into(&names, authorized, digest, archive, kernel, initramfs);
    let package = package.map_err(|error| match failed.get() {
        Some(failed) => Error::io("write", &args.out, failed),
        None => error,
    })?;
    let (_, manifest, kernel, initramfs) = package.into_parts();
    let document = verbatim(&names, document, &manifest)?;
    let cmdline = manifest.cmdline.unwrap_or_default();
    directory.file(MANIFEST, &document, files::PUBLIC)?;
    directory.file(CMDLINE, format!("{cmdline}\n").as_bytes(), files::PUBLIC)?;
    let length = |file: Noting<'_, File>| file.into_inner().metadata().map_or(0, |data| data.len());
    let (kernel, initramfs) = (length(kernel), length(initramfs));
    directory.publish()?;
    let place = |name| args.out.join(name);
    output.field("kernel", format!("{} ({})", place(KERNEL).display(), size(kernel)));
    output.field("initramfs", format!("{} ({})", place(INITRAMFS).display(), size(initramfs)));
    output.field("cmdline", format!("{}: {cmdline}", place(CMDLINE).display()));
    output.field("manifest", place(MANIFEST).display());
    for signer in &signers {
        output.field("signed by", format!("{} (until {})", signer.subject, signer.not_after));
    }
    output.result(json!({
        "verified": !args.unverified,
        "sha256": digest.to_string(),
        "signers": signers,
        "out": args.out,
        "kernel": place(KERNEL),
        "kernel_size": kernel,
        "initramfs": place(INITRAMFS),
        "initramfs_size": initramfs,
        "cmdline": cmdline,
        "manifest": place(MANIFEST),
    }));
    Ok(())
}

/// Before anything is unpacked; renaming would refuse it only then.
fn refuse_occupied(args: &Args) -> Result<()> {
    let out = &args.out;
    let empty = || std::fs::read_dir(out).is_ok_and(|mut entries| entries.next().is_none());
    match out.symlink_metadata() {
        Err(_) => Ok(()),
        Ok(found) if found.is_dir() && empty() => Ok(()),
        Ok(_) => Err(Error::new(format!("{} is there already, and not empty", out.display()))
            .remedy("name a directory that does not exist")),
    }
}

/// The manifest as it stands in the archive, with the keys that we do not know; it must be the one
/// that was judged.
fn verbatim(names: &Names, mut archive: File, judged: &Manifest) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::io("read", &names.archive, &error);
    archive.rewind().map_err(failed)?;
    let document = compare::entry(archive, MANIFEST, ospkg::MAX_MANIFEST_LEN)
        .map_err(|error| Error::from(error).on(names.archive.display()))?;
    if Manifest::parse(&document).is_ok_and(|manifest| manifest == *judged) {
        return Ok(document);
    }
    Err(Error::new(format!("{} has more than one {MANIFEST}", names.archive.display()))
        .remedy("make the package anew with `ramstrap ospkg create`"))
}
