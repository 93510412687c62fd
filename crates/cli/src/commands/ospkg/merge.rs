//! `ramstrap ospkg merge`.

use std::collections::BTreeSet;
use std::path::Path;
use std::path::PathBuf;

use ospkg::Descriptor;
use ospkg::MAX_DESCRIPTOR_LEN;
use serde_json::json;
use trust::Sha256Digest;

use crate::Error;
use crate::Result;
use crate::commands::count;
use crate::files;
use crate::output::Output;
use crate::package;
use crate::package::Names;

/// Join the signatures of people who signed at the same time, each a copy of the descriptor.
///
/// All must be descriptors of one package, and every signature must be over its archive: NAME.zip
/// beside the result or beside one of the descriptors, or --digest. Archives that are there must all
/// be the same. What two of them have is taken
/// once. The order of the files makes no difference.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The descriptors.
    #[arg(value_name = "NAME.json", required = true, num_args = 2..)]
    descriptors: Vec<PathBuf>,
    /// Where the joined descriptor goes.
    #[arg(long, value_name = "NAME.json")]
    out: PathBuf,
    /// SHA-256 of the archive, in hex. If the archive is there as well, it must be that one.
    #[arg(long, value_name = "SHA256")]
    digest: Option<Sha256Digest>,
    /// Replace a file that exists, be it one of those that are joined.
    #[arg(long)]
    force: bool,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg merge from-alice/os.json from-bob/os.json --out site/os.json \\
      --force
  ramstrap ospkg merge alice.json bob.json --digest 55d930f1… --out os.json";

pub(super) fn run(args: &Args, output: &Output) -> Result<()> {
    let out = Names::of_descriptor(&args.out).map_err(|error| {
        error.remedy(format!("give --out a name that ends so, such as {}.json", args.out.display()))
    })?;
    if !args.force {
        files::refuse_existing(&[&args.out])?;
    }
    let mut parts: Vec<(PathBuf, Descriptor)> = Vec::new();
    for file in &args.descriptors {
        parts.push((file.clone(), Names::of_descriptor(file)?.read_descriptor()?));
    }
    let digest = digest(args, &out)?;
    let merged = package::merge(&parts, digest)?;
    let length = merged.descriptor.to_json().len();
    if length > MAX_DESCRIPTOR_LEN {
        return Err(Error::new(format!(
            "the joined descriptor has {length} bytes; machines read at most {MAX_DESCRIPTOR_LEN}"
        ))
        .remedy("join fewer signatures"));
    }
    package::write_descriptor(&args.out, &merged.descriptor)?;
    output.field("descriptor", args.out.display());
    output.field("SHA-256", digest);
    for subject in &merged.subjects {
        output.field("signed by", subject);
    }
    output.field("now has", count(merged.subjects.len(), "signature"));
    output.result(json!({
        "descriptor": args.out,
        "archive_sha256": digest.to_string(),
        "signers": merged.subjects,
        "signatures": merged.subjects.len(),
        "repeated": merged.repeated,
    }));
    Ok(())
}

/// What all of them should have signed: as told, or of the archive beside the result or a part. All
/// archives that are there must be the same, for a descriptor without signatures says of none which it
/// belongs to.
fn digest(args: &Args, out: &Names) -> Result<Sha256Digest> {
    let places =
        core::iter::once(args.out.as_path()).chain(args.descriptors.iter().map(|it| it.as_path()));
    let mut found: Option<(Names, Sha256Digest)> = None;
    let mut read = BTreeSet::new();
    for descriptor in places {
        let names = Names::of_descriptor(descriptor)?;
        if !is_there(&names.archive) || !read.insert(names.archive.clone()) {
            continue;
        }
        let Some((first, digest)) = &found else {
            let (digest, _) = names.digest_or(args.digest)?;
            found = Some((names, digest));
            continue;
        };
        let (other, _) = names.digest_or(None)?;
        if other != *digest {
            return Err(another_package((first, *digest), (&names, other)));
        }
    }
    found.map(|(_, digest)| digest).or(args.digest).ok_or_else(|| {
        Error::new(format!(
            "there is no {} nor an archive beside any of them: what should they have signed?",
            out.archive.display()
        ))
        .remedy("give the archive's SHA-256 with --digest, or put the archive beside one of them")
    })
}

fn another_package(one: (&Names, Sha256Digest), other: (&Names, Sha256Digest)) -> Error {
    let line = |(names, digest): (&Names, Sha256Digest)| {
        format!("{} has SHA-256 {digest}", names.archive.display())
    };
    Error::new(format!(
        "{} and {} are descriptors of another package each: the archives beside them differ",
        one.0.descriptor.display(),
        other.0.descriptor.display()
    ))
    .detail(line(one))
    .detail(line(other))
    .remedy("join copies of one descriptor only; put the archive that is not meant elsewhere")
}

fn is_there(archive: &Path) -> bool {
    !matches!(archive.try_exists(), Ok(false))
}
