//! `ramstrap boot-image`: what machines boot.

mod build;
mod configuration;
mod inspect;
mod show;
mod tell;

use clap::Subcommand;

use super::FindInit;
use crate::Result;
use crate::output::Output;

pub(super) use configuration::init_beside_this_tool;

/// Build boot images and boot media, and see what is in one.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap boot-image build --trust-policy trust-policy/ \\
      --host-config host.json \\
      --kernel bzImage --format iso --out boot.iso
  ramstrap boot-image build --trust-policy trust-policy/ \\
      --host-config host.json \\
      --modules /lib/modules/6.1.0-25-cloud-amd64 --out initramfs.img
  ramstrap boot-image inspect boot.iso";

#[derive(Debug, Subcommand)]
enum What {
    Build(Box<build::Args>),
    Inspect(inspect::Args),
}

pub(super) fn run(args: Args, output: &mut Output, find_init: FindInit<'_>) -> Result<()> {
    match args.what {
        What::Build(args) => build::run(&args, output, find_init),
        What::Inspect(args) => inspect::run(&args, output),
    }
}
