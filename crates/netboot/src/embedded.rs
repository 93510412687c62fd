//! The package that the boot image itself holds: no network is asked for it, and no other rule
//! judges it than one that came from afar.
//!
//! The archive is in memory already. It is hashed and unpacked where it lies, under no name any
//! more, and its memory is given back while kernel and initramfs are copied out of it.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::path::Path;
use std::path::PathBuf;

use hostcfg::PackageName;
use kexec_rs::MemFile;
use ospkg::Descriptor;
use report::Code;
use report::Failure;
use report::Stage;
use ring::digest;
use trust::Sha256Digest;

use crate::events::Events;
use crate::events::Running;
use crate::inputs::Inputs;
use crate::inputs::read_file;
use crate::meter::megabytes;
use crate::mirror::Verified;
use crate::time::clock_report;
use crate::verify::Found;
use crate::world::Machine;
use crate::world::World;

/// Where a boot image holds packages.
pub const PACKAGES: &str = "/ospkg";

/// How much is hashed at a time, in bytes.
const BLOCK: usize = 256 << 10;

/// Verifies and unpacks a package of the boot image, which is not there any more then.
///
/// # Errors
/// E0124 if there is none of this name; as for a package of a mirror if it cannot be used.
pub fn embedded(
    inputs: &Inputs,
    events: &dyn Events,
    name: &PackageName,
) -> Result<Verified, Failure> {
    embedded_in(&Machine, Path::new(PACKAGES), inputs, events, name)
}

/// As [`embedded`], from any directory of a file system.
pub(crate) fn embedded_in<W: World>(
    world: &W,
    directory: &Path,
    inputs: &Inputs,
    events: &dyn Events,
    name: &PackageName,
) -> Result<Verified<W::File>, Failure> {
    let fetching = Running::begin(events, Stage::Fetch);
    let found = fetching.close(find(directory, name), |found| {
        format!("{} in the boot image ({})", megabytes(found.len), found.archive_url)
    })?;
    let verifying = Running::begin(events, Stage::Verify);
    let verified = found
        .authorize(inputs, &inputs.clock, &clock_report(&inputs.clock), events)
        .map_err(|refused| refused.failure)
        .and_then(|judged| judged.open(world, inputs, events, None));
    Ok(verifying.close(verified, |(_, summary)| summary.clone())?.0)
}

fn find(directory: &Path, name: &PackageName) -> Result<Found<MemFile>, Failure> {
    let descriptor_path = directory.join(name.descriptor());
    let archive_path = directory.join(name.archive());
    let descriptor =
        read_file(&descriptor_path).map_err(|error| missing(&descriptor_path, error))?;
    let descriptor = Descriptor::parse(&descriptor).map_err(|error| {
        let Failure { code, detail, .. } = Failure::from_error(&error);
        Failure::new(code, format!("{}: {detail}", descriptor_path.display()))
    })?;
    let mut archive = open(&archive_path).map_err(|error| missing(&archive_path, error))?;
    let (sha256, len) = hash(&mut archive).map_err(|error| missing(&archive_path, error))?;
    let archive = MemFile::adopt(archive, "archive");
    Ok(Found {
        descriptor,
        given_back: if archive.can_release() { len } else { 0 },
        archive,
        sha256,
        len,
        descriptor_url: shown(&descriptor_path),
        archive_url: shown(&archive_path),
    })
}

/// Opens the file and takes its name away, so that its memory is free once it is closed.
fn open(path: &Path) -> io::Result<File> {
    let file = File::options().read(true).write(true).open(path)?;
    if !file.metadata()?.is_file() {
        return Err(io::Error::other("it is no file"));
    }
    fs::remove_file(path)?;
    Ok(file)
}

fn hash(file: &mut File) -> io::Result<(Sha256Digest, u64)> {
    let mut hasher = digest::Context::new(&digest::SHA256);
    let mut block = vec![0; BLOCK];
    let mut len: u64 = 0;
    loop {
        let read = match file.read(&mut block) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            read => read?,
        };
        let Some(bytes) = block.get(..read).filter(|bytes| !bytes.is_empty()) else { break };
        hasher.update(bytes);
        len = len.saturating_add(bytes.len() as u64);
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(hasher.finish().as_ref());
    Ok((Sha256Digest::from_bytes(sha256), len))
}

fn missing(path: &Path, error: io::Error) -> Failure {
    let what = match error.kind() {
        io::ErrorKind::NotFound => "is not in the boot image".to_owned(),
        _ => format!("in the boot image cannot be read: {error}"),
    };
    Failure::new(Code::EmbeddedMissing, format!("{} {what}", path.display()))
}

fn shown(path: &Path) -> String {
    format!("initramfs:{}", path.display())
}

/// Whether the boot image holds a package of this name.
#[must_use]
pub fn is_embedded(name: &PackageName) -> bool {
    let there = |file: String| PathBuf::from(PACKAGES).join(file).is_file();
    there(name.descriptor()) && there(name.archive())
}

#[cfg(test)]
mod tests;
