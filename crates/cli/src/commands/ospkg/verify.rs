//! `ramstrap ospkg verify`.

use std::fs::File;
use std::path::PathBuf;

use ospkg::Descriptor;
use serde_json::json;
use trust::TrustPolicy;

use super::facts;
use super::judge;
use super::judge::Judge;
use super::reading;
use super::reading::Reader;
use super::reading::refused_from_mirrors;
use super::sigsum::warn_of_future;
use crate::Result;
use crate::commands::size;
use crate::dates;
use crate::output::Output;
use crate::package;
use crate::package::Names;
use crate::package::Opened;

/// Say whether machines with a given trust policy boot an OS package.
///
/// Does what a machine does, up to the jump into the kernel: descriptor, signatures, archive,
/// manifest, kernel and initramfs. The archive is NAME.zip beside the descriptor; `os_pkg_url` is
/// not followed, but must be one that machines follow where the trust policy has them fetch packages.
/// Both files may be encrypted with age, to an identity of the trust policy or of --identity; where
/// the trust policy has identities and packages are fetched, they must be. Exit status: 0 accepted, 1 refused or unreadable, 2 wrong usage.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(flatten)]
    judge: Judge,
    /// Age identities for files that are encrypted, in place of the trust policy's own.
    #[arg(long, value_name = "FILE")]
    identity: Option<PathBuf>,
    /// For `ramstrap stmgr`: only warn of what stmgr has no eye for, kernels and the way from a mirror.
    #[arg(long, hide = true)]
    as_stmgr: bool,
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
    let given = reading::identities(args.identity.as_deref())?;
    let reader = Reader::new(&names, given.as_ref(), Some(&policy));
    let descriptor = reader.descriptor()?;
    let archive = reader.archive()?;
    let from_mirrors = refused_from_mirrors(&policy, &descriptor, Some(archive.encrypted));
    let judged = judged(args, &policy, &names, &descriptor.plain, archive.plain, output);
    // Roots alone do not say where machines have packages from.
    let refuses = args.judge.is_whole() && !args.as_stmgr;
    match from_mirrors.split_first() {
        Some((first, rest)) if refuses => {
            let first = first.clone().on(names.descriptor.display());
            let error = rest.iter().fold(first, |it, next| it.detail(reading::line(next)));
            return Err(error.detail(match judged {
                Ok(_) => {
                    "signatures, archive, kernel and initramfs are as they should be".to_owned()
                }
                Err(next) => format!("and then: {}", reading::line(&next)),
            }));
        }
        _ => {
            for error in &from_mirrors {
                output
                    .warning(format!("machines refuse it from a mirror: {}", reading::line(error)));
            }
        }
    }
    let (package, length) = judged?;
    tell(&names, &package, length, args.judge.at(), output);
    Ok(())
}

/// What a machine does that has both files, and the archive's length.
fn judged(
    args: &Args,
    policy: &TrustPolicy,
    names: &Names,
    descriptor: &Descriptor,
    mut archive: File,
    output: &mut Output,
) -> Result<(Opened, u64)> {
    let (digest, length) = names.digest_archive(&mut archive)?;
    if args.judge.given().is_none() {
        warn_of_future(policy.sigsum(), descriptor.endorsements(), digest, output);
    }
    let authorized =
        trust::authorize(policy, descriptor.endorsements(), digest, &args.judge.clock())
            .map_err(|refusal| judge::refused(&refusal).on(names.descriptor.display()))?;
    let package = package::open(names, authorized, digest, archive)?;
    match package::check_kernel(&package.kernel().head) {
        Err(error) if args.as_stmgr => {
            output.warning(format!("a machine will not boot this kernel: {error}"));
        }
        Err(error) => {
            let kernel = &package.manifest().kernel;
            return Err(error.on(format!("{}: {kernel}", names.archive.display())));
        }
        Ok(()) => {}
    }
    Ok((package, length))
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
