//! `cargo xtask ospkg`: what of it needs the source tree. Everything else is the operator's tool.

mod rebuild;

use std::process::ExitCode;

use clap::Subcommand;

pub(super) use rebuild::Common;

/// OS packages that are built from this source tree
///
/// `cargo xtask ospkg --help` shows the operator's commands beside these.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Rebuild(rebuild::Args),
}

pub(super) fn run(args: &Args) -> ExitCode {
    match &args.what {
        What::Rebuild(args) => rebuild::run(args),
    }
}
