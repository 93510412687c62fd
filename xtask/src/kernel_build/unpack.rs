//! Tarballs: hashed, taken out of Debian packages, unpacked.

use std::fs;
use std::fs::File;
use std::io;
use std::io::Read;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use sha2::Digest;
use sha2::Sha256;

use super::tree;
use crate::progress;

/// Read at once, in bytes.
const PIECE: usize = 1 << 20;

/// SHA-256 of a tarball, or of the one in a Debian package.
///
/// # Errors
///
/// The file cannot be read, or is a package without a kernel source.
pub(super) fn hash_of_tarball(file: &Path) -> Result<String> {
    let mut hash = Sha256::new();
    with_tarball(file, &mut |piece| {
        hash.update(piece);
        Ok(())
    })?;
    Ok(hex::encode(hash.finalize()))
}

/// The tarball as a file: itself, or taken out of its package into `dir`.
///
/// # Errors
///
/// A file cannot be read or written.
pub(super) fn tarball_of(file: &Path, dir: &Path) -> Result<PathBuf> {
    if !is_package(file) {
        return Ok(file.to_path_buf());
    }
    let path = dir.join(tarball_name(file)?.rsplit('/').next().unwrap_or("linux.tar.xz"));
    let mut out = File::create(&path)?;
    with_tarball(file, &mut |piece| out.write_all(piece))?;
    Ok(path)
}

