//! `ramstrap ospkg encrypt`.

use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::path::Path;
use std::path::PathBuf;

use agefile::AgeError;
use agefile::Identities;
use ospkg::Descriptor;
use report::Code;
use report::Coded;
use serde_json::json;
use trust::Sha256Digest;
use trust::TrustPolicy;
use url::Url;

use super::judge;
use crate::Error;
use crate::Result;
use crate::commands::size;
use crate::dates;
use crate::files;
use crate::files::NewFile;
use crate::output::Output;
use crate::package;
use crate::package::Names;
use crate::package::Recipients;
use crate::progress::Progress;

/// Encrypt a signed OS package for mirrors that are not to read it.
///
/// Descriptor and archive go to another directory under the names that they have, each an age file to
/// X25519 recipients: publish those two. Both appear, or none does. With --trust-policy it is made sure
/// that machines with that policy get out of them what went in. Sign before: what is encrypted cannot be
/// signed.
///
/// Mirrors need the same bytes, and each run makes others: encrypt once, then copy.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// Who can decrypt: age1…, the public half of an identity; may be given several times.
    #[arg(long, value_name = "age1…", required_unless_present = "trust_policy")]
    recipient: Vec<String>,
    /// Also to the public halves of the `decryption_identities` of this trust policy directory.
    #[arg(long, value_name = "DIR")]
    trust_policy: Option<PathBuf>,
    /// The directory that both files go to; made if it is missing. Never that of the package itself.
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// Replace files that exist.
    #[arg(long)]
    force: bool,
    /// The descriptor.
    #[arg(value_name = "NAME.json")]
    descriptor: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg encrypt --trust-policy trust-policy/ --out public/ os.json
  ramstrap ospkg encrypt --recipient age1zvkyg2lqzraa…3equnujwj \\
      --out public/ os.json
  ramstrap ospkg verify --trust-policy trust-policy/ public/os.json";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let policy = match &args.trust_policy {
        Some(directory) => Some(judge::policy(directory, output)?),
        None => None,
    };
    let identities = match (&policy, &args.trust_policy) {
        (Some(policy), Some(directory)) => Some(identities(policy, directory)?),
        _ => None,
    };
    let recipients = Recipients::new(args.recipient.iter().map(String::as_str), identities)?;
    let plain = Names::of_descriptor(&args.descriptor)?;
    let sealed = outputs(args, &plain)?;
    let (document, descriptor, archive) = read(&plain)?;

    let length = |file: &File| file.metadata().map_or(0, |data| data.len());
    let archive_length = length(&archive);
    let mut progress = Progress::bytes("encrypting", archive_length);
    let (sealed_archive, digest) =
        seal(&recipients, progress.reader(archive), &plain.archive, &sealed.archive)?;
    drop(progress);
    let (sealed_descriptor, document_digest) =
        seal(&recipients, document.as_slice(), &plain.descriptor, &sealed.descriptor)?;
    if let Some(identities) = identities {
        let _progress = Progress::spinner("decrypting again");
        check(identities, &sealed_archive, digest)?;
        check(identities, &sealed_descriptor, document_digest)?;
    }
    warn(&descriptor, &plain, digest, policy.as_ref(), output);
    let sealed_length = sealed_archive.length();
    // The descriptor last: who finds it finds its archive.
    files::publish_both(sealed_archive, sealed_descriptor, files::PUBLIC)?;

    output.field("descriptor", sealed.descriptor.display());
    output.field("archive", format!("{} ({})", sealed.archive.display(), size(sealed_length)));
    for recipient in recipients.texts() {
        output.field("recipient", recipient);
    }
    if identities.is_some() {
        output.field("decrypted", "again, by the identities of the trust policy: nothing differs");
    }
    output.result(json!({
        "descriptor": sealed.descriptor,
        "archive": sealed.archive,
        "archive_size": sealed_length,
        "recipients": recipients.texts().collect::<Vec<_>>(),
        "checked": identities.is_some(),
        "plain_sha256": digest.to_string(),
        "plain_size": archive_length,
    }));
    Ok(())
}

fn identities<'a>(policy: &'a TrustPolicy, directory: &Path) -> Result<&'a Identities> {
    policy.decryption_identities().ok_or_else(|| {
        let none = "it has no decryption_identities: its machines refuse what is encrypted";
        Error::with_code(Code::EncryptedUnexpected, none).on(directory.display()).remedy(format!(
            "`ramstrap keygen age --out {}` makes one, for a new boot image",
            directory.join("decryption_identities").display()
        ))
    })
}

