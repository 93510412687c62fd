//! Packages, recipes and a host made for tests.

#![allow(clippy::unwrap_used, dead_code, reason = "shared by tests, none of which uses all of it")]

use std::fs;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use ramstrap_cli::Result;
use rebuild::build::Input;
use rebuild::sbom;
use rebuild::source::Source;
use rebuild::store::Store;
use rebuild::toolchain::Toolchain;
use recipe::Options;
use recipe::apt::Sources;
use recipe::build::Host;
use recipe::build::KernelFile;
use recipe::debs::Debs;
use recipe::manifest::Binary;
use tar::EntryType;

/// An entry of an archive: kind, path, mode, content or target.
pub(crate) type Entry<'a> = (EntryType, &'a str, u32, &'a str);

pub(crate) const FILE: EntryType = EntryType::Regular;
pub(crate) const DIRECTORY: EntryType = EntryType::Directory;
pub(crate) const LINK: EntryType = EntryType::Symlink;

/// A tar archive. Paths are written as they are given, which the library's own calls refuse.
pub(crate) fn tar(entries: &[Entry<'_>]) -> Vec<u8> {
    let bytes = entries.iter().map(|&(kind, path, mode, text)| (kind, path, mode, text.as_bytes()));
    tar_of_bytes(&bytes.collect::<Vec<_>>())
}

fn tar_of_bytes(entries: &[(EntryType, &str, u32, &[u8])]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for &(kind, path, mode, text) in entries {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(mode);
        header.set_uid(if path.contains("owned") { 101 } else { 0 });
        header.set_gid(0);
        header.set_mtime(12_345);
        let mut content = text;
        if matches!(kind, EntryType::Symlink | EntryType::Link) {
            header.as_gnu_mut().unwrap().linkname[..text.len()].copy_from_slice(text);
            content = b"";
        }
        header.set_size(content.len() as u64);
        header.as_gnu_mut().unwrap().name[..path.len()].copy_from_slice(path.as_bytes());
        header.set_cksum();
        builder.append(&header, content).unwrap();
    }
    builder.into_inner().unwrap()
}

/// A Debian package with these files.
pub(crate) fn deb(entries: &[Entry<'_>]) -> Vec<u8> {
    deb_of_tar(&tar(entries))
}

fn deb_of_tar(tar: &[u8]) -> Vec<u8> {
    let mut bytes = b"!<arch>\n".to_vec();
    let data = zstd::bulk::compress(tar, 3).unwrap();
    for (name, data) in [("debian-binary", &b"2.0\n"[..]), ("data.tar.zst", &data)] {
        let header =
            format!("{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`\n", 0, 0, 0, 100_644, data.len());
        bytes.extend(header.into_bytes());
        bytes.extend(data);
        if data.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    bytes
}

/// A place with an archive, recipes, caches; all that a build needs.
pub(crate) struct Place {
    pub(crate) dir: tempfile::TempDir,
}

impl Place {
    /// An archive with the packages `a` and `b`, and the recipe `os` of them.
    pub(crate) fn new() -> Self {
        let place = Self { dir: tempfile::tempdir().unwrap() };
        fs::create_dir_all(place.path("archive/pool")).unwrap();
        fs::create_dir_all(place.path("ospkg/os/files/etc")).unwrap();
        let a = deb(&[
            (DIRECTORY, "./", 0o755, ""),
            (FILE, "./lib/a.conf", 0o640, "a"),
            (FILE, "./usr/bin/owned", 0o4755, "#!/bin/sh\n"),
            (FILE, "./usr/share/doc/a/copyright", 0o644, COPYRIGHT),
            (FILE, "./usr/share/doc/a/README", 0o644, "long"),
            (LINK, "./usr/bin/also", 0o777, "owned"),
        ]);
        let b =
            deb(&[(FILE, "./etc/b", 0o644, "b"), (EntryType::Link, "./etc/c", 0o644, "./etc/b")]);
        place.lock("os", &[("a", &a), ("b", &b)]);
        place.recipe("os", RECIPE);
        place.write("ospkg/os/files/init", "#!/bin/sh\n");
        executable(&place.path("ospkg/os/files/init"));
        place.write("ospkg/os/files/etc/motd", "hello\n");
        place.write("kernel", "not a real one");
        place
    }

    pub(crate) fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    pub(crate) fn write(&self, path: &str, text: &str) {
        fs::create_dir_all(self.path(path).parent().unwrap()).unwrap();
        fs::write(self.path(path), text).unwrap();
    }

    pub(crate) fn recipe(&self, name: &str, text: &str) {
        self.write(&format!("ospkg/{name}/recipe.toml"), text);
    }

    /// Puts packages into the archive, and writes the lock of a recipe that asks for `a` and `b`.
    pub(crate) fn lock(&self, name: &str, debs: &[(&str, &[u8])]) {
        let mut text = String::from(
            "version = 1\nsource_date_epoch = 1700000000\narchitecture = \"amd64\"\n\
             packages = [\"a\", \"b\"]\nwithout = []\n\
             [[suite]]\nname = \"stable\"\ndate = \"\"\nrelease_sha256 = \"\"\n",
        );
        for (name, bytes) in debs {
            fs::write(self.path(&format!("archive/pool/{name}.deb")), bytes).unwrap();
            text += &format!(
                "[[package]]\nname = \"{name}\"\nversion = \"1\"\narchitecture = \"all\"\n\
                 source = \"{name}\"\nsuite = \"stable\"\npath = \"pool/{name}.deb\"\n\
                 size = {}\nsha256 = \"{}\"\n",
                bytes.len(),
                rebuild::sha256(bytes)
            );
        }
        self.write(&format!("ospkg/{name}/packages.lock"), &text);
    }

    pub(crate) fn options(&self) -> Options {
        let archive = format!("file://{}", self.path("archive").display());
        Options {
            recipes: self.path("ospkg"),
            name: "os".to_owned(),
            out: self.path("out"),
            label: None,
            cmdline: None,
            watchdog_seconds: None,
            release: None,
            not_after: None,
            channel: None,
            url: None,
            staff_keys: None,
            kernel: None,
            debs: Debs {
                cache: self.path("debs"),
                inputs: None,
                sources: Sources::mirror(&archive),
            },
            keep_inputs: None,
            cache: None,
            replace: false,
        }
    }

    pub(crate) fn host(&self) -> TestHost {
        TestHost { kernel: self.path("bzImage"), ..TestHost::default() }
    }

    pub(crate) fn build(&self) -> Result<recipe::Built> {
        recipe::build(&self.options(), &self.host())
    }

    /// The error of a build, with details and remedy.
    pub(crate) fn refused(&self) -> String {
        let error = self.build().unwrap_err();
        assert!(!self.path("out/os.zip").exists() && !self.path("out/os.json").exists());
        format!(
            "{error}\n{}\n{}",
            error.details().join("\n"),
            error.remedy_text().unwrap_or_default()
        )
    }
}

/// A licence in the form that machines read.
const COPYRIGHT: &str = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\n\
    Files: *\nCopyright: nobody\nLicense: ISC\n";

pub(crate) const RECIPE: &str = "label = \"Test\"\npackages = [\"a\", \"b\"]\ncmdline = \"quiet\"\n\
    [distribution]\nsuites = [\"stable\"]\n\
    [exclude]\npaths = [\"/usr/share/doc/**\"]\n\
    [[entry]]\npath = \"/var/empty\"\ndirectory = true\nmode = \"0500\"\nuid = 7\n";

/// A Debian package with a shell, `cat` and all that these need, taken from this machine, and with a
/// compiler that is none, which says whose it is.
pub(crate) fn tools() -> Vec<u8> {
    let programs = ["/bin/sh", "/bin/cat"];
    let output = std::process::Command::new("ldd").args(programs).output().unwrap();
    let libraries = String::from_utf8(output.stdout).unwrap();
    let words = libraries.split_whitespace().filter(|word| word.starts_with('/'));
    let mut files: Vec<&str> = words.filter(|word| !word.ends_with(':')).collect();
    files.extend(programs);
    files.sort_unstable();
    files.dedup();
    let contents: Vec<(String, Vec<u8>)> =
        files.iter().map(|file| (format!(".{file}"), fs::read(file).unwrap())).collect();
    let mut entries: Vec<(EntryType, &str, u32, &[u8])> =
        contents.iter().map(|(path, bytes)| (FILE, path.as_str(), 0o755, &bytes[..])).collect();
    entries.push((FILE, "./usr/bin/cc", 0o755, b"#!/bin/sh\ncat /etc/whose >\"$1\"\n"));
    entries.push((FILE, "./etc/whose", 0o644, b"the root's\n"));
    deb_of_tar(&tar_of_bytes(&entries))
}

/// What a build takes from elsewhere, always the same.
#[derive(Default)]
pub(crate) struct TestHost {
    pub(crate) kernel: PathBuf,
    pub(crate) builder: Option<recipe::builder::Builder>,
    /// States of the source tree as they are asked for.
    pub(crate) sources: std::cell::RefCell<Vec<Source>>,
}

impl Host for TestHost {
    fn binary(&self, _: &Binary) -> Result<PathBuf> {
        unreachable!("no recipe of the tests has one")
    }

    fn kernel(&self) -> Result<KernelFile> {
        fs::write(&self.kernel, kernel()).unwrap();
        let built = Some(rebuild::build::Kernel::default());
        Ok(KernelFile { image: self.kernel.clone(), version: "1".into(), built, source: None })
    }

    fn provenance(&self) -> Result<(Source, Toolchain)> {
        let source = self.sources.borrow_mut().pop().unwrap_or_default();
        Ok((source, Toolchain::default()))
    }

    fn builder(&self) -> Option<&recipe::builder::Builder> {
        self.builder.as_ref()
    }

    fn keep_kernel_source(&self, _: &Input, _: &Store) -> Result<()> {
        unreachable!("the kernel of the tests has no source")
    }

    fn crates(&self, _: &[&str]) -> Result<Vec<sbom::Crate>> {
        Ok(Vec::new())
    }

    fn at(&self, _: &str) {}
}

/// As much of a bzImage as is looked at.
pub(crate) fn kernel() -> Vec<u8> {
    let mut kernel = vec![0; 0x8000];
    let mut put = |at: usize, bytes: &[u8]| kernel[at..at + bytes.len()].copy_from_slice(bytes);
    put(0x1f1, &[1]);
    put(0x1fe, &[0x55, 0xaa]);
    put(0x202, b"HdrS");
    put(0x206, &0x020f_u16.to_le_bytes());
    put(0x211, &[1]);
    put(0x236, &0x3f_u16.to_le_bytes());
    put(0x238, &2047_u32.to_le_bytes());
    put(0x234, &[1]);
    put(0x260, &0x0100_0000_u32.to_le_bytes());
    kernel
}

pub(crate) fn executable(path: &Path) {
    use std::os::unix::fs::PermissionsExt;
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

/// A member of a built package.
pub(crate) fn member(archive: &Path, name: &str) -> Vec<u8> {
    let mut zip = zip::ZipArchive::new(fs::File::open(archive).unwrap()).unwrap();
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut zip.by_name(name).unwrap(), &mut bytes).unwrap();
    bytes
}

/// `path mode uid mtime content` of all that is in a built package's initramfs.
pub(crate) fn listing(archive: &Path) -> Vec<String> {
    let packed = member(archive, "boot/initramfs.cpio.zst");
    // Zeros behind the frame are no second one.
    let plain = zstd::stream::Decoder::new(packed.as_slice()).unwrap().single_frame();
    let mut input: Box<dyn std::io::Read> = Box::new(plain);
    let mut lines = Vec::new();
    loop {
        let mut reader = cpio::newc::Reader::new(input).unwrap();
        if reader.entry().is_trailer() {
            return lines;
        }
        let mut content = String::new();
        std::io::Read::read_to_string(&mut reader, &mut content).unwrap();
        let entry = reader.entry();
        lines.push(format!(
            "{} {:o} {} {} {content}",
            entry.name(),
            entry.mode(),
            entry.uid(),
            entry.mtime()
        ));
        input = reader.finish().unwrap();
    }
}

/// Writes a program.
pub(crate) fn script(path: &Path, text: &str) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut file = fs::File::create(path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    drop(file);
    executable(path);
}
