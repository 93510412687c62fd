//! `ramstrap ospkg sigsum`: signatures that are public.

mod attach;
mod verify;

use std::path::Path;
use std::path::PathBuf;

use clap::Subcommand;
use report::Code;
use serde::Serialize;
use trust::Certificate;
use trust::Endorsement;
use trust::MAX_ENDORSEMENTS;
use trust::Sha256Digest;
use trust::SigsumPolicy;
use trust::Timestamp;
use trust::TrustPolicy;
use trust::sigsum::Proof;
use trust::sigsum::Standing;
use trust::sigsum::is_proof;

use crate::Error;
use crate::Result;
use crate::boot_image;
use crate::boot_image::Config;
use crate::dates;
use crate::files;
use crate::output::Output;

/// Attach and verify Sigsum proofs: signatures that were published in a log.
///
/// Signing for a log is done with Sigsum's own `sigsum-submit`; docs/sigsum.md shows how.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  sigsum-submit -k alice.key -p trust-policy/ospkg_trust_policy os.zip
  ramstrap ospkg sigsum attach --proof os.zip.proof --cert alice.pem os.json
  ramstrap ospkg sigsum verify --trust-policy trust-policy/ os.json";

#[derive(Debug, Subcommand)]
enum What {
    Attach(attach::Args),
    Verify(verify::Args),
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    match &args.what {
        What::Attach(args) => attach::run(args, output),
        What::Verify(args) => verify::run(args, output),
    }
}

/// Whose logs and witnesses count.
#[derive(Debug, clap::Args)]
#[group(multiple = false)]
struct Rules {
    /// A trust policy directory with `ospkg_trust_policy`: everything is judged as a machine does.
    #[arg(long, value_name = "DIR")]
    trust_policy: Option<PathBuf>,
    /// A Sigsum policy file: proofs are judged, certificates are not.
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
}

/// [`Rules`], read.
enum Judge {
    Machine(Box<TrustPolicy>),
    Sigsum(Box<SigsumPolicy>),
}

impl Judge {
    fn read(rules: &Rules, output: &mut Output) -> Result<Option<Self>> {
        if let Some(directory) = &rules.trust_policy {
            let found = Config::read_trust_policy(directory)?;
            let policy =
                boot_image::load_policy(&found).map_err(|it| it.on(directory.display()))?;
            if policy.sigsum().is_none() {
                let message = format!("{} has no ospkg_trust_policy", directory.display());
                return Err(Error::with_code(Code::SigsumKind, message).remedy(
                    "machines with this trust policy count plain signatures only: put the Sigsum \
                     policy into it, or sign with `ramstrap ospkg sign`",
                ));
            }
            for warning in policy.warnings() {
                output.warning(format!("{}: {warning}", directory.display()));
            }
            return Ok(Some(Self::Machine(Box::new(policy))));
        }
        let Some(file) = &rules.policy else { return Ok(None) };
        let policy = read_policy(file)?;
        for warning in policy.warnings() {
            output.warning(format!("{}: {warning}", file.display()));
        }
        Ok(Some(Self::Sigsum(Box::new(policy))))
    }

    fn sigsum(&self) -> Option<&SigsumPolicy> {
        match self {
            Self::Machine(policy) => policy.sigsum(),
            Self::Sigsum(policy) => Some(policy),
        }
    }
}

/// Reads a Sigsum policy file.
pub(in crate::commands) fn read_policy(file: &Path) -> Result<SigsumPolicy> {
    SigsumPolicy::parse(&files::read(file)?).map_err(|error| {
        Error::with_code(Code::SigsumPolicyInvalid, format!("{}: {error}", file.display()))
    })
}

