//! A CD image that starts by BIOS and by UEFI, from a drive and from a stick.
//!
//! BIOS takes ISOLINUX from El Torito or, on a stick, from the boot sector; UEFI takes the FAT file
//! system that is appended as a partition, which El Torito names as well. `xorriso` puts it
//! together; everything that it would take from the clock is given to it.

use std::fs;
use std::fs::File;
use std::io;
use std::path::Path;
use std::process::Command;
use std::time::Duration;
use std::time::SystemTime;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use tempfile::TempDir;

use super::Loader;
use super::Loaders;
use super::Parts;
use super::disk;
use super::guid;
use crate::Error;
use crate::Result;
use crate::files;
use crate::files::NewFile;
use crate::progress::Progress;
use crate::unfinished::Unfinished;

const VOLUME: &str = "RAMSTRAP";
const XORRISO: &str = "xorriso";
/// Longest command line that ISOLINUX hands over, less what it adds itself.
const LONGEST_COMMAND_LINE: usize = 1900;

/// Writes the image to the file `out`, replacing one that is there. Everybody may read it.
///
/// # Errors
/// If `xorriso` or a loader is missing (their packages are named), or `out` cannot be written.
/// Nothing is left at `out` then that was not there before.
pub fn iso(parts: &Parts, uki: &[u8], loaders: &Loaders, out: &Path) -> Result<()> {
    iso_as(files::PUBLIC, parts, uki, loaders, out)
}

/// As [`iso`], for a file of exactly this mode.
///
/// # Errors
/// As [`iso`].
pub(crate) fn iso_as(
    mode: u32,
    parts: &Parts,
    uki: &[u8],
    loaders: &Loaders,
    out: &Path,
) -> Result<()> {
    if parts.command_line.len() > LONGEST_COMMAND_LINE {
        return Err(Error::new("the command line is too long for the BIOS loader of an ISO")
            .remedy(format!("{LONGEST_COMMAND_LINE} characters are the limit")));
    }
    // First, so that an unwritable place is known before the work is done.
    let mut new = NewFile::create(out)?;
    let _progress = Progress::spinner("putting the image together");
    let work = TempDir::with_prefix("ramstrap-iso-")
        .map_err(|error| Error::io("write", &std::env::temp_dir(), &error))?;
    let _noted = Unfinished::note(work.path());
    let tree = work.path().join("tree");
    for (name, bytes) in [
        ("boot/vmlinuz", &parts.kernel),
        ("boot/initrd.img", &parts.initramfs),
        ("isolinux/isolinux.bin", &loaders.read(Loader::Isolinux)?),
        ("isolinux/ldlinux.c32", &loaders.read(Loader::Ldlinux)?),
        ("isolinux/isolinux.cfg", &configuration(&parts.command_line).into_bytes()),
    ] {
        put(&tree.join(name), bytes)?;
    }
    put(&work.path().join("mbr"), &loaders.read(Loader::HybridMbr)?)?;
    put(&work.path().join("esp"), &disk::efi_partition(uki)?)?;
    let time = u64::try_from(parts.build_time).unwrap_or(0);
    set_times(&tree, SystemTime::UNIX_EPOCH + Duration::from_secs(time))
        .map_err(|error| Error::io("write", &tree, &error))?;
    run_xorriso(work.path(), parts, uki)?;
    let image = work.path().join("iso");
    File::open(&image)
        .and_then(|mut image| io::copy(&mut image, new.file()))
        .map_err(|error| Error::io("write", out, &error))?;
    new.publish(mode, true)
}

/// Asks for `xorriso`, before anything is built.
///
/// # Errors
/// If it is missing. Its package is named.
pub(crate) fn check_iso_tools() -> Result<()> {
    Command::new(XORRISO).arg("-version").output().map(drop).map_err(|error| not_run(&error))
}

fn not_run(error: &io::Error) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => {
            Error::new(format!("{XORRISO} is missing: it puts ISO images together"))
                .remedy("install it: apt-get install xorriso")
        }
        _ => Error::new(format!("running {XORRISO}: {error}"))
            .remedy("install it anew: apt-get install --reinstall xorriso"),
    }
}

