//! `ramstrap ospkg sigsum verify`.

use std::path::PathBuf;

use report::Code;
use report::Coded;
use serde::Serialize;
use serde_json::json;
use trust::Certificate;
use trust::Clock;
use trust::Endorsement;
use trust::Sha256Digest;
use trust::SigsumPolicy;
use trust::TrustPolicy;
use trust::sigsum::Proof;
use trust::sigsum::is_proof;

use super::super::reading::Reader;
use super::Facts;
use super::Judge;
use super::Rules;
use super::warn_of_future;
use crate::Error;
use crate::Result;
use crate::commands::count;
use crate::dates;
use crate::output::Output;
use crate::package::Names;

/// Say of each signature where it was published, which witnesses count and which are missing.
///
/// With --trust-policy, accepted is what machines with that policy accept; with --policy, a
/// descriptor that has proofs, all of which are true. The archive is hashed, not opened. Both files may
/// be encrypted with age, to an identity of --trust-policy. Exit status: 0 accepted, 1 refused or
/// unreadable, 2 wrong usage.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    rules: Rules,
    /// Judge as of this moment, such as 2026-11-21 or 2026-11-21T22:07:17Z. Without it: now.
    #[arg(
        long, value_name = "DATE", value_parser = dates::parse, allow_hyphen_values = true,
        conflicts_with = "policy"
    )]
    at: Option<i64>,
    /// The descriptor.
    #[arg(value_name = "NAME.json")]
    descriptor: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg sigsum verify --trust-policy trust-policy/ os.json
  ramstrap ospkg sigsum verify --policy ospkg_trust_policy --json os.json \\
      | jq .signatures";

/// One signature of the descriptor.
#[derive(Serialize)]
struct Entry {
    subject: String,
    /// `sigsum` or `plain`.
    kind: &'static str,
    counts: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    code: Option<Code>,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    sigsum: Option<Facts>,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let Some(judge) = Judge::read(&args.rules, output)? else {
        return Err(Error::usage("--trust-policy DIR or --policy FILE is needed"));
    };
    let names = Names::of_descriptor(&args.descriptor)?;
    let machine = match &judge {
        Judge::Machine(policy) => Some(&**policy),
        Judge::Sigsum(_) => None,
    };
    let reader = Reader::new(&names, None, machine);
    let descriptor = reader.descriptor()?.plain;
    let endorsements = descriptor.endorsements();
    let mut archive = reader.archive()?.plain;
    let (digest, _) = names.digest_archive(&mut archive)?;
    if args.at.is_none() {
        warn_of_future(judge.sigsum(), endorsements, digest, output);
    }
    let (verdict, mut entries) = match &judge {
        Judge::Machine(policy) => by_machine(policy, endorsements, digest, &dates::clock(args.at)),
        Judge::Sigsum(policy) => by_policy(policy, endorsements, digest),
    };
    for (entry, endorsement) in entries.iter_mut().zip(endorsements) {
        entry.sigsum = Facts::of(endorsement, judge.sigsum().map(|policy| (policy, digest)));
    }
    show(&entries, output);
    let (code, told) = match verdict {
        Ok(told) => (None, told),
        Err((code, told)) => (Some(code), told),
    };
    let result = json!({
        "verdict": if code.is_none() { "accepted" } else { "refused" },
        "descriptor": names.descriptor,
        "sha256": digest.to_string(),
        "signatures": entries,
    });
    match code {
        None => {
            output.verdict(true, "accepted", format!("{}: {told}", names.descriptor.display()));
            output.result(result);
            Ok(())
        }
        Some(code) => {
            let error = Error::with_code(code, told).on(names.descriptor.display());
            let reasons = (1..).zip(&entries).filter_map(|(number, entry)| {
                let (code, reason) = (entry.code?, entry.reason.as_ref()?);
                Some(format!("signature {number} by {}: {reason} [{code}]", entry.subject))
            });
            Err(reasons.fold(error, |error, reason| error.detail(reason)).data(result))
        }
    }
}

