//! OS packages on disk: an archive `NAME.zip` and its descriptor `NAME.json` beside each other.

mod encrypt;
mod merge;
mod names;
mod open;
mod sign;
mod url;

use core::cell::OnceCell;
use core::cell::RefCell;
use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use ospkg::CreateOptions;
use ospkg::Descriptor;
use ospkg::Input;
use ospkg::bzimage::BzImage;
use ospkg::bzimage::HEADER_LEN;
use report::Code;
use trust::Channel;
use trust::Sha256Digest;
use trust::Timestamp;

use crate::Error;
use crate::Result;
use crate::dates;
use crate::files;
use crate::files::NewFile;
use crate::files::Noting;
use crate::progress::Progress;

pub use encrypt::MAX_RECIPIENTS;
pub use encrypt::Recipients;
pub use encrypt::opened;
pub use merge::Merged;
pub use merge::merge;
pub use names::Names;
pub(crate) use names::encrypted;
pub(crate) use open::Opened;
pub(crate) use open::Sink;
pub(crate) use open::anybody;
pub(crate) use open::open;
pub(crate) use open::open_into;
pub(crate) use open::refused;
pub use sign::About;
pub use sign::InDoubt;
pub use sign::Seen;
pub use sign::Signed;
pub use sign::Standing;
pub(crate) use sign::is_over;
pub use sign::sign;
pub use sign::sign_if;
use sign::standings;
pub use url::check_fetchable;
pub use url::check_url;

/// What goes into a package.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// An x86-64 bzImage.
    pub kernel: PathBuf,
    /// Its initramfs.
    pub initramfs: PathBuf,
    /// Kernel command line.
    pub cmdline: Option<String>,
    /// With what time-out, in seconds, a hardware watchdog runs on for the OS to take over; it is
    /// disarmed if there is none.
    pub watchdog_seconds: Option<u32>,
    /// Number that grows from one release of the package to the next.
    pub release: Option<u64>,
    /// The last second at which machines boot it; none if it has no end.
    pub not_after: Option<Timestamp>,
    /// The line of releases that it belongs to.
    pub channel: Option<Channel>,
    /// A name for people.
    pub label: Option<String>,
    /// Where machines find the archive: absolute, or relative to the descriptor.
    pub url: String,
    /// Take a kernel that is no bzImage.
    pub any_kernel: bool,
    /// Further files of the archive, by name: what was built of what, and what is in it.
    pub extra: Vec<(String, Vec<u8>)>,
    /// Replace a package even if its signatures are not over the new archive and are lost.
    pub replace: bool,
    /// Write a descriptor without signatures, even where those of an earlier one are over this very
    /// archive.
    pub unsigned: bool,
}

/// A package that was created.
#[derive(Clone, Debug)]
pub struct Created {
    /// SHA-256 of the archive: what signers sign.
    pub digest: Sha256Digest,
    /// Length of the archive.
    pub length: u64,
    /// Signatures that were there before and are over this very archive: they were kept.
    pub kept: usize,
    /// What was packed, but will probably hurt when it is booted.
    pub warnings: Vec<String>,
}