/// What ISOLINUX does: says what it loads on both consoles, and asks nothing.
fn configuration(command_line: &str) -> String {
    format!(
        "SERIAL 0 115200\n\
         DEFAULT ramstrap\n\
         PROMPT 0\n\
         NOESCAPE 1\n\
         ALLOWOPTIONS 0\n\
         LABEL ramstrap\n\
         \x20 LINUX /boot/vmlinuz\n\
         \x20 INITRD /boot/initrd.img\n\
         \x20 APPEND {}\n",
        for_isolinux(command_line)
    )
}

/// The command line as ISOLINUX gets it. It takes `quiet` for itself, too, and then loads without a
/// word; `loglevel=4` is what `quiet` means to the kernel.
pub(crate) fn for_isolinux(command_line: &str) -> String {
    let words = command_line.split(' ');
    words
        .map(|word| if word == "quiet" { "loglevel=4" } else { word })
        .collect::<Vec<_>>()
        .join(" ")
}

fn run_xorriso(work: &Path, parts: &Parts, uki: &[u8]) -> Result<()> {
    let time = Timestamp::from_second(parts.build_time.max(0))
        .map_err(|error| Error::new(format!("the build time is none: {error}")))?
        .to_zoned(TimeZone::UTC);
    // Hundredths of a second stand at the end.
    let date = time.strftime("%Y%m%d%H%M%S00").to_string();
    let mut command = Command::new(XORRISO);
    command
        .current_dir(work)
        .env("LC_ALL", "C")
        .env("TZ", "UTC")
        .env("SOURCE_DATE_EPOCH", parts.build_time.max(0).to_string())
        // No start-up files of a user, of whose options we know nothing.
        .args(["-no_rc", "-as", "mkisofs", "-o", "iso", "-V", VOLUME])
        .args(["-r", "-uid", "0", "-gid", "0", "-dir-mode", "0755", "-file-mode", "0644"])
        .arg(format!("--modification-date={date}"))
        .args(["--set_all_file_dates", &date])
        .args(["-b", "isolinux/isolinux.bin", "-c", "isolinux/boot.cat"])
        .args(["-no-emul-boot", "-boot-load-size", "4", "-boot-info-table"])
        .args(["-isohybrid-mbr", "mbr", "--mbr-force-bootable", "-partition_offset", "16"])
        .args(["-append_partition", "2", "C12A7328-F81F-11D2-BA4B-00A0C93EC93B", "esp"])
        .args(["-appended_part_as_gpt", "--gpt_disk_guid", &guid("ISO", uki).to_string()])
        .args(["-eltorito-alt-boot", "-e", "--interval:appended_partition_2:all::"])
        .args(["-no-emul-boot", "tree"]);
    let output = command.output().map_err(|error| not_run(&error))?;
    if output.status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = words.lines().filter(|line| !line.trim().is_empty()).collect();
    let error = Error::new(format!("{XORRISO} failed ({})", output.status));
    let error = last.iter().rev().take(5).rev().fold(error, |error, line| error.detail(*line));
    Err(error.remedy("is there room in the directory for temporary files (TMPDIR)?"))
}

fn put(path: &Path, bytes: &[u8]) -> Result<()> {
    files::write(path, bytes, files::PUBLIC, true)
}

/// Gives everything below a directory, and itself, this time.
fn set_times(path: &Path, time: SystemTime) -> io::Result<()> {
    if path.is_dir() {
        for entry in fs::read_dir(path)? {
            set_times(&entry?.path(), time)?;
        }
    }
    File::open(path)?.set_modified(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bios_loader_asks_nothing() {
        let text = configuration("console=ttyS0 quiet panic=30");
        assert!(text.contains("\nPROMPT 0\n") && text.contains("\nNOESCAPE 1\n"), "{text}");
        assert!(text.ends_with("\n  APPEND console=ttyS0 loglevel=4 panic=30\n"), "{text}");
        assert!(!text.contains("TIMEOUT") && !text.contains("MENU"), "{text}");
    }
}
