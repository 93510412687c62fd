//! `cargo xtask ospkg rebuild`.

use std::path::PathBuf;
use std::process::ExitCode;

use xtask::rebuild::Options;
use xtask::rebuild::package;
use xtask::rebuild::tell;

/// Build a package again from its recorded source, and compare every byte
///
/// Reads `build.json` in the archive beside the descriptor, checks out the revision that it names into
/// a directory of its own, builds there with the recorded options, and compares. Nothing is verified:
/// no signature has a part in it. If every byte is the same, that is remembered for this user, and
/// `ramstrap ospkg sign --after-rebuild` signs.
///
/// The code that runs is that of the recorded revision, which has to be in the repository: take one
/// that you trust.
///
/// Exit status: 0 identical, 1 different, 2 not rebuilt (wrong usage, a reason why it cannot be, or a
/// build that failed).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask ospkg rebuild vpn.json\n  \
    cargo xtask ospkg rebuild vpn.json --inputs https://images.example.org/kept/\n  \
    cargo xtask ospkg rebuild vpn.json --source ~/ramstrap.git --json")]
pub(crate) struct Args {
    /// The descriptor; the archive is NAME.zip beside it
    #[arg(value_name = "NAME.json")]
    descriptor: PathBuf,

    #[command(flatten)]
    common: Common,
}

/// What both rebuilds ask for.
#[derive(Debug, clap::Args)]
pub(crate) struct Common {
    /// The publisher's kept inputs: a directory, or an http(s) URL of one [default: fetch each where
    /// the recipe says]
    #[arg(long, value_name = "DIR|URL")]
    inputs: Option<String>,

    /// A checkout or a bare repository that has the recorded revision [default: this one]
    #[arg(long, value_name = "DIR|URL")]
    source: Option<String>,

    /// Refuse what was not built in the locked root of ospkg/builder.lock
    ///
    /// What was built in it is always rebuilt in it.
    #[arg(long)]
    locked: bool,

    /// Leave checkout and result where they are, to look into
    #[arg(long)]
    keep: bool,

    /// Print the result as JSON
    #[arg(long)]
    json: bool,
}

impl Common {
    /// As the library takes it.
    pub(crate) fn options(&self) -> Options {
        Options {
            inputs: self.inputs.clone(),
            source: self.source.clone(),
            locked: self.locked,
            keep: self.keep,
        }
    }

    /// Whether a script reads.
    pub(crate) fn json(&self) -> bool {
        self.json
    }
}

pub(super) fn run(args: &Args) -> ExitCode {
    let outcome = package::rebuild(&args.descriptor, &args.common.options());
    tell::outcome(&outcome, args.common.json())
}
