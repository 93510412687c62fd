//! `ramstrap ospkg sign`.

use std::ffi::OsString;
use std::fs::File;
use std::path::PathBuf;

use rebuild::build;
use rebuild::build::BuildRecord;
use rebuild::compare;
use rebuild::record;
use serde_json::json;
use trust::Sha256Digest;

use crate::Error;
use crate::Result;
use crate::commands::count;
use crate::commands::keygen;
use crate::commands::signer_args::KEY_SOURCES;
use crate::commands::signer_args::OpenKey;
use crate::dates;
use crate::output::Output;
use crate::package;
use crate::package::InDoubt;
use crate::package::Names;

/// Sign an OS package: adds a signature to its descriptor.
///
/// What is signed is the SHA-256 of the archive NAME.zip beside the descriptor. It is refused if
/// those who signed before did not sign this very archive, or if a machine could not open it.
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
    /// Sign an archive that others did not sign, or that no machine can open, all the same.
    #[arg(long)]
    force: bool,
    /// Sign only what this user has built again from source, byte for byte, on this machine: what
    /// `cargo xtask ospkg rebuild NAME.json` has a record of.
    #[arg(long)]
    after_rebuild: bool,
    /// The descriptor.
    #[arg(value_name = "NAME.json")]
    descriptor: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg sign --key key.pem --cert cert.pem os.json
  ramstrap ospkg sign --key ~/.ssh/id_ed25519.pub --cert cert.pem os.json
  ramstrap ospkg sign --key key.pem --cert cert.pem --after-rebuild vpn.json";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let names = Names::of_descriptor(&args.descriptor)?;
    let key = args.open.open(&args.key)?;
    let certificate = keygen::read_certificate(&args.cert)?;
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
    let signed = package::sign_if(&names, &key, &certificate, in_doubt, |digest, archive| {
        if args.after_rebuild { was_rebuilt(&names, digest, archive) } else { Ok(()) }
    })?;
    for warning in &signed.warnings {
        output.warning(warning);
    }
    output.field("descriptor", names.descriptor.display());
    output.field("SHA-256", signed.digest);
    for earlier in &signed.before {
        let remark = match earlier.over_this_archive {
            Some(true) => "",
            Some(false) => " (NOT over this archive)",
            None => " (not Ed25519: never counts)",
        };
        output.field("signed before", format!("{}{remark}", earlier.subject));
    }
    output.field("signed by", certificate.subject());
    output.field("now has", count(signed.signatures, "signature"));
    let before: Vec<&str> = signed.before.iter().map(|it| it.subject.as_str()).collect();
    output.result(json!({
        "descriptor": names.descriptor,
        "archive_sha256": signed.digest.to_string(),
        "signer": certificate.subject(),
        "key": certificate.key_fingerprint()?,
        "signed_before": before,
        "signatures": signed.signatures,
        "after_rebuild": args.after_rebuild,
    }));
    Ok(())
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
