//! `ramstrap ospkg verify`.

use std::fs::File;
use std::io::Read;
use std::io::Seek;
use std::io::Write;
use std::path::Path;
use std::path::PathBuf;

use agefile::AgeError;
use agefile::Decryptor;
use agefile::Identities;
use ospkg::Descriptor;
use report::Code;
use serde_json::json;
use trust::TrustPolicy;

use super::facts;
use super::judge;
use super::judge::Judge;
use super::sigsum::warn_of_future;
use crate::Error;
use crate::Result;
use crate::commands::size;
use crate::dates;
use crate::files;
use crate::output::Output;
use crate::package;
use crate::package::Names;
use crate::package::Opened;

/// Say whether machines with a given trust policy boot an OS package.
///
/// Does what a machine does, up to the jump into the kernel: descriptor, signatures, archive,
/// manifest, kernel and initramfs. The archive is NAME.zip beside the descriptor; `os_pkg_url` is
/// not followed. Both files may be encrypted with age, to an identity of the trust policy or of
/// --identity. Exit status: 0 accepted, 1 refused or unreadable, 2 wrong usage.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    judge: Judge,
    /// Age identities for files that are encrypted, in place of the trust policy's own.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// The descriptor.
    #[arg(value_name = "NAME.json")]
    descriptor: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg verify --trust-policy trust-policy/ os.json
  ramstrap ospkg verify --signing-root rootcert.pem --threshold 2 \\
      --at 2027-06-30 os.json";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let policy = args.judge.policy(output)?;
    let names = Names::of_descriptor(&args.descriptor)?;
    let Plain { descriptor, mut archive } = decrypted(args, &policy, &names, output)?;
    let (digest, length) = names.digest_archive(&mut archive)?;
    if args.judge.given().is_none() {
        warn_of_future(policy.sigsum(), descriptor.endorsements(), digest, output);
    }
    let authorized =
        trust::authorize(&policy, descriptor.endorsements(), digest, &args.judge.clock())
            .map_err(|refusal| judge::refused(&refusal).on(names.descriptor.display()))?;
    let package = package::open(&names, authorized, digest, archive)?;
    if let Err(error) = package::check_kernel(&package.kernel().head) {
        output.warning(format!("a machine will not boot this kernel: {error}"));
    }
    let url = descriptor.os_pkg_url();
    if url.is_empty() {
        output.warning("os_pkg_url is empty: machines cannot find the archive over the network");
    } else if let Err(error) = package::check_url(url) {
        output.warning(format!("machines cannot fetch the archive from os_pkg_url: {error}"));
    }
    tell(&names, &package, length, args.judge.at(), output);
    Ok(())
}

/// The two files of a package, which may have been encrypted.
struct Plain {
    descriptor: Descriptor,
    archive: File,
}

/// Reads both files as a machine does that has them from a mirror, but for one thing: files that
/// are to be encrypted are judged before that, too.
fn decrypted(
    args: &Args,
    policy: &TrustPolicy,
    names: &Names,
    output: &mut Output,
) -> Result<Plain> {
    let given = match &args.identity {
        Some(file) => Some(Identities::parse(&files::read(file)?).map_err(|error| {
            Error::with_code(Code::IdentitiesInvalid, error.to_string()).on(file.display())
        })?),
        None => None,
    };
    let identities = given.as_ref().or_else(|| policy.decryption_identities());
    let identities = || identities.ok_or(AgeError::Unexpected);
    let failed = |path: &Path, error: &AgeError| Error::coded(error).on(path.display());

    let mut descriptor = files::read(&names.descriptor)?;
    let mut plain = Vec::new();
    if agefile::is_age_file(&descriptor) {
        descriptor = identities()
            .and_then(|identities| agefile::decrypt(identities, &descriptor))
            .map_err(|error| failed(&names.descriptor, &error))?;
    } else {
        plain.push(&names.descriptor);
    }
    let descriptor = names.parse_descriptor(&descriptor)?;

    let mut archive = names.open_archive()?;
    let read_failed = |error: std::io::Error| match AgeError::in_io(&error) {
        Some(inner) => failed(&names.archive, inner),
        None => Error::io("read", &names.archive, &error),
    };
    let mut start = Vec::new();
    (&archive).take(64).read_to_end(&mut start).map_err(read_failed)?;
    archive.rewind().map_err(read_failed)?;
    if agefile::is_age_file(&start) {
        let identities = identities().map_err(|error| failed(&names.archive, &error))?;
        archive = decrypt(archive, identities).map_err(read_failed)?;
    } else {
        plain.push(&names.archive);
    }
    warn_of_plain(policy, plain, output);
    Ok(Plain { descriptor, archive })
}

/// Warns of files that are not encrypted, where the policy's machines take none such.
pub(super) fn warn_of_plain<'a>(
    policy: &TrustPolicy,
    plain: impl IntoIterator<Item = &'a PathBuf>,
    output: &mut Output,
) {
    if policy.decryption_identities().is_none() {
        return;
    }
    for file in plain {
        output.warning(format!(
            "{} is not encrypted: machines refuse it from a mirror ({})",
            file.display(),
            Code::NotEncrypted
        ));
    }
}

/// The archive in a file of its own, that nobody else sees.
fn decrypt(mut archive: File, identities: &Identities) -> std::io::Result<File> {
    let mut plain = tempfile::tempfile()?;
    let mut take = |bytes: &[u8]| plain.write_all(bytes);
    let mut decryptor = Decryptor::new(identities.clone());
    let mut block = vec![0; 256 << 10];
    loop {
        let read = archive.read(&mut block)?;
        if read == 0 {
            break;
        }
        decryptor.push(block.get(..read).unwrap_or_default(), &mut take)?;
    }
    decryptor.finish(&mut take)?;
    plain.rewind()?;
    Ok(plain)
}

fn tell(names: &Names, package: &Opened, length: u64, at: i64, output: &Output) {
    let authorized = package.authorized();
    let manifest = package.manifest();
    output.verdict(true, "accepted", names.descriptor.display());
    facts::show(manifest, output);
    output.field("SHA-256", authorized.archive_digest());
    output.field("size", size(length));
    output.field("judged as of", dates::format(at));
    output.field(
        "signatures",
        format!("{} valid, {} required", authorized.signers().len(), authorized.threshold()),
    );
    for signer in authorized.signers() {
        let signer = report::SignerReport::from(signer);
        output.field("signed by", format!("{} (until {})", signer.subject, signer.not_after));
        if let Some(sigsum) = &signer.sigsum {
            output.field("  public in", sigsum);
        }
    }
    for skipped in authorized.skipped() {
        output.field("not counted", format!("{skipped} [{}]", skipped.code));
    }
    let signers: Vec<report::SignerReport> = authorized.signers().iter().map(Into::into).collect();
    let skipped: Vec<report::SkippedReport> = authorized.skipped().iter().map(Into::into).collect();
    let verdict = json!({
        "verdict": "accepted",
        "descriptor": names.descriptor,
        "archive": names.archive,
        "sha256": authorized.archive_digest().to_string(),
        "size": length,
        "at": dates::format(at),
        "threshold": authorized.threshold(),
        "signers": signers,
        "skipped": skipped,
        "kernel_size": package.kernel().length,
        "initramfs_size": package.initramfs().length,
    });
    output.result(facts::data(manifest, verdict));
}
