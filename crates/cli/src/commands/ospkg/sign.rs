//! `ramstrap ospkg sign`.

use std::ffi::OsString;
use std::fs::File;
use std::io::BufRead;
use std::io::IsTerminal;
use std::io::Read;
use std::io::Write;
use std::path::PathBuf;

use rebuild::build;
use rebuild::build::BuildRecord;
use rebuild::compare;
use rebuild::record;
use serde_json::json;
use trust::Sha256Digest;

use super::facts;
use crate::Error;
use crate::Result;
use crate::certificate::Certificate;
use crate::commands::count;
use crate::commands::keygen;
use crate::commands::signer_args::KEY_SOURCES;
use crate::commands::signer_args::OpenKey;
use crate::dates;
use crate::output::Output;
use crate::package;
use crate::package::About;
use crate::package::InDoubt;
use crate::package::Names;

/// Longest answer that is read, in bytes.
const MAX_ANSWER: u64 = 64;

/// Sign an OS package: adds a signature to its descriptor.
///
/// What is signed is the SHA-256 of the archive NAME.zip beside the descriptor. It is refused if
/// those who signed before did not sign this very archive, or if a machine could not open it. What
/// is about to be signed is shown, and on a terminal asked about.
///
/// With --digest the archive need not be there: an offline machine needs the descriptor only.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES, after_long_help = format!("{KEY_SOURCES}\n\n{EXAMPLES}"))]
pub(super) struct Args {
    /// The signer's Ed25519 key: in a file, in ssh-agent or on a token.
    #[arg(long, value_name = "KEY")]
    key: OsString,
    #[command(flatten)]
    open: OpenKey,
    /// The signer's certificate.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// SHA-256 of the archive, in hex. If the archive is there as well, it must be that one.
    #[arg(long, value_name = "SHA256")]
    digest: Option<Sha256Digest>,
    /// Sign an archive that others did not sign, or that no machine can open, all the same.
    #[arg(long)]
    force: bool,
    /// Sign only what this user has built again from source, byte for byte, on this machine: what
    /// `cargo xtask ospkg rebuild NAME.json` has a record of.
    #[arg(long)]
    after_rebuild: bool,
    /// Do not ask on a terminal.
    #[arg(long, short)]
    yes: bool,
    /// The descriptor.
    #[arg(value_name = "NAME.json")]
    descriptor: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg sign --key key.pem --cert cert.pem os.json
  ramstrap ospkg sign --key ~/.ssh/id_ed25519.pub --cert cert.pem os.json
  ramstrap ospkg sign --cert cert.pem os.json \\
      --key 'pkcs11:token=alice;object=signing?module-path=/usr/lib/token.so'
  # without os.zip
  ramstrap ospkg sign --key key.pem --cert cert.pem --digest 55d930f1… os.json
  ramstrap ospkg sign --key key.pem --cert cert.pem --after-rebuild vpn.json";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let names = Names::of_descriptor(&args.descriptor)?;
    let certificate = keygen::read_certificate(&args.cert)?;
    let key = args.open.open(&args.key)?;
    let validity = certificate.validity();
    let now = dates::now();
    if validity.not_after < now {
        output.warning(format!(
            "{} expired on {}: machines will not count this signature",
            args.cert.display(),
            dates::format(validity.not_after)
        ));
    } else if validity.not_before > now {
        output.warning(format!(
            "{} is valid only from {} on",
            args.cert.display(),
            dates::format(validity.not_before)
        ));
    }
    let in_doubt = if args.force { InDoubt::Sign } else { InDoubt::Refuse };
    // What was rebuilt is then all that can be signed, whatever becomes of the file.
    let digest = if args.after_rebuild { Some(rebuilt(&names, args.digest)?) } else { args.digest };
    let signed = package::sign_if(&names, &key, &certificate, digest, in_doubt, |about| {
        show(about, &names, &certificate, output);
        confirm(args, output)
    })?;
    output.field("signed by", certificate.subject());
    output.field("now has", count(signed.signatures, "signature"));
    let before: Vec<&str> = signed.about.before.iter().map(|it| it.subject.as_str()).collect();
    let contents = signed.about.contents.as_ref().map(|seen| {
        let data = json!({
            "kernel_sha256": seen.kernel.to_string(),
            "initramfs_sha256": seen.initramfs.to_string(),
        });
        facts::data(&seen.manifest, data)
    });
    output.result(json!({
        "descriptor": names.descriptor,
        "archive_sha256": signed.about.digest.to_string(),
        "archive": contents,
        "signer": certificate.subject(),
        "key": certificate.key_fingerprint()?,
        "signed_before": before,
        "signatures": signed.signatures,
        "after_rebuild": args.after_rebuild,
    }));
    Ok(())
}