/// Warns of quorums that have cosigned at a time that is still to come: machines take it for the
/// present, for nobody can cosign before that.
pub(super) fn warn_of_future(
    policy: Option<&SigsumPolicy>,
    endorsements: &[Endorsement],
    digest: Sha256Digest,
    output: &mut Output,
) {
    let Some(policy) = policy else { return };
    let now = Timestamp::from_unix(dates::now());
    for endorsement in endorsements.iter().take(MAX_ENDORSEMENTS) {
        let Ok(certificate) = Certificate::parse(&endorsement.certificate_der) else { continue };
        let Ok(proof) = Proof::parse(&endorsement.signature) else { continue };
        let time =
            policy.verify(&proof, &certificate, digest).ok().and_then(|logged| logged.time());
        if let Some(time) = time.filter(|time| *time > now) {
            output.warning(format!(
                "the proof of {} is cosigned in the future, on {time}: machines take that for the \
                 present, and certificates that end before it as expired; is the time right here, \
                 and at the witnesses?",
                certificate.label()
            ));
        }
    }
}

/// What a proof says of itself, held against a policy where there is one.
#[derive(Debug, Serialize)]
pub(super) struct Facts {
    /// SHA-256 of the log's key.
    pub(super) log: String,
    pub(super) size: u64,
    pub(super) leaf_index: u64,
    /// Those that the policy's quorum asks; without a policy none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    witnesses: Vec<Witness>,
    /// Lines of witnesses, known or not.
    pub(super) cosignatures: usize,
    /// Latest time that any of these lines claims.
    pub(super) newest_claimed: Option<String>,
    /// When the quorum had cosigned; absent where it has not, or none is needed.
    cosigned: Option<String>,
}

#[derive(Debug, Serialize)]
struct Witness {
    name: String,
    state: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
}

impl Facts {
    /// Of an entry that is a proof which can be read; `None` of any other.
    pub(super) fn of(
        endorsement: &Endorsement,
        judged: Option<(&SigsumPolicy, Sha256Digest)>,
    ) -> Option<Self> {
        if !is_proof(&endorsement.signature) {
            return None;
        }
        let proof = Proof::parse(&endorsement.signature).ok()?;
        let certificate = Certificate::parse(&endorsement.certificate_der).ok();
        let logged =
            judged.zip(certificate.as_ref()).and_then(|((policy, digest), certificate)| {
                policy.verify(&proof, certificate, digest).ok()
            });
        let witness = |(name, standing): (String, Standing)| match standing {
            Standing::Cosigned(time) => {
                Witness { name, state: "cosigned", time: Some(time.to_string()) }
            }
            Standing::Wrong => Witness { name, state: "wrong", time: None },
            Standing::Missing => Witness { name, state: "missing", time: None },
        };
        let standings = judged.map(|(policy, _)| policy.witness_standings(&proof));
        let newest = proof.cosignatures().map(|(_, time)| time).max();
        Some(Self {
            log: proof.log().to_string(),
            size: proof.size(),
            leaf_index: proof.leaf_index(),
            witnesses: standings.unwrap_or_default().into_iter().map(witness).collect(),
            cosignatures: proof.cosignatures().count(),
            newest_claimed: newest.map(|time| time.to_string()),
            cosigned: logged.and_then(|logged| logged.time()).map(|time| time.to_string()),
        })
    }

    /// For people.
    pub(super) fn show(&self, output: &Output) {
        output.field("  Sigsum log", &self.log);
        output.field("  leaf", format!("{} of {}", self.leaf_index, self.size));
        for witness in &self.witnesses {
            let text = match (&witness.time, witness.state) {
                (Some(time), _) => format!("{} on {time}", witness.name),
                (None, "wrong") => format!("{}: WRONG, not its cosignature", witness.name),
                (None, _) => format!("{}: missing", witness.name),
            };
            output.field("  witness", text);
        }
        match (&self.cosigned, &self.newest_claimed) {
            (Some(time), _) => output.field("  quorum since", time),
            (None, Some(time)) if self.witnesses.is_empty() => {
                let lines = super::super::count(self.cosignatures, "cosignature");
                output.field("  witnesses", format!("{lines}, the newest on {time}"));
            }
            _ => {}
        }
    }
}
