//! `cargo xtask demo`.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Result;
use xtask::demo;
use xtask::kernels::Choice;

/// Show the whole chain with throw-away keys
///
/// Makes throw-away keys and an OS package, serves it over HTTPS, boots a
/// machine that fetches, verifies and starts it, and draws the time line of the boot. What it makes
/// is in target/demo.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Kernel: ours, cloud, generic (this distribution's, downloaded) or a bzImage. Without it ours,
    /// if they are built
    #[arg(long, value_name = "FILE")]
    kernel: Option<String>,

    /// Directory with the modules of a kernel file
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let choice = Choice::from_args(args.kernel.as_deref(), args.modules.as_deref())?;
    demo::run(&choice).map(ExitCode::from)
}
