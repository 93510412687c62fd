//! `ramstrap secure-boot verify`: what firmware would say to an image.

use std::path::PathBuf;

use bootmedia::authenticode;
use bootmedia::authenticode::SignError;
use bootmedia::authenticode::Signature;
use serde_json::Value;
use serde_json::json;

use super::not_image;
use crate::Error;
use crate::Result;
use crate::dates;
use crate::files;
use crate::output::Output;
use crate::secure_boot;

/// Judge the signatures of an image as firmware does that trusts this certificate.
///
/// Exit status: 0 accepted, 1 refused, 2 wrong usage. Without a certificate it says only whether the
/// image is what somebody signed.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The image, a PE file (.efi).
    #[arg(value_name = "IMAGE")]
    image: PathBuf,
    /// The certificate in the machine's db, in PEM or DER.
    #[arg(long, value_name = "FILE")]
    cert: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap secure-boot verify boot.signed.efi --cert secure-boot-keys/db.crt
  ramstrap secure-boot verify /boot/vmlinuz --json";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    // First: without a usable certificate nothing that is said of the image would count.
    let trusted = args.cert.as_deref().map(secure_boot::read_certificate).transpose()?;
    let image = files::read_large(&args.image)?;
    let signatures =
        authenticode::signatures(&image).map_err(|error| not_image(&error, &args.image))?;
    let mut accepted = None;
    let mut lines = Vec::new();
    for signature in &signatures {
        let verdict =
            judge(signature, trusted.as_deref()).map_err(|error| not_image(&error, &args.image))?;
        match verdict {
            None => accepted = accepted.or(Some(signature)),
            Some(reason) => lines.push(format!("signed by {}: {reason}", signature.subject)),
        }
    }
    let Some(accepted) = accepted else {
        let what = if signatures.is_empty() { "is not signed" } else { "has no good signature" };
        let error = Error::new(format!("{} {what}", args.image.display()));
        let error = lines.into_iter().fold(error, Error::detail);
        return Err(error.remedy(if signatures.iter().any(|signature| !signature.digest_matches) {
            secure_boot::CHANGED
        } else if signatures.is_empty() {
            "sign it with the key of the certificate in db: `ramstrap secure-boot sign`"
        } else {
            "give the certificate of the signer that is named, if that one may sign; or sign the image \
             with the key of the certificate in db: `ramstrap secure-boot sign`"
        }));
    };
    if trusted.is_none() {
        output.warning("no --cert given: this says that the image is intact, not who may start it");
    }
    output.verdict(true, "accepted", format!("signed by {}", accepted.subject));
    let digest = hex::encode(&accepted.digest);
    output.field("digest", &digest);
    output.result(json!({
        "image": args.image,
        "digest": digest,
        "signatures": signatures.iter().map(describe).collect::<Vec<_>>(),
    }));
    Ok(())
}

/// Why a signature does not count, if it does not.
fn judge(signature: &Signature, trusted: Option<&[u8]>) -> Result<Option<&'static str>, SignError> {
    let known = match trusted {
        Some(trusted) => signature.accepted_by(trusted)?,
        None => true,
    };
    Ok(match (signature.digest_matches, signature.is_valid, known) {
        (false, _, _) => Some("it is for another image, or this one was changed after signing"),
        (_, false, _) => Some("the signature is wrong, or not RSA with SHA-256"),
        (_, _, false) => Some("its certificate is not the given one, nor issued by it"),
        (true, true, true) => None,
    })
}

fn describe(signature: &Signature) -> Value {
    json!({
        "subject": signature.subject,
        "issuer": signature.issuer,
        "digest": hex::encode(&signature.digest),
        "digest_matches": signature.digest_matches,
        "signature_valid": signature.is_valid,
        "not_after": dates::format(i64::try_from(signature.not_after).unwrap_or(i64::MAX)),
    })
}
