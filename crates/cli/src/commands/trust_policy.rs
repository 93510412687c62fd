//! `ramstrap trust-policy`: checks before a policy is embedded.

use std::path::Path;
use std::path::PathBuf;

use agefile::Identity;
use clap::Subcommand;
use report::Code;
use serde_json::json;
use trust::FetchMethod;
use trust::PolicyDocument;
use trust::SigsumPolicy;
use trust::Timestamp;
use trust::TrustPolicy;

use super::count;
use crate::Error;
use crate::Result;
use crate::boot_image;
use crate::boot_image::Config;
use crate::dates;
use crate::files;
use crate::output::Output;

/// Check a trust policy.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap trust-policy check trust_policy.json
  ramstrap trust-policy check /etc/trust_policy/";

#[derive(Debug, Subcommand)]
enum What {
    Check(Check),
}

/// Judge a trust policy exactly as a machine will. The normal form goes to stdout.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
struct Check {
    /// `trust_policy.json` alone, or the whole directory with its certificates.
    #[arg(value_name = "FILE|DIR")]
    path: PathBuf,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let What::Check(Check { path }) = &args.what;
    match path.file_name() {
        _ if path.is_dir() => directory(path, output),
        Some(name) if name == boot_image::SIGSUM_POLICY => sigsum(path, output),
        _ => file(path, output),
    }
}

fn file(path: &Path, output: &mut Output) -> Result<()> {
    document(&files::read(path)?, &path.display().to_string(), output)
}

/// Judges the text of a `trust_policy.json` and prints its normal form; `name` is for errors.
pub(super) fn document(text: &[u8], name: &str, output: &mut Output) -> Result<()> {
    let document = PolicyDocument::parse(text).map_err(|error| {
        let refused = Error::coded(&error).on(name).in_check();
        match refused.code() {
            Some(Code::TrustPolicyMalformed) => refused.if_odd(text),
            _ => refused,
        }
    })?;
    tell(&document, None, output)
}

/// A Sigsum policy by itself.
fn sigsum(path: &Path, output: &mut Output) -> Result<()> {
    let policy = super::ospkg::read_sigsum_policy(path).map_err(Error::in_check)?;
    for warning in policy.warnings() {
        output.warning(warning);
    }
    let meaning = sigsum_meaning(&policy);
    for sentence in &meaning {
        output.line(sentence);
    }
    output.result(json!({ "sha256": policy.digest().to_string(), "meaning": meaning }));
    Ok(())
}

fn directory(path: &Path, output: &mut Output) -> Result<()> {
    let found = Config::read_trust_policy(path)?;
    let policy =
        boot_image::load_policy(&found).map_err(|error| error.on(path.display()).in_check())?;
    for name in found.keys().filter(|it| !boot_image::POLICY_FILES.contains(&it.as_str())) {
        output.warning(format!("{name} is not part of a trust policy and is not embedded"));
    }
    let now = Timestamp::from_unix(dates::now());
    for root in policy.signing_roots().iter().filter(|root| root.not_after() < now) {
        output.warning(format!(
            "the signing root {} expired on {}",
            root.label(),
            root.not_after()
        ));
    }
    tell(policy.document(), Some(&policy), output)
}

fn tell(
    document: &PolicyDocument,
    policy: Option<&TrustPolicy>,
    output: &mut Output,
) -> Result<()> {
    let warnings = policy.map_or_else(|| document.warnings().to_vec(), TrustPolicy::warnings);
    for warning in warnings {
        output.warning(warning);
    }
    let meaning = meaning(document, policy);
    let normal = serde_json::to_value(document)
        .map_err(|error| Error::new(format!("writing the normal form: {error}")))?;
    output.text(serde_json::to_string_pretty(document).unwrap_or_default());
    if !output.is_json() {
        for sentence in &meaning {
            output.note(sentence);
        }
    }
    let mut result = json!({ "trust_policy": normal, "meaning": meaning });
    if let Some(policy) = policy {
        result["report"] = serde_json::to_value(policy.report()).unwrap_or_default();
        result["tls_roots"] = policy.tls_roots().len().into();
    }
    output.result(result);
    Ok(())
}

fn meaning(document: &PolicyDocument, policy: Option<&TrustPolicy>) -> Vec<String> {
    let threshold = usize::try_from(document.threshold()).unwrap_or(usize::MAX);
    let mut sentences =
        vec![format!("An OS package boots with valid signatures by {}.", distinct(threshold))];
    sentences.push(match document.fetch_method() {
        FetchMethod::Network => "It comes over the network.".to_owned(),
        FetchMethod::Initramfs => "It comes from the boot image itself.".to_owned(),
    });
    if let Some(identities) = policy.and_then(TrustPolicy::decryption_identities) {
        let recipients: Vec<String> = identities.iter().map(Identity::recipient).collect();
        sentences.push(format!(
            "What comes over the network must be encrypted, to any of {}.",
            recipients.join(", ")
        ));
    }
    if !document.denied_keys().is_empty() {
        sentences.push(match document.denied_keys().len() {
            1 => "1 key never counts, whoever issued its certificate.".to_owned(),
            keys => format!("{keys} keys never count, whoever issued their certificates."),
        });
    }
    if let Some(release) = document.min_release() {
        sentences.push(format!("Its release is {release} or later."));
    }
    if let Some(sigsum) = policy.and_then(TrustPolicy::sigsum) {
        sentences.extend(sigsum_meaning(sigsum));
    }
    if let Some(age) = document.max_cosignature_age() {
        sentences.push(format!("What was cosigned more than {age} seconds ago does not boot."));
    }
    if let Some(channel) = document.channel() {
        sentences.push(format!("Its channel is {channel}."));
    }
    let network = document.fetch_method() == FetchMethod::Network;
    if let Some(policy) = policy {
        for root in policy.signing_roots() {
            sentences.push(format!(
                "Signers are issued by {} (valid until {}).",
                root.label(),
                root.not_after()
            ));
        }
        match policy.tls_roots().len() {
            0 if network => {
                sentences.push("There are no TLS roots: https cannot work, only http.".to_owned());
            }
            0 => {}
            roots => sentences
                .push(format!("HTTPS servers are checked against {}.", count(roots, "TLS root"))),
        }
    }
    sentences
}

fn sigsum_meaning(policy: &SigsumPolicy) -> Vec<String> {
    let logs = match policy.logs().count() {
        1 => "the log".to_owned(),
        logs => format!("one of {logs} logs"),
    };
    let witnesses: Vec<&str> = policy.witnesses().collect();
    let cosigned = if policy.needs_witnesses() {
        let fewest = policy.fewest_witnesses();
        let (verb, of) = if fewest == 1 { ("is", "1") } else { ("are", &*fewest.to_string()) };
        format!(
            "The fewest witnesses that can cosign {verb} {of} of {}: {}.",
            witnesses.len(),
            witnesses.join(", ")
        )
    } else {
        "No witness needs to cosign.".to_owned()
    };
    vec![
        format!("Every signature must have been published in {logs}: only Sigsum proofs count."),
        cosigned,
    ]
}

fn distinct(threshold: usize) -> String {
    if threshold == 1 { "1 key".to_owned() } else { format!("{threshold} distinct keys") }
}
