//! Proof that a kernel is the same, bit for bit, wherever, whenever and by whomever it is built.
//!
//! Two builds are compared whose surroundings differ in everything that may differ between two
//! people's machines with the same tools. The quick form makes only the objects in which a kernel
//! says how it was made, and shows first that they would differ if nothing was done about it: a
//! comparison that cannot fail proves nothing.

use std::env;
use std::ffi::OsString;
use std::fmt;
use std::fs;
use std::iter;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::path::PathBuf;
use std::process::Command;
use std::process::Stdio;

use anyhow::Context;
use anyhow::Result;
use anyhow::bail;
use sha2::Digest;
use sha2::Sha256;
use tempfile::TempDir;

use super::Settings;
use super::Which;
use super::make;
use super::make::Make;
use super::make::Surroundings;
use super::options::Requests;
use super::product;
use super::room;
use super::room::Lock;
use super::source;
use super::source::Unpacked;
use crate::apt;
use crate::progress;
use crate::setup;

/// Objects that say when, where and by whom, and an archive with times of files in it.
const TELLTALES: [&str; 4] =
    ["init/version-timestamp.o", "init/version.o", "kernel/configs.o", "usr/initramfs_data.o"];

/// Steps that lead to [`TELLTALES`], for the progress.
const QUICK_STEPS: usize = 110;

/// What the second build takes on disk: a copy of the source, and the output.
const ROOM: u64 = 2_400_000_000;

/// The same without the copy.
const ROOM_QUICK: u64 = 100_000_000;

/// Nobody's number, on every system.
const NOBODY: &str = "65534";

/// Stands in for `date`, which is how a kernel's build learns the day: tells another one to whoever asks
/// for today's. (Programs that change the clock for all of `make` make it wait for ever.)
const ANOTHER_DATE: &str = "#!/bin/sh\n\
    case \"$*\" in -d* | *\" -d\"* | *--date* | -r* | *--reference*) exec /bin/date \"$@\" ;; esac\n\
    exec /bin/date --date='400 days' \"$@\"\n";

/// How much is built.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Extent {
    /// A few objects.
    Quick,
    /// All.
    Full,
}

/// What was the same, and in spite of what.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Proof {
    which: Which,
    version: String,
    /// Files and their SHA-256.
    files: Vec<(String, String)>,
    differed: Vec<String>,
    same: Vec<String>,
}

impl fmt::Display for Proof {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{} kernel, Linux {}: two builds are the same", self.which, self.version)?;
        for (name, sha256) in &self.files {
            writeln!(f, "  {sha256}  {name}")?;
        }
        write!(f, "  in spite of another {}", self.differed.join(", "))?;
        if !self.same.is_empty() {
            write!(f, "\n  not tried: {}", self.same.join("; "))?;
        }
        Ok(())
    }
}

/// Builds in other surroundings than usual and compares: with the kernel of the cache, which is built
/// first if it is not there, or with a second quick build.
///
/// # Errors
///
/// The builds differ: the first file and byte that do are named. Or one of them failed.
pub fn run(which: Which, extent: Extent, settings: &Settings) -> Result<Proof> {
    setup::ensure(&setup::for_kernel())?;
    match extent {
        Extent::Quick => quick(which, settings),
        Extent::Full => full(which, settings),
    }
}

fn quick(which: Which, settings: &Settings) -> Result<Proof> {
    let requests = which.requests()?;
    let _lock = Lock::take()?;
    let tree = source::obtain(&settings.source, &super::pins()?)?;
    let here = super::work_directory()?;
    let elsewhere = elsewhere(ROOM_QUICK)?;
    let other = Other::of_this_host(settings.jobs(), elsewhere.path())?;
    let plain = Surroundings::plain(settings.jobs());
    let first = Make { tree: &tree.dir, out: here.path(), surroundings: &plain };
    let out = other.output_directory(elsewhere.path())?;
    let second = Make { tree: &tree.dir, out: &out, surroundings: &other.surroundings };
    control(which, &requests, &tree, &first)?;
    for (make, name) in [(&first, "the first of two"), (&second, "the second of two")] {
        super::configure(which, &requests, &tree, make)?;
        telltales(which, make, name)?;
    }
    let files = compare(&TELLTALES.map(|name| (name, first.out.join(name), out.join(name))))?;
    Ok(other.proof(which, tree.kernel, files))
}

fn full(which: Which, settings: &Settings) -> Result<Proof> {
    let requests = which.requests()?;
    let built = super::build_all(&[which], settings)?;
    let product = &built.first().context("no kernel was built")?.product;
    let pins = super::pins()?;
    let _lock = Lock::take()?;
    let tree = source::obtain(&settings.source, &pins)?;
    let tree = source::intact(tree, &settings.source, &pins)?;
    if tree.identity.sha256 != product.record.source.sha256 {
        bail!(
            "the kernel in {} was made of another source than the one that is taken now; \
             delete it and start again",
            product.dir.display()
        );
    }
    let elsewhere = elsewhere(ROOM)?;
    let mut other = Other::of_this_host(settings.jobs(), elsewhere.path())?;
    let copy = copy_tree(&tree, &elsewhere, &mut other)?;
    let out = other.output_directory(elsewhere.path())?;
    let make = Make { tree: &copy, out: &out, surroundings: &other.surroundings };
    super::configure(which, &requests, &tree, &make)?;
    let label = format!("build the {which} kernel once more, as somebody else");
    make.target(&label, &["bzImage"], product.record.steps)?;
    let files = compare(
        &product::FILES.map(|(name, place)| (name, product.dir.join(name), out.join(place))),
    )?;
    Ok(other.proof(which, tree.kernel, files))
}