/// Unpacks a kernel's tarball below a directory and returns the tree. Errors call it `name`: where it
/// is may be temporary.
///
/// # Errors
///
/// It is damaged or no kernel source, or the disk is full.
pub(super) fn unpack(tarball: &Path, name: &str, dir: &Path) -> Result<PathBuf> {
    let into = dir.join("unpacked");
    fs::create_dir(&into)?;
    let length = fs::metadata(tarball)?.len().max(1);
    progress::step("unpack the kernel's source", |step| {
        let mut tar = Command::new("tar");
        tar.args(["--extract", "--no-same-owner", "--directory"]).arg(&into);
        // Blocks of an .xz file are decompressed side by side.
        match tarball.extension().and_then(|it| it.to_str()) {
            Some("xz") => drop(tar.arg("--use-compress-program=xz -T0")),
            Some("gz" | "tgz") => drop(tar.arg("--gzip")),
            Some("bz2") => drop(tar.arg("--bzip2")),
            Some("zst") => drop(tar.arg("--zstd")),
            _ => {}
        }
        let mut tar = tar
            .args(["--file", "-"])
            .stdin(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .context("cannot run tar")?;
        let mut done: u64 = 0;
        if let Some(mut input) = tar.stdin.take() {
            let fed = with_tarball(tarball, &mut |piece| {
                done += u64::try_from(piece.len()).unwrap_or_default();
                step.at(&format!("{} %", done * 100 / length));
                input.write_all(piece)
            });
            // When tar ends early it has said why.
            if let Err(error) = fed
                && tar.try_wait()?.is_none_or(|status| status.success())
                && !is_broken_pipe(&error)
            {
                return Err(error);
            }
        }
        let output = tar.wait_with_output()?;
        if !output.status.success() {
            bail!("cannot unpack {name}: {}", String::from_utf8_lossy(&output.stderr).trim());
        }
        let tree = tree::only_directory_in(&into)
            .with_context(|| format!("{name} is no kernel source"))?;
        tree::version_of(&tree, name)?;
        Ok(tree)
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.chain().any(|cause| {
        cause.downcast_ref::<io::Error>().is_some_and(|it| it.kind() == io::ErrorKind::BrokenPipe)
    })
}

/// Gives a tarball to `take`, piece by piece, wherever it is.
fn with_tarball(file: &Path, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> Result<()> {
    let reading = || format!("cannot read the kernel's source {}", file.display());
    if !is_package(file) {
        let input = File::open(file).with_context(reading)?;
        return pass_on(input, take).with_context(reading);
    }
    let name = tarball_name(file)?;
    let mut package = Command::new("dpkg-deb")
        .arg("--fsys-tarfile")
        .arg(file)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run dpkg-deb")?;
    let files = package.stdout.take().context("dpkg-deb has no output")?;
    let mut tar = Command::new("tar")
        .args(["--extract", "--to-stdout", "--file", "-"])
        .arg(&name)
        .stdin(files)
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run tar")?;
    if let Some(output) = tar.stdout.take() {
        pass_on(output, take).with_context(reading)?;
    }
    let (tar, package) = (tar.wait()?, package.wait()?);
    if !tar.success() || !package.success() {
        bail!("{} is damaged: {name} cannot be taken out of it", file.display());
    }
    Ok(())
}

fn pass_on(mut input: impl Read, take: &mut dyn FnMut(&[u8]) -> io::Result<()>) -> io::Result<()> {
    let mut piece = vec![0; PIECE];
    loop {
        let read = input.read(&mut piece)?;
        if read == 0 {
            return Ok(());
        }
        take(piece.get(..read).unwrap_or_default())?;
    }
}

fn is_package(file: &Path) -> bool {
    file.extension().is_some_and(|it| it == "deb")
}

/// Name of the tarball in a `linux-source` package.
fn tarball_name(package: &Path) -> Result<String> {
    let output = Command::new("dpkg-deb").arg("--contents").arg(package).output()?;
    if !output.status.success() {
        bail!(
            "cannot read the package {}: {}",
            package.display(),
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.split_whitespace().last())
        .find(|name| name.contains("/usr/src/") && name.contains(".tar"))
        .map(str::to_owned)
        .with_context(|| format!("{} has no kernel source in it", package.display()))
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::hash_of_tarball;
    use super::unpack;

    fn pack(dir: &std::path::Path, name: &str) -> std::path::PathBuf {
        let tarball = dir.join("linux.tar.gz");
        let tar = Command::new("tar")
            .arg("-czf")
            .arg(&tarball)
            .arg("-C")
            .arg(dir)
            .arg(name)
            .status()
            .unwrap();
        assert!(tar.success());
        tarball
    }

    #[test]
    fn a_tarball_gives_its_tree() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir_all(dir.path().join("linux-6.12/arch/x86")).unwrap();
        fs::write(dir.path().join("linux-6.12/Kconfig"), "").unwrap();
        fs::write(dir.path().join("linux-6.12/Makefile"), "VERSION = 6\nPATCHLEVEL = 12\n")
            .unwrap();
        let tarball = pack(dir.path(), "linux-6.12");
        let into = tempfile::tempdir().unwrap();
        let tree = unpack(&tarball, "linux.deb", into.path()).unwrap();
        assert!(tree.ends_with("unpacked/linux-6.12") && tree.join("Makefile").is_file());
    }

    #[test]
    fn what_is_no_source_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("other")).unwrap();
        let tarball = pack(dir.path(), "other");
        let into = tempfile::tempdir().unwrap();
        let error = format!("{:#}", unpack(&tarball, "linux.deb", into.path()).unwrap_err());
        assert!(error.contains("linux.deb is no kernel source"), "{error}");
        let place = into.path().display().to_string();
        assert!(!error.contains(&place), "a place that is gone is of no use: {error}");
    }

    #[test]
    fn a_damaged_tarball_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let tarball = dir.path().join("linux.tar.xz");
        fs::write(&tarball, vec![7; 4_000_000]).unwrap();
        let into = tempfile::tempdir().unwrap();
        let error = format!("{:#}", unpack(&tarball, "linux.deb", into.path()).unwrap_err());
        assert!(error.contains("cannot unpack linux.deb: "), "{error}");
    }

    #[test]
    fn a_missing_file_is_named() {
        let error = format!("{:#}", hash_of_tarball("/no/such.tar.xz".as_ref()).unwrap_err());
        assert!(error.contains("/no/such.tar.xz"), "{error}");
    }
}
