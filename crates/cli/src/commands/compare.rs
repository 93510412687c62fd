//! `ramstrap compare`.

use std::path::Path;
use std::path::PathBuf;

use rebuild::compare;
use rebuild::compare::Comparison;
use serde_json::Value;
use serde_json::json;

use crate::Error;
use crate::Result;
use crate::commands::count;
use crate::commands::pair::Pair;
use crate::commands::size;
use crate::files;
use crate::inspect;
use crate::output::Output;
use crate::package::Names;
use crate::progress::Progress;

/// How a ZIP file begins.
const ZIP: &[u8] = b"PK\x03\x04";
/// Differences that are shown without --all.
const SHOWN: usize = 20;

/// Say where two OS packages or two boot images differ: down to the entry of the archive, and to the
/// file inside the initramfs.
///
/// Takes archives (NAME.zip, or NAME.json for the archive beside it), boot images and boot media, and
/// any other two files. For builds that should be the same and are not; what an update changes for
/// those who sign and run it is shown by `ramstrap ospkg diff`. Signatures and trust play no part;
/// nothing is decided. Contents are not shown, only where they begin to differ.
///
/// Exit status: 0 identical, 1 different or unreadable, 2 wrong usage.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    pair: Pair,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap compare published/vpn.json mine/vpn.json
  ramstrap compare boot-monday.iso boot-tuesday.iso
  ramstrap compare --json a.zip b.zip | jq '.differences[0].place'";

pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    let comparison = {
        let _progress = Progress::spinner("comparing");
        files_at(&args.pair.first, &args.pair.second)?
    };
    let names = (args.pair.first.as_path(), args.pair.second.as_path());
    show(&comparison, names, args.pair.limit(SHOWN), output);
    let data = data(&comparison, names);
    if comparison.identical {
        output.result(data);
        return Ok(());
    }
    let places = comparison.differences.len() + comparison.more;
    let places = count(places, "place");
    Err(Error::new(format!("{} differ in {places}", args.pair.names()))
        .remedy("build.json or image.json in both says what they were built of")
        .data(data))
}

/// Compares two files, or directories of media, as what they are.
///
/// # Errors
/// If one of them cannot be read.
pub(crate) fn files_at(first: &Path, second: &Path) -> Result<Comparison> {
    let (first, second) = (archive_of(first)?, archive_of(second)?);
    if first.is_dir() && second.is_dir() {
        return images(&first, &second);
    }
    let (one, other) = (read(&first)?, read(&second)?);
    if one.starts_with(ZIP) && other.starts_with(ZIP) {
        return Ok(compare::packages(&one, &other)?);
    }
    match (inspect::parts(&first), inspect::parts(&second)) {
        (Ok((one, parts)), Ok((other, other_parts))) => {
            Ok(compare::images((&one, &parts), (&other, &other_parts)))
        }
        // Of no kind that is known.
        _ => Ok(compare::bytes(&one, &other)),
    }
}

fn images(first: &Path, second: &Path) -> Result<Comparison> {
    let (one, parts) = inspect::parts(first)?;
    let (other, other_parts) = inspect::parts(second)?;
    Ok(compare::images((&one, &parts), (&other, &other_parts)))
}

/// The archive of a descriptor; of anything else, itself.
fn archive_of(path: &Path) -> Result<PathBuf> {
    if path.extension().is_some_and(|it| it == "json") {
        return Names::of_descriptor(path).map(|names| names.archive);
    }
    Ok(path.to_owned())
}

fn read(path: &Path) -> Result<Vec<u8>> {
    let data = std::fs::metadata(path).map_err(|error| Error::io("read", path, &error))?;
    if !data.is_file() {
        return Err(Error::new(format!("{} is not a regular file", path.display()))
            .remedy("give two files, or two directories of --format pxe"));
    }
    if data.len() > compare::MAX_FILE {
        return Err(Error::new(format!("{} is larger than 2 GiB", path.display()))
            .remedy("`cmp` compares files of any size, though it cannot say what the bytes are"));
    }
    files::read_large(path)
}

fn show(comparison: &Comparison, names: (&Path, &Path), limit: usize, output: &Output) {
    let Comparison { identical, first, second, differences, more } = comparison;
    let word = if *identical { "identical" } else { "different" };
    output.verdict(*identical, word, format!("{} and {}", names.0.display(), names.1.display()));
    output.field("first", format!("{} ({})", first.sha256, size(first.size)));
    output.field("second", format!("{} ({})", second.sha256, size(second.size)));
    for difference in differences.iter().take(limit) {
        output.line(format!("  {difference}"));
    }
    let hidden = differences.len().saturating_sub(limit) + more;
    if hidden > 0 {
        output.line(format!("  … and {hidden} more"));
    }
}

/// The comparison for scripts: with the sentence that people see for each difference.
pub(crate) fn data(comparison: &Comparison, names: (&Path, &Path)) -> Value {
    let mut value = serde_json::to_value(comparison).unwrap_or_default();
    let differences = value.get_mut("differences").and_then(Value::as_array_mut);
    for (value, difference) in differences.into_iter().flatten().zip(&comparison.differences) {
        if let Value::Object(object) = value {
            object.insert("text".to_owned(), difference.to_string().into());
        }
    }
    if let Value::Object(object) = &mut value {
        object.insert("files".to_owned(), json!([names.0, names.1]));
    }
    value
}
