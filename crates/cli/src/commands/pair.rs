//! Two things that are compared, as `ramstrap compare` and `ramstrap ospkg diff` are told of them.

use std::path::PathBuf;

/// Two things, and how much is shown of what they do not have in common.
#[derive(Debug, clap::Args)]
pub(super) struct Pair {
    /// The first one; of two packages the earlier: its descriptor NAME.json, or its archive NAME.zip.
    #[arg(value_name = "FIRST")]
    pub(super) first: PathBuf,
    /// The second one; of two packages the later.
    #[arg(value_name = "SECOND")]
    pub(super) second: PathBuf,
    /// Show all that differs, not only the first lines of it.
    #[arg(long)]
    all: bool,
}

impl Pair {
    /// How many lines are shown: so few, unless all are asked for.
    pub(super) fn limit(&self, few: usize) -> usize {
        if self.all { usize::MAX } else { few }
    }

    /// Both names, for a sentence.
    pub(super) fn names(&self) -> String {
        format!("{} and {}", self.first.display(), self.second.display())
    }
}
