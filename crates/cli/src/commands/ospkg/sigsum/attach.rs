//! `ramstrap ospkg sigsum attach`.

use std::path::PathBuf;

use ospkg::Descriptor;
use report::Code;
use serde_json::json;
use trust::Certificate;
use trust::Endorsement;
use trust::Sha256Digest;
use trust::sigsum::MAX_PROOF_LEN;
use trust::sigsum::Proof;
use trust::sigsum::is_proof;

use super::Facts;
use super::Judge;
use super::Rules;
use super::warn_of_future;
use crate::Error;
use crate::Result;
use crate::commands::count;
use crate::commands::keygen;
use crate::dates;
use crate::files;
use crate::output::Output;
use crate::package;
use crate::package::Names;
use crate::text_file;

/// Put a Sigsum proof into a descriptor, in the place of a plain signature.
///
/// Refused unless the proof's signature is by the certificate's key over the archive NAME.zip beside
/// the descriptor. With a policy, log, place in the log and witnesses are judged too.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The proof, as `sigsum-submit` wrote it.
    #[arg(long, value_name = "FILE")]
    proof: PathBuf,
    /// The certificate of the key that was submitted.
    #[arg(long, value_name = "FILE")]
    cert: PathBuf,
    #[command(flatten)]
    rules: Rules,
    /// Replace the proof that the same certificate has there, such as by one with newer cosignatures.
    #[arg(long)]
    replace: bool,
    /// The descriptor.
    #[arg(value_name = "NAME.json")]
    descriptor: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg sigsum attach --proof os.zip.proof --cert alice.pem os.json
  ramstrap ospkg sigsum attach --proof os.zip.proof --cert alice.pem \\
      --trust-policy trust-policy/ os.json";

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let judge = Judge::read(&args.rules, output)?;
    let names = Names::of_descriptor(&args.descriptor)?;
    let certificate = keygen::read_certificate(&args.cert)?;
    let signature = files::read(&args.proof)?;
    let proof = read_proof(args, &signature)?;
    let mut descriptor = names.read_descriptor()?;
    let mut archive = names.open_archive()?;
    let (digest, _) = names.digest_archive(&mut archive)?;

    let der = certificate.to_der()?;
    let refused = |error: Error| error.detail("nothing was attached");
    let parsed = Certificate::parse(&der)
        .map_err(|error| refused(Error::coded(&error).on(args.cert.display())))?;
    proof.check_leaf(&parsed, digest).map_err(|error| {
        refused(Error::coded(&error).on(args.proof.display()).remedy(format!(
            "submit {} with the key of {}, and attach the proof that comes back",
            names.archive.display(),
            args.cert.display()
        )))
    })?;
    let endorsement = Endorsement { certificate_der: der, signature };
    let sigsum = judge.as_ref().and_then(Judge::sigsum);
    warn_of_future(sigsum, core::slice::from_ref(&endorsement), digest, output);
    match &judge {
        Some(judge) => check(judge, &endorsement, &proof, &parsed, digest)
            .map_err(|error| refused(error.on(args.proof.display())))?,
        None => output.warning(
            "log and witnesses were not judged: --trust-policy or --policy says whether machines \
             count this proof",
        ),
    }

    let replaced = put(args, &mut descriptor, &certificate.to_pem()?, &endorsement)
        .map_err(|error| refused(error.on(names.descriptor.display())))?;
    package::write_descriptor(&names.descriptor, &descriptor)?;
    let facts = Facts::of(&endorsement, sigsum.map(|it| (it, digest)));
    let signatures = descriptor.endorsements().len();
    output.field("descriptor", names.descriptor.display());
    output.field("SHA-256", digest);
    output.field("signed by", parsed.label());
    if let Some(facts) = &facts {
        facts.show(output);
    }
    output.field("now has", count(signatures, "signature"));
    output.result(json!({
        "descriptor": names.descriptor,
        "archive_sha256": digest.to_string(),
        "signer": parsed.label(),
        "key": parsed.spki_sha256().to_string(),
        "sigsum": facts,
        "judged": judge.is_some(),
        "replaced": replaced,
        "signatures": signatures,
    }));
    Ok(())
}

fn read_proof(args: &Args, bytes: &[u8]) -> Result<Proof> {
    Proof::parse(bytes).map_err(|error| {
        let refused = Error::with_code(
            Code::SigsumProofMalformed,
            format!("{}: {error}", args.proof.display()),
        );
        if bytes.contains(&b'\r') && bytes.starts_with(b"version=") {
            return refused
                .detail(
                    "its lines end with carriage returns: a mail program or an editor changed it",
                )
                .remedy("take them away: `tr -d '\\r' < FILE > NEW`, and attach that");
        }
        let refused = match text_file::oddity(bytes) {
            Some(odd) => refused.detail(odd.what),
            None => refused,
        };
        match bytes.len() > MAX_PROOF_LEN || !is_proof(bytes) {
            true => refused
                .remedy("give the file NAME.zip.proof that sigsum-submit wrote, byte for byte"),
            false => refused,
        }
    })
}

/// Whether a machine would count this proof, were it the only one.
fn check(
    judge: &Judge,
    endorsement: &Endorsement,
    proof: &Proof,
    certificate: &Certificate,
    digest: Sha256Digest,
) -> Result<()> {
    match judge {
        Judge::Sigsum(policy) => {
            policy.verify(proof, certificate, digest).map_err(|error| Error::coded(&error))?;
        }
        Judge::Machine(policy) => {
            let clock = dates::clock(None);
            let endorsements = core::slice::from_ref(endorsement);
            let judged = trust::authorize(policy, endorsements, digest, &clock);
            if let Err(refusal) = judged
                && let Some(skipped) = refusal.skipped().first()
            {
                return Err(Error::with_code(skipped.code, &*skipped.reason));
            }
        }
    }
    Ok(())
}

/// Adds the proof, or puts it in the place of the certificate's last one. Whether it did.
fn put(
    args: &Args,
    descriptor: &mut Descriptor,
    certificate_pem: &str,
    endorsement: &Endorsement,
) -> Result<bool> {
    let same = |it: &Endorsement| it.certificate_der == endorsement.certificate_der;
    let Some(index) = descriptor.endorsements().iter().position(same) else {
        descriptor
            .push(certificate_pem, &endorsement.signature)
            .map_err(|error| Error::coded(&error))?;
        return Ok(false);
    };
    let is_proof = descriptor.endorsements().get(index).is_some_and(|it| is_proof(&it.signature));
    let entry = index + 1;
    if !is_proof {
        let message = format!("signature {entry} is a plain one with the same certificate");
        return Err(Error::with_code(Code::SignerRepeated, message).remedy(
            "for machines of both kinds, issue a second certificate over the same key \
             (`ramstrap keygen certificate --key`), and attach the proof with that",
        ));
    }
    if !args.replace {
        let message = format!("signature {entry} is a Sigsum proof with the same certificate");
        return Err(Error::with_code(Code::SignerRepeated, message)
            .remedy("--replace puts the new proof in its place"));
    }
    descriptor.replace_signature(index, &endorsement.signature);
    Ok(true)
}