/// All that the signer can know of what is about to be signed.
fn show(about: &About, names: &Names, certificate: &Certificate, output: &mut Output) {
    for warning in &about.warnings {
        output.warning(warning);
    }
    output.field("descriptor", names.descriptor.display());
    output.field("SHA-256", about.digest);
    if let Some(seen) = &about.contents {
        let manifest = &seen.manifest;
        facts::show(manifest, output);
        output.field("kernel", format!("{} SHA-256 {}", manifest.kernel, seen.kernel));
        output.field("initramfs", format!("{} SHA-256 {}", manifest.initramfs, seen.initramfs));
    }
    for earlier in &about.before {
        let remark = match earlier.over_this_archive {
            Some(true) => "",
            Some(false) => " (NOT over this archive)",
            None => " (not Ed25519: never counts)",
        };
        output.field("signed before", format!("{}{remark}", earlier.subject));
    }
    output.field("signs now", certificate.subject());
}

/// Asks, if there is somebody to ask.
fn confirm(args: &Args, output: &Output) -> Result<()> {
    let people = std::io::stdin().is_terminal() && std::io::stderr().is_terminal();
    if args.yes || output.is_json() || !people {
        return Ok(());
    }
    let mut answer = String::new();
    let asked = write!(std::io::stderr(), "Sign this? [y/N] ")
        .and_then(|()| std::io::stdin().lock().take(MAX_ANSWER).read_line(&mut answer));
    match (asked, answer.trim().to_ascii_lowercase().as_str()) {
        (Ok(_), "y" | "yes") => Ok(()),
        _ => Err(Error::new("nothing was signed, as you answered")
            .remedy("answer y to sign; --yes does not ask")),
    }
}

/// The digest of the archive, if this user has rebuilt it.
fn rebuilt(names: &Names, told: Option<Sha256Digest>) -> Result<Sha256Digest> {
    let (digest, archive) = names.digest_or(told)?;
    let mut archive = archive.ok_or_else(|| {
        Error::usage("--after-rebuild needs the archive, which is not here")
            .remedy(format!("put it beside the descriptor, as {}", names.archive.display()))
    })?;
    was_rebuilt(names, digest, &mut archive)?;
    Ok(digest)
}

/// Refuses an archive that this user has no record of, or another one than it says it is.
fn was_rebuilt(names: &Names, digest: Sha256Digest, archive: &mut File) -> Result<()> {
    let descriptor = names.descriptor.display();
    let command = format!(
        "run `cargo xtask ospkg rebuild {descriptor}` in a checkout of the source, as this user and \
         on this machine, then sign again"
    );
    let refused = |error: rebuild::Error| {
        let remedy = error.remedy_text().map_or_else(|| command.clone(), str::to_owned);
        Error::from(error).on(&descriptor).detail("nothing was signed").remedy(remedy)
    };
    let records = record::directory().map_err(refused)?;
    let found = record::find(&records, &digest.to_string()).map_err(refused)?;
    let Some(found) = found else {
        return Err(Error::new(format!(
            "{descriptor}: this user has not rebuilt the archive with SHA-256 {digest}"
        ))
        .detail("nothing was signed")
        .remedy(command));
    };
    let document = compare::entry(archive, build::NAME, build::MAX_LEN).map_err(refused)?;
    let build = BuildRecord::parse(&document).map_err(refused)?;
    found.check(&build).map_err(refused)
}
