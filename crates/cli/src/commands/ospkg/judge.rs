//! By whom and as of when a package is judged: the options of every command that does as a machine does.

use std::path::Path;
use std::path::PathBuf;

use report::Coded;
use trust::Clock;
use trust::Refusal;
use trust::TrustPolicy;

use crate::Error;
use crate::Result;
use crate::boot_image;
use crate::boot_image::Config;
use crate::dates;
use crate::files;
use crate::output::Output;

/// Whose signatures count, and as of when.
#[derive(Debug, clap::Args)]
pub(super) struct Judge {
    #[command(flatten)]
    whose: Whose,
    /// How many distinct keys must have signed (with --signing-root).
    #[arg(
        long, value_name = "N", requires = "signing_root", conflicts_with = "trust_policy",
        value_parser = clap::value_parser!(u64).range(1..)
    )]
    threshold: Option<u64>,
    /// Judge as of this moment, such as 2026-11-21 or 2026-11-21T22:07:17Z. Without it: now.
    #[arg(long, value_name = "DATE", value_parser = dates::parse, allow_hyphen_values = true)]
    at: Option<i64>,
}

/// A command that may judge by nobody at all puts its own option into this group.
#[derive(Debug, clap::Args)]
#[group(id = "whose", required = true, multiple = false)]
struct Whose {
    /// A trust policy directory.
    #[arg(long, value_name = "DIR")]
    trust_policy: Option<PathBuf>,
    /// Signing roots in PEM, in place of a directory; needs --threshold.
    #[arg(long, value_name = "FILE", requires = "threshold")]
    signing_root: Option<PathBuf>,
}

impl Judge {
    /// The policy that was named, or one of these roots and threshold.
    pub(super) fn policy(&self, output: &mut Output) -> Result<TrustPolicy> {
        let Whose { trust_policy, signing_root } = &self.whose;
        match (trust_policy, signing_root.as_deref().zip(self.threshold)) {
            (Some(directory), _) => policy(directory, output),
            (None, Some((roots, threshold))) => {
                let pem = files::read(roots)?;
                TrustPolicy::for_roots(&pem, threshold)
                    .map_err(|error| Error::coded(&error).on(roots.display()).if_odd(&pem))
            }
            // clap has seen to it that this cannot be.
            (None, None) => {
                Err(Error::usage("--trust-policy, or --signing-root and --threshold, is needed"))
            }
        }
    }

    /// Whether a trust policy was named, which says where its machines have packages from.
    pub(super) fn is_whole(&self) -> bool {
        self.whose.trust_policy.is_some()
    }

    /// The moment, if one was given.
    pub(super) fn given(&self) -> Option<i64> {
        self.at
    }

    /// The moment, in Unix seconds.
    pub(super) fn at(&self) -> i64 {
        self.at.unwrap_or_else(dates::now)
    }

    /// The clock of a machine at this moment.
    pub(super) fn clock(&self) -> Clock {
        dates::clock(self.at)
    }
}

/// The policy of a directory.
pub(super) fn policy(directory: &Path, output: &mut Output) -> Result<TrustPolicy> {
    let found = Config::read_trust_policy(directory)?;
    let policy = boot_image::load_policy(&found).map_err(|it| it.on(directory.display()))?;
    for warning in policy.warnings() {
        output.warning(format!("{}: {warning}", directory.display()));
    }
    Ok(policy)
}

/// The counts in one line, then a line for every signature that did not count.
pub(super) fn refused(refusal: &Refusal) -> Error {
    let error = Error::with_code(refusal.code(), refusal.counts());
    refusal
        .skipped()
        .iter()
        .fold(error, |error, skipped| error.detail(format!("{skipped} [{}]", skipped.code)))
}