/// Writes both files of a package, readable by everybody. The same contents give the same bytes;
/// where they make the archive that is there already, its signatures stay.
///
/// # Errors
/// If an input cannot be read or used, an output cannot be written, or (without
/// [`Contents::replace`]) signatures would be lost.
pub fn create(contents: &Contents, names: &Names) -> Result<Created> {
    let inputs = [contents.kernel.clone(), contents.initramfs.clone()];
    files::spare_all(&[&names.archive, &names.descriptor], &inputs)?;
    check_text("label", contents.label.as_deref())?;
    check_text("cmdline", contents.cmdline.as_deref())?;
    let (mut kernel, kernel_length) = open_input(&contents.kernel, Code::KernelMissing)?;
    let (mut initramfs, initramfs_length) =
        open_input(&contents.initramfs, Code::InitramfsMissing)?;
    let mut warnings = Vec::new();
    match BzImage::parse(&head(&mut kernel, &contents.kernel)?) {
        Ok(kernel) => {
            let room = usize::try_from(kernel.cmdline_size).unwrap_or(usize::MAX);
            let length = contents.cmdline.as_deref().map_or(0, str::len);
            if length > room {
                warnings.push(format!(
                    "the command line has {length} bytes, but this kernel takes {room}"
                ));
            }
        }
        Err(error) if contents.any_kernel => {
            warnings.push(format!("machines will not boot this kernel: {error}"));
        }
        Err(error) => {
            return Err(Error::coded(&error).on(contents.kernel.display()).remedy(
                "use the vmlinuz or bzImage file of an x86-64 kernel; --any-kernel packs it all the same",
            ));
        }
    }
    if !looks_like_initramfs(&head(&mut initramfs, &contents.initramfs)?) {
        warnings.push(format!(
            "{} is neither a cpio archive nor compressed as the kernel knows it",
            contents.initramfs.display()
        ));
    }
    // A warning only: who builds an old package again must get the same bytes.
    if let Some(end) = contents.not_after.filter(|end| end.unix() < dates::now()) {
        warnings.push(format!("it ended on {end}: machines will not boot it"));
    }
    check_url(&contents.url).map_err(|error| error.on("--url"))?;
    let descriptor =
        Descriptor::new(&contents.url).map_err(|error| Error::coded(&error).on("--url"))?;
    let options = CreateOptions {
        label: contents.label.clone().unwrap_or_default(),
        cmdline: contents.cmdline.clone().unwrap_or_default(),
        kernel_name: base_name(&contents.kernel)?,
        initramfs_name: base_name(&contents.initramfs)?,
        watchdog_seconds: contents.watchdog_seconds,
        release: contents.release,
        not_after: contents.not_after,
        channel: contents.channel.clone(),
        extra: contents.extra.clone(),
    };
    let mut archive = NewFile::create(&names.archive)?;
    {
        let total = kernel_length.saturating_add(initramfs_length);
        let progress = RefCell::new(Progress::bytes("packing", total));
        let failed = OnceCell::new();
        let out = Noting::new(archive.file(), &failed);
        ospkg::create(
            std::io::BufWriter::with_capacity(1 << 20, out),
            &options,
            Input { len: kernel_length, data: Progress::shared_reader(&progress, kernel) },
            Input { len: initramfs_length, data: Progress::shared_reader(&progress, initramfs) },
        )
        .map_err(|error| match failed.get() {
            Some(error) => Error::io("write", &names.archive, error),
            None => Error::coded(&error).on(names.archive.display()),
        })?;
    }
    let failed = |error: std::io::Error| Error::io("write", &names.archive, &error);
    archive.file().rewind().map_err(failed)?;
    let (digest, length) = names.digest_archive(archive.file())?;
    let descriptor = match former(names, digest, contents, &mut warnings)? {
        Some(signed) => signed
            .with_os_pkg_url(&contents.url)
            .map_err(|error| Error::coded(&error).on("--url"))?,
        None => descriptor,
    };
    // The descriptor last: who finds it finds its archive. Both are complete by then, so that nothing
    // leaves a new archive beside the old descriptor with its signatures.
    let document = new_descriptor(&names.descriptor, &descriptor)?;
    files::publish_both(archive, document, files::PUBLIC)?;
    Ok(Created { digest, length, kept: descriptor.endorsements().len(), warnings })
}

/// Refuses what would stand in a package as more than one line, or steer who looks at it.
fn check_text(what: &str, text: Option<&str>) -> Result<()> {
    let Some(letter) = text.and_then(|text| text.chars().find(|it| it.is_control())) else {
        return Ok(());
    };
    Err(Error::new(format!("the {what} holds a control character: {}", letter.escape_default()))
        .remedy(format!("give --{what} as one line of plain text, with spaces between its words")))
}