/// A place that is not where kernels are built otherwise, with so much room.
fn elsewhere(bytes: u64) -> Result<TempDir> {
    let elsewhere = tempfile::Builder::new()
        .prefix("ramstrap-kernel-in-quite-another-place-")
        .tempdir()
        .context("no temporary directory")?;
    room::require(elsewhere.path(), bytes, "the second build")?;
    Ok(elsewhere)
}

fn telltales(which: Which, make: &Make<'_>, name: &str) -> Result<()> {
    let label = format!("build objects of the {which} kernel, {name}");
    make.target(&label, &TELLTALES, QUICK_STEPS).map(drop)
}

/// Shows that the objects do tell where they were made, as long as nobody keeps them from it.
fn control(which: Which, requests: &Requests, tree: &Unpacked, make: &Make<'_>) -> Result<()> {
    let loose = Surroundings { fixed: false, ..make.surroundings.clone() };
    let loose = Make { surroundings: &loose, ..make.clone() };
    super::configure(which, requests, tree, &loose)?;
    telltales(which, &loose, "the control")?;
    let object = make.out.join("init/version-timestamp.o");
    let bytes = fs::read(&object).with_context(|| format!("cannot read {}", object.display()))?;
    let fixed = make::FIXED.iter().find(|(name, _)| name.ends_with("TIMESTAMP"));
    if fixed.is_none_or(|(_, time)| contains(&bytes, time.as_bytes())) {
        bail!("the control failed: without fixed values {} has them, too", object.display());
    }
    Ok(())
}

fn contains(bytes: &[u8], text: &[u8]) -> bool {
    bytes.windows(text.len().max(1)).any(|window| window == text)
}

/// Hashes of files that are the same in both places.
fn compare(files: &[(&str, PathBuf, PathBuf)]) -> Result<Vec<(String, String)>> {
    let read =
        |path: &Path| fs::read(path).with_context(|| format!("make made no {}", path.display()));
    let mut same = Vec::new();
    for (name, first, second) in files {
        let (one, other) = (read(first)?, read(second)?);
        if let Some(text) = difference(&one, &other) {
            bail!("not reproducible: {name} differs between two builds: {text}");
        }
        same.push(((*name).to_owned(), hex::encode(Sha256::digest(&one))));
    }
    Ok(same)
}

/// Where two files begin to differ, with what stands there.
fn difference(one: &[u8], other: &[u8]) -> Option<String> {
    if one == other {
        return None;
    }
    let at = one.iter().zip(other).take_while(|(a, b)| a == b).count();
    let excerpt = |bytes: &[u8]| {
        let from = at.saturating_sub(24);
        let piece = bytes.get(from..(at + 40).min(bytes.len())).unwrap_or_default();
        piece.escape_ascii().to_string()
    };
    let count = one.iter().zip(other).filter(|(a, b)| a != b).count();
    Some(format!(
        "from byte {at:#x} on, {count} bytes in all, lengths {} and {}\n  first:  {}\n  second: {}",
        one.len(),
        other.len(),
        excerpt(one),
        excerpt(other)
    ))
}

/// The surroundings of the second build.
#[derive(Debug)]
struct Other {
    surroundings: Surroundings,
    /// Who owns its files, if not the one who runs this.
    user: Option<u32>,
    differed: Vec<String>,
    same: Vec<String>,
}

impl Other {
    /// As different as this host allows. What is needed for it is written into a directory.
    fn of_this_host(jobs: usize, dir: &Path) -> Result<Self> {
        let mut prefix: Vec<String> = Vec::new();
        let mut differed: Vec<String> =
            ["output directory", "umask", "time zone", "date", "number of jobs", "set of programs"]
                .map(str::to_owned)
                .into();
        let mut same = Vec::new();
        if works(&["unshare", "--uts", "true"]) {
            let script = "hostname quite-elsewhere && exec \"$@\"";
            prefix.extend(["unshare", "--uts", "sh", "-c", script, "sh"].map(str::to_owned));
            differed.push("host name".to_owned());
        } else {
            same.push("another host name (needs root)".to_owned());
        }
        let surroundings = Surroundings {
            prefix,
            jobs: jobs + 1,
            umask: "027",
            timezone: "Asia/Kathmandu",
            variables: vec![
                ("PATH", path_with_another_date(dir)?),
                ("SOURCE_DATE_EPOCH", "86400".into()),
                ("USER", "somebody".into()),
            ],
            fixed: true,
        };
        Ok(Self { surroundings, user: None, differed, same })
    }