/// Where both go, which must not be where they are.
fn outputs(args: &Args, plain: &Names) -> Result<Names> {
    if args.out.is_file() {
        return Err(Error::new(format!("--out {} is a file", args.out.display()))
            .remedy("name a directory: both files go into it under the names that they have"));
    }
    let place = |file: &Path| args.out.join(file.file_name().unwrap_or_default());
    let sealed = Names { archive: place(&plain.archive), descriptor: place(&plain.descriptor) };
    for file in [&sealed.archive, &sealed.descriptor] {
        files::spare_inputs(file, [plain.archive.as_path(), plain.descriptor.as_path()])
            .map_err(|error| error.remedy("name another directory: signers need these files"))?;
    }
    if !args.force {
        files::refuse_existing(&[&sealed.archive, &sealed.descriptor])?;
    }
    Ok(sealed)
}

/// The descriptor as it stands, what it says, and the archive.
fn read(plain: &Names) -> Result<(Vec<u8>, Descriptor, File)> {
    let already = |path: &Path| {
        Error::new(format!("{} is encrypted already", path.display()))
            .remedy("publish it as it is, or encrypt the file that it was made of")
    };
    let document = files::read(&plain.descriptor)?;
    if agefile::is_age_file(&document) {
        return Err(already(&plain.descriptor));
    }
    let descriptor = Descriptor::parse(&document)
        .map_err(|error| Error::coded(&error).on(plain.descriptor.display()))?;
    let mut archive = plain.open_archive_as_it_is()?;
    let failed = |error: std::io::Error| Error::io("read", &plain.archive, &error);
    let mut start = Vec::new();
    (&archive).take(64).read_to_end(&mut start).map_err(failed)?;
    archive.rewind().map_err(failed)?;
    if agefile::is_age_file(&start) {
        return Err(already(&plain.archive));
    }
    Ok((document, descriptor, archive))
}

/// Encrypts into a file that has not taken its name yet.
fn seal(
    recipients: &Recipients,
    plain: impl Read,
    from: &Path,
    to: &Path,
) -> Result<(NewFile, Sha256Digest)> {
    let mut new = NewFile::create(to)?;
    let digest = recipients.seal(plain, std::io::BufWriter::new(new.file())).map_err(|error| {
        Error::io("encrypt", from, &error)
            .remedy("is there room for it, and can the file be read to its end?")
    })?;
    Ok((new, digest))
}

/// Makes sure that a machine gets out what went in.
fn check(identities: &Identities, sealed: &NewFile, digest: Sha256Digest) -> Result<()> {
    let name = sealed.path().display();
    let found = sealed.reopen().and_then(|file| package::opened(identities, file));
    match found {
        Ok(found) if found == digest => Ok(()),
        Ok(_) => Err(Error::new("decrypted, it is not what was encrypted").on(name).remedy(
            "nothing was written; was the package changed meanwhile? Then encrypt it again",
        )),
        Err(error) => Err(match AgeError::in_io(&error) {
            Some(error) => Error::with_code(error.code(), error.to_string()).on(name),
            None => Error::io("read", sealed.path(), &error),
        }),
    }
}

/// What machines will not like, though it can be encrypted.
fn warn(
    descriptor: &Descriptor,
    plain: &Names,
    digest: Sha256Digest,
    policy: Option<&TrustPolicy>,
    output: &mut Output,
) {
    let name = plain.descriptor.display();
    if descriptor.endorsements().is_empty() {
        output.warning(format!(
            "{name} is signed by nobody: sign first, then encrypt it again; what is encrypted cannot be \
             signed"
        ));
    } else if let Some(policy) = policy
        && let Err(refusal) =
            trust::authorize(policy, descriptor.endorsements(), digest, &dates::clock(None))
    {
        let code = refusal.code();
        output.warning(format!("machines refuse {name} today: {code} {}", refusal.counts()));
    }
    let url = descriptor.os_pkg_url();
    let file = plain.archive.file_name().unwrap_or_default();
    if url.is_empty() {
        output.warning("os_pkg_url is empty: machines cannot find the archive over the network");
    } else if let Err(error) = package::check_url(url) {
        output.warning(format!("machines cannot fetch the archive from os_pkg_url: {error}"));
    } else if let Some(other) = last_segment(url).filter(|it| file != it.as_str()) {
        output.warning(format!(
            "machines look for the archive under os_pkg_url, which ends in {other}: give {} that name \
             on mirrors",
            file.to_string_lossy()
        ));
    }
}

fn last_segment(os_pkg_url: &str) -> Option<String> {
    let url = Url::parse("https://host.invalid/").ok()?.join(os_pkg_url).ok()?;
    let last = url.path_segments()?.next_back()?;
    Some(percent_encoding::percent_decode_str(last).decode_utf8_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::last_segment;

    #[test]
    fn the_name_of_the_archive_is_that_of_its_url() {
        for url in ["os.zip", "../a/os.zip?x=/y.zip", "https://b.example/c/os.zip", "%6fs.zip"] {
            assert_eq!(last_segment(url).as_deref(), Some("os.zip"), "{url}");
        }
    }
}
