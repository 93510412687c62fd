//! `ramstrap ospkg sign`.

use std::path::PathBuf;

use serde_json::json;

use crate::Result;
use crate::commands::count;
use crate::commands::keygen;
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
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The signer's private key: PKCS#8 or OpenSSH, Ed25519, not encrypted.
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// The signer's certificate.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    /// Sign an archive that others did not sign, or that no machine can open, all the same.
    #[arg(long)]
    force: bool,
    /// The descriptor.
    #[arg(value_name = "NAME.json")]
    descriptor: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg sign --key key.pem --cert cert.pem os.json";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let names = Names::of_descriptor(&args.descriptor)?;
    let key = keygen::read_private_key(&args.key)?;
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
    let signed = package::sign(&names, &key, &certificate, in_doubt)?;
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
    }));
    Ok(())
}