    /// An empty directory that the builder may write to.
    fn output_directory(&self, elsewhere: &Path) -> Result<PathBuf> {
        let out = elsewhere.join("out");
        fs::create_dir(&out)?;
        if let Some(owner) = self.user {
            std::os::unix::fs::chown(&out, Some(owner), Some(owner))?;
        }
        Ok(out)
    }

    fn proof(self, which: Which, version: String, files: Vec<(String, String)>) -> Proof {
        Proof { which, version, files, differed: self.differed, same: self.same }
    }
}

/// Where every host has what a kernel is built with. What somebody installed besides (a Rust compiler,
/// for one) the second build must do without.
const BARE_PATH: [&str; 4] = ["/usr/sbin", "/usr/bin", "/sbin", "/bin"];

/// A `PATH` on which [`ANOTHER_DATE`] comes first, and nothing that is not the distribution's.
fn path_with_another_date(dir: &Path) -> Result<OsString> {
    let bin = dir.join("bin");
    fs::create_dir(&bin)?;
    let date = bin.join("date");
    fs::write(&date, ANOTHER_DATE)?;
    fs::set_permissions(&date, fs::Permissions::from_mode(0o755))?;
    Ok(env::join_paths(iter::once(bin).chain(BARE_PATH.map(PathBuf::from)))?)
}

/// Copies the source beside the second output, and lets another user build if that can be.
fn copy_tree(tree: &Unpacked, elsewhere: &TempDir, other: &mut Other) -> Result<PathBuf> {
    let copy = elsewhere.path().join("another-copy-of-the-source");
    // Other times of files, and another order in directories.
    let mut cp = Command::new("cp");
    cp.args(["--recursive", "--no-dereference", "--preserve=mode"]).arg(&tree.dir).arg(&copy);
    progress::run("copy the source to another place", &mut cp)?;
    other.differed.push("source directory".to_owned());
    let nobody = NOBODY.parse().unwrap_or(u32::MAX);
    let run = ["setpriv", "--reuid", NOBODY, "--regid", NOBODY, "--clear-groups"];
    let try_it: Vec<&str> = run.into_iter().chain(["true"]).collect();
    if apt::as_root("true").is_some() && works(&try_it) {
        // Behind what needs root.
        other.surroundings.prefix.extend(run.map(str::to_owned));
        other.user = Some(nobody);
        std::os::unix::fs::chown(elsewhere.path(), Some(nobody), Some(nobody))?;
        other.differed.push("user".to_owned());
    } else {
        other.same.push("another user (needs root)".to_owned());
    }
    Ok(copy)
}

fn works(words: &[&str]) -> bool {
    let Some((program, arguments)) = words.split_first() else { return false };
    let mut command = Command::new(program);
    command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    command.status().is_ok_and(|status| status.success())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;
    use std::time::UNIX_EPOCH;

    use super::compare;
    use super::difference;
    use super::path_with_another_date;

    #[test]
    fn the_first_difference_is_named_with_what_stands_there() {
        assert_eq!(difference(b"same", b"same"), None);
        let text = difference(b"#1 SMP Thu Jan  1", b"#1 SMP Fri Jan  2").unwrap();
        assert!(text.contains("from byte 0x7 on, 4 bytes in all"), "{text}");
        assert!(text.contains("first:  #1 SMP Thu Jan  1"), "{text}");
        assert!(difference(b"ab", b"abc").unwrap().contains("lengths 2 and 3"));
    }

    #[test]
    fn the_second_build_sees_another_day() {
        let dir = tempfile::tempdir().unwrap();
        let path = path_with_another_date(dir.path()).unwrap();
        let date = |arguments: &[&str]| {
            let mut sh = Command::new("sh");
            sh.args(["-c", "date \"$@\"", "sh"]).args(arguments).env("PATH", &path);
            String::from_utf8(sh.output().unwrap().stdout).unwrap().trim().to_owned()
        };
        let today: u64 = UNIX_EPOCH.elapsed().unwrap().as_secs();
        assert!(date(&["+%s"]).parse::<u64>().unwrap() > today + 399 * 86400);
        // A date that is given stays what it is.
        assert_eq!(date(&["-d@86400", "-u", "+%Y-%m-%d"]), "1970-01-02");
        assert_eq!(date(&["-u", "-d", "@86400", "+%Y-%m-%d"]), "1970-01-02");
    }

    #[test]
    fn the_first_file_that_differs_is_named() {
        let (one, other) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        for (name, text) in [("a", "x"), ("b", "y")] {
            fs::write(one.path().join(name), text).unwrap();
            fs::write(other.path().join(name), text).unwrap();
        }
        let both = |name| (name, one.path().join(name), other.path().join(name));
        assert_eq!(compare(&[both("a"), both("b")]).unwrap().len(), 2);
        fs::write(other.path().join("b"), "z").unwrap();
        let error = compare(&[both("a"), both("b")]).unwrap_err().to_string();
        assert!(error.contains("not reproducible: b differs"), "{error}");
        let error = compare(&[both("c")]).unwrap_err().to_string();
        assert!(error.contains("make made no"), "{error}");
    }
}
