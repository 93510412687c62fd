//! `cargo xtask test`.

use std::process::ExitCode;

use anyhow::Result;
use xtask::check;

/// Check and test everything
///
/// Checks formatting and lints, runs the tests and boots machines in QEMU. What every change must
/// pass; with --all, everything.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Boot the whole matrix
    #[arg(long)]
    all: bool,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    Ok(if check::run(args.all)? { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
