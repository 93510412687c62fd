//! `ramstrap ospkg`: OS packages.

mod create;
mod diff;
mod encrypt;
mod extract;
mod facts;
mod inspect;
mod judge;
mod merge;
mod reading;
mod sign;
mod sigsum;
mod status;
mod verify;

use clap::Subcommand;

use crate::Result;
use crate::output::Output;

pub(super) use sigsum::read_policy as read_sigsum_policy;

/// Create, sign, verify, encrypt, inspect, compare and take apart OS packages.
#[derive(Debug, clap::Args)]
#[command(arg_required_else_help = true, after_help = EXAMPLES)]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

const EXAMPLES: &str = "\
Examples:
  ramstrap ospkg create --kernel vmlinuz --initramfs initramfs.cpio.zst \\
      --url os.zip --out os
  ramstrap ospkg sign --key alice.key --cert alice.pem os.json
  ramstrap ospkg sign --key bob.key --cert bob.pem os.json
  ramstrap ospkg merge os.alice.json os.bob.json --out os.json
  ramstrap ospkg status --trust-policy trust-policy/ os.json
  ramstrap ospkg verify --trust-policy trust-policy/ os.json
  ramstrap ospkg encrypt --trust-policy trust-policy/ --out public/ os.json
  ramstrap ospkg inspect os.json
  ramstrap ospkg diff os-1.json os-2.json";

#[derive(Debug, Subcommand)]
enum What {
    Create(create::Args),
    Sign(sign::Args),
    Verify(verify::Args),
    Inspect(inspect::Args),
    Merge(merge::Args),
    Status(status::Args),
    Sigsum(sigsum::Args),
    Diff(diff::Args),
    Extract(extract::Args),
    Encrypt(encrypt::Args),
}

pub(super) fn run(args: Args, output: &mut Output) -> Result<()> {
    match args.what {
        What::Create(args) => create::run(args, output),
        What::Sign(args) => sign::run(&args, output),
        What::Verify(args) => verify::run(&args, output),
        What::Inspect(args) => inspect::run(&args, output),
        What::Merge(args) => merge::run(&args, output),
        What::Status(args) => status::run(&args, output),
        What::Sigsum(args) => sigsum::run(&args, output),
        What::Diff(args) => diff::run(&args, output),
        What::Extract(args) => extract::run(&args, output),
        What::Encrypt(args) => encrypt::run(&args, output),
    }
}