/// The descriptor that is there already, if all its signatures are over the new archive.
fn former(
    names: &Names,
    digest: Sha256Digest,
    &Contents { replace, unsigned, .. }: &Contents,
    warnings: &mut Vec<String>,
) -> Result<Option<Descriptor>> {
    if names.descriptor.symlink_metadata().is_err() {
        return Ok(None);
    }
    let descriptor = match names.read_descriptor() {
        Ok(descriptor) => descriptor,
        Err(_) if replace => return Ok(None),
        Err(error) => {
            let error = Error::new(format!("there is another file of this name: {error}"));
            return Err(error.remedy("choose another --out, or replace it with --replace"));
        }
    };
    let standings = standings(&descriptor, digest);
    if standings.is_empty() {
        return Ok(None);
    }
    if !unsigned && standings.iter().all(|it| it.over_this_archive == Some(true)) {
        return Ok(Some(descriptor));
    }
    let subjects: Vec<&str> = standings.iter().map(|it| it.subject.as_str()).collect();
    let subjects = subjects.join(", ");
    let name = names.descriptor.display();
    if replace {
        warnings.push(format!("{name} was signed by {subjects}; the new one is not signed"));
        return Ok(None);
    }
    Err(Error::new(format!(
        "{name} is signed by {subjects}, but not for this new archive: the signatures would be lost"
    ))
    .remedy("choose another --out, or give the signatures up with --replace"))
}

/// Whether this is the start ([`HEADER_LEN`] bytes) of a kernel that can be booted.
///
/// # Errors
/// The reason.
pub fn check_kernel(start: &[u8]) -> Result<()> {
    BzImage::parse(start).map(drop).map_err(|error| Error::coded(&error))
}

/// The start of a file, which is at its start again afterwards.
fn head(file: &mut File, path: &Path) -> Result<Vec<u8>> {
    let failed = |error: std::io::Error| Error::io("read", path, &error);
    let mut head = Vec::new();
    file.take(HEADER_LEN as u64).read_to_end(&mut head).map_err(failed)?;
    file.rewind().map_err(failed)?;
    Ok(head)
}

/// First bytes of cpio archives, and of the compressions that Linux unpacks an initramfs from:
/// gzip (two forms), bzip2, lzma, xz, lzo, lz4, zstd.
const INITRAMFS_STARTS: &[&[u8]] = &[
    b"070701",
    b"070702",
    b"\x1f\x8b",
    b"\x1f\x9e",
    b"BZh",
    b"\x5d\x00\x00",
    b"\xfd7zXZ\x00",
    b"\x89LZO",
    b"\x02\x21\x4c\x18",
    b"\x28\xb5\x2f\xfd",
];

fn looks_like_initramfs(head: &[u8]) -> bool {
    INITRAMFS_STARTS.iter().any(|start| head.starts_with(start))
}

fn open_input(path: &Path, empty: Code) -> Result<(File, u64)> {
    let failed = |error: std::io::Error| Error::io("read", path, &error);
    let file = File::open(path).map_err(failed)?;
    let data = file.metadata().map_err(failed)?;
    if !data.is_file() {
        return Err(Error::new(format!("{} is not a regular file", path.display()))
            .remedy("its length must be known beforehand: write it to a file first"));
    }
    if data.len() == 0 {
        return Err(Error::with_code(empty, format!("{} is empty", path.display())));
    }
    Ok((file, data.len()))
}

fn base_name(path: &Path) -> Result<String> {
    path.file_name().and_then(|name| name.to_str()).map(ToOwned::to_owned).ok_or_else(|| {
        Error::new(format!("the name of {} is not UTF-8", path.display())).remedy("rename the file")
    })
}

pub(crate) fn write_descriptor(path: &Path, descriptor: &Descriptor) -> Result<()> {
    new_descriptor(path, descriptor)?.publish(files::PUBLIC, true)
}

/// A descriptor that has not taken its name yet.
fn new_descriptor(path: &Path, descriptor: &Descriptor) -> Result<NewFile> {
    let mut file = NewFile::create(path)?;
    file.write_all(descriptor.to_json().as_bytes())
        .map_err(|error| Error::io("write", path, &error))?;
    Ok(file)
}
