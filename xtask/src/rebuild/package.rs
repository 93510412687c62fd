//! Rebuilding an OS package.

use std::fs;
use std::path::Path;
use std::path::PathBuf;

use ramstrap_cli::Error;
use ramstrap_cli::package::Names;
use rebuild::build;
use rebuild::build::BuildRecord;
use rebuild::compare;
use rebuild::initramfs;
use rebuild::record::Rebuilt;
use serde_json::Value;

use super::Failure;
use super::Options;
use super::Outcome;
use super::workshop::Wanted;
use super::workshop::Workshop;
use crate::kernel_build::Which;

/// Where a package has the public keys of its staff.
const STAFF: &str = "etc/ramstrap/staff/";
/// Largest public key that is taken over, in bytes.
const MAX_KEY: u64 = 64 << 10;

const NOT_WHAT_IT_SAYS: &str = "the package does not say what it is made of: do not sign it";

/// Options that a builder records, and the words of its command line for them.
const OPTIONS: [(&str, &str); 5] = [
    ("label", "--label"),
    ("release", "--release"),
    ("not_after", "--not-after"),
    ("channel", "--channel"),
    ("url", "--url"),
];

/// Options that are recorded for readers, and come from the recipe of that revision.
const OF_RECIPE: [&str; 2] = ["cmdline", "watchdog_seconds"];

/// Builds the package of this descriptor again and compares.
///
/// # Errors
///
/// It cannot be rebuilt, for the reason that is given, or the build fails.
pub fn rebuild(descriptor: &Path, options: &Options) -> Result<Outcome, Failure> {
    let names = Names::of_descriptor(descriptor)?;
    let archive = read(&names.archive)?;
    let on = |error: rebuild::Error| Error::from(error).on(names.archive.display());
    let document = compare::entry(std::io::Cursor::new(&archive), build::NAME, build::MAX_LEN);
    let record = BuildRecord::parse(&document.map_err(on)?).map_err(on)?;
    record.check_rebuildable().map_err(on)?;
    eprintln!(
        "{}: nothing is verified here; what is built from revision {} is compared with it",
        names.archive.display(),
        record.source.revision
    );
    super::check_locked(record.builder.as_ref(), options)
        .map_err(|error| error.on(names.archive.display()))?;
    let workshop = Workshop::open(&record.source, options)?;
    let mut remarks = Vec::new();
    if let Some(kernel) = &record.kernel
        && let (Some(key), Some(source)) = (&kernel.key, &kernel.source_sha256)
    {
        let locked = record.builder.is_some();
        let wanted = Wanted { which: Which::Os, key, source_sha256: source, locked };
        workshop.kernel(&wanted, options, &mut remarks)?;
    }
    let words = words(&record, &archive, &workshop, options)?;
    workshop.xtask(&format!("build {} again", record.name), &words)?;
    let rebuilt = read(&workshop.out().join("result").join(format!("{}.zip", record.name)))?;
    let comparison = compare::packages(&archive, &rebuilt).map_err(on)?;
    // In a locked root it is not this machine's: the builder has said which it was.
    let made = compare::entry(std::io::Cursor::new(&rebuilt), build::NAME, build::MAX_LEN);
    let toolchain = BuildRecord::parse(&made.map_err(on)?).map_err(on)?.toolchain;
    remarks.splice(0..0, record.toolchain.differences(&toolchain));
    if comparison.identical {
        remarks.clear();
    }
    let rebuilt = Rebuilt::package(&archive, &record, toolchain);
    let outcome = Outcome::of(names.archive, comparison, rebuilt, remarks)?;
    let kept = options.keep.then(|| workshop.out().to_owned());
    Ok(Outcome { kept, ..outcome })
}

/// The command line that builds the package as it was built.
fn words(
    record: &BuildRecord,
    archive: &[u8],
    workshop: &Workshop,
    options: &Options,
) -> Result<Vec<String>, Failure> {
    let path = |path: PathBuf| path.to_string_lossy().into_owned();
    let path = &path;
    let mut words: Vec<String> = ["ospkg", "build"].map(str::to_owned).into();
    words.push(record.name.clone());
    words.extend(["--out".to_owned(), path(workshop.out().join("result"))]);
    if let Some(inputs) = &options.inputs {
        // The builder runs in another directory.
        let local = Path::new(inputs).canonicalize().map(path);
        words.extend(["--inputs".to_owned(), local.unwrap_or_else(|_| inputs.clone())]);
    }
    let keys = workshop.out().join("staff");
    if staff_keys(record, archive, &keys)? {
        words.extend(["--staff-keys".to_owned(), path(keys)]);
    }
    if let Some(kernel) = given_kernel(record, archive, workshop.out())? {
        words.push(format!("--kernel={}", path(kernel)));
    }
    words.extend(recorded(record)?);
    if record.builder.is_some() {
        words.push("--locked".to_owned());
    }
    // What was compressed before was perhaps compressed by the original's builder.
    words.push("--no-cache".to_owned());
    Ok(words)
}