type Verdict = core::result::Result<String, (Code, String)>;

/// As a machine with this trust policy.
fn by_machine(
    policy: &TrustPolicy,
    endorsements: &[Endorsement],
    digest: Sha256Digest,
    clock: &Clock,
) -> (Verdict, Vec<Entry>) {
    let judged = trust::authorize(policy, endorsements, digest, clock);
    let (verdict, skipped) = match &judged {
        Ok(authorized) => {
            let valid = authorized.signers().len();
            (
                Ok(format!("{valid} valid, {} required", authorized.threshold())),
                authorized.skipped(),
            )
        }
        Err(refusal) => (Err((refusal.code(), refusal.counts())), refusal.skipped()),
    };
    let entry = |(number, endorsement): (usize, &Endorsement)| {
        let skipped = skipped.iter().find(|skipped| skipped.entry == number);
        let why = skipped.map(|skipped| (skipped.code, skipped.reason.clone()));
        // Too many signatures are refused unread.
        let read = endorsements.len() <= trust::MAX_ENDORSEMENTS;
        Entry::new(endorsement, why, read)
    };
    (verdict, (1..).zip(endorsements).map(entry).collect())
}

/// Proofs alone, each by itself.
fn by_policy(
    policy: &SigsumPolicy,
    endorsements: &[Endorsement],
    digest: Sha256Digest,
) -> (Verdict, Vec<Entry>) {
    let entries: Vec<Entry> = endorsements
        .iter()
        .map(|endorsement| Entry::new(endorsement, why_not(policy, endorsement, digest), true))
        .collect();
    let mut proofs = entries.iter().filter(|entry| entry.kind == "sigsum").peekable();
    let verdict = if proofs.peek().is_none() {
        Err((Code::SigsumKind, "no signature is a Sigsum proof".to_owned()))
    } else if let Some(code) = proofs.find_map(|entry| entry.code) {
        Err((code, "a Sigsum proof does not count".to_owned()))
    } else {
        let counting = entries.iter().filter(|entry| entry.counts).count();
        Ok(count(counting, "Sigsum proof"))
    };
    (verdict, entries)
}

fn why_not(
    policy: &SigsumPolicy,
    endorsement: &Endorsement,
    digest: Sha256Digest,
) -> Option<(Code, String)> {
    if !is_proof(&endorsement.signature) {
        return Some((Code::SigsumKind, "a plain signature".to_owned()));
    }
    let proof = match Proof::parse(&endorsement.signature) {
        Ok(proof) => proof,
        Err(error) => return Some((Code::SigsumProofMalformed, error.to_string())),
    };
    match Certificate::parse(&endorsement.certificate_der) {
        Ok(certificate) => {
            let judged = policy.verify(&proof, &certificate, digest);
            judged.err().map(|error| (error.code(), error.to_string()))
        }
        Err(error) => Some((error.code(), error.to_string())),
    }
}

impl Entry {
    fn new(endorsement: &Endorsement, why: Option<(Code, String)>, read: bool) -> Self {
        let certificate = Certificate::parse(&endorsement.certificate_der);
        let counts = read && why.is_none();
        let (code, reason) = why.unzip();
        Self {
            subject: certificate.map_or_else(|_| "?".to_owned(), |it| it.label()),
            kind: if is_proof(&endorsement.signature) { "sigsum" } else { "plain" },
            counts,
            code,
            reason,
            sigsum: None,
        }
    }
}

fn show(entries: &[Entry], output: &Output) {
    for (number, entry) in (1..).zip(entries) {
        output.field(&format!("signature {number}"), &entry.subject);
        if let Some(facts) = &entry.sigsum {
            facts.show(output);
        }
        let verdict = match (&entry.reason, entry.code) {
            (Some(reason), Some(code)) => format!("does not count: {reason} [{code}]"),
            _ if entry.counts => "counts".to_owned(),
            _ => "not read".to_owned(),
        };
        output.field("  verdict", verdict);
    }
}