/// Writes the kernel of the package into this directory, if it is an input and not built from source.
fn given_kernel(
    record: &BuildRecord,
    archive: &[u8],
    directory: &Path,
) -> Result<Option<PathBuf>, Failure> {
    let Some(input) = record.inputs_of("kernel").next() else { return Ok(None) };
    let kernel = compare::kernel_of(archive)?;
    if rebuild::sha256(&kernel) != input.sha256 {
        return Err(Error::new("the kernel of the package is not the one of its build.json")
            .remedy(NOT_WHAT_IT_SAYS));
    }
    let path = directory.join("vmlinuz");
    fs::write(&path, kernel)
        .map_err(|error| Error::new(format!("cannot write {}: {error}", path.display())))?;
    Ok(Some(path))
}

/// Words for the options that were recorded.
fn recorded(record: &BuildRecord) -> Result<Vec<String>, Failure> {
    let mut words = Vec::new();
    for (name, value) in &record.options {
        let text = match value {
            _ if OF_RECIPE.contains(&name.as_str()) => continue,
            Value::Null => continue,
            Value::String(text) => text.clone(),
            Value::Number(number) => number.to_string(),
            _ => return Err(unknown(name)),
        };
        let word = OPTIONS.iter().find(|(option, _)| option == name);
        let (_, word) = word.ok_or_else(|| unknown(name))?;
        // In one word: a value may begin with a dash.
        words.push(format!("{word}={text}"));
    }
    let given = |name: &str| record.options.get(name).is_some_and(|value| !value.is_null());
    if let (Some(release), false) = (record.release, given("release")) {
        words.push(format!("--release={release}"));
    }
    Ok(words)
}

fn unknown(option: &str) -> Failure {
    Error::new(format!("build.json: the option {option:?} is not known here"))
        .remedy("rebuild it with a newer ramstrap")
}

/// Writes the public keys of the staff that are in the package, which are inputs: who they are is for
/// the signers to know. Gives whether there are any.
fn staff_keys(record: &BuildRecord, archive: &[u8], into: &Path) -> Result<bool, Failure> {
    let wanted: Vec<_> = record.inputs_of("staff-key").collect();
    if wanted.is_empty() {
        return Ok(false);
    }
    let bytes = compare::initramfs_of(archive)?;
    let archives = initramfs::read(&bytes, initramfs::Limits::default())?;
    let failed =
        |error: std::io::Error| Error::new(format!("cannot write in {}: {error}", into.display()));
    fs::create_dir_all(into).map_err(failed)?;
    for key in wanted {
        let name = key.name.rsplit('/').next().unwrap_or_default();
        let plain = |letter: char| letter.is_ascii_alphanumeric() || "._-@".contains(letter);
        let usable = !name.starts_with('.') && name.ends_with(".pem") && name.chars().all(plain);
        let found = archives.iter().find_map(|archive| {
            let path = format!("{STAFF}{name}");
            let member = archive.members.iter().find(|member| member.path == path)?;
            Some(archive.content(member)).filter(|it| rebuild::sha256(it) == key.sha256)
        });
        let found = found.filter(|it| usable && it.len() as u64 <= MAX_KEY).ok_or_else(|| {
            Error::new(format!("the staff key {:?} of build.json is not in the package", key.name))
                .remedy(NOT_WHAT_IT_SAYS)
        })?;
        fs::write(into.join(name), found).map_err(failed)?;
    }
    Ok(true)
}

/// Reads an archive of at most [`compare::MAX_FILE`] bytes.
fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    let failed = |error: std::io::Error| {
        Error::new(format!("cannot read {}: {error}", path.display()))
            .remedy("the archive must be beside its descriptor")
    };
    let data = fs::metadata(path).map_err(failed)?;
    if !data.is_file() || data.len() > compare::MAX_FILE {
        return Err(Error::new(format!("{} is no file of at most 2 GiB", path.display())));
    }
    fs::read(path).map_err(failed)
}

#[cfg(test)]
mod tests {
    use rebuild::build::BuildRecord;
    use serde_json::json;

    use super::recorded;

    fn record(options: serde_json::Value) -> BuildRecord {
        let options = options.as_object().cloned().unwrap_or_default();
        BuildRecord { release: Some(7), options, ..BuildRecord::default() }
    }

    #[test]
    fn recorded_options_become_words() {
        let words = recorded(&record(json!({ "label": "--x y", "url": null }))).unwrap();
        assert_eq!(words, ["--label=--x y", "--release=7"]);
        let words = recorded(&record(json!({ "release": 7, "watchdog_seconds": 60 }))).unwrap();
        assert_eq!(words, ["--release=7"]);
        let further = json!({ "not_after": "2027-06-30T00:00:00Z", "channel": "stable" });
        let words = recorded(&record(further)).unwrap();
        assert_eq!(words, ["--channel=stable", "--not-after=2027-06-30T00:00:00Z", "--release=7"]);
        for bad in [json!({ "exec": "x" }), json!({ "label": ["x"] })] {
            assert!(recorded(&record(bad)).unwrap_err().to_string().contains("not known here"));
        }
    }
}
