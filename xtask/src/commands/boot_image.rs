//! `cargo xtask boot-image`: what of it needs the source tree. Everything else is the operator's tool.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Subcommand;
use xtask::rebuild::image;
use xtask::rebuild::image::Given;
use xtask::rebuild::tell;

use super::ospkg::Common;

/// Boot images that are built from this source tree
///
/// `cargo xtask boot-image --help` shows the operator's commands beside these.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask boot-image build --locked --format iso … (/init compiled in the locked root)\n  \
    cargo xtask boot-image rebuild boot.iso")]
pub(super) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    Rebuild(Box<Rebuild>),
}

/// Build a boot image again from its recorded source, and compare every byte
///
/// Reads what the image says of its build (`built` in `/etc/ramstrap/image.json`), checks out that
/// revision, and builds there. Trust policy, host configuration, build time and command line are taken
/// from the image: they are yours to read (`ramstrap boot-image inspect`), not the builder's. Its
/// kernel is built again, too, or taken from this user's cache of kernels. Signatures for Secure Boot
/// are moved over: what they are over is compared.
///
/// Exit status: 0 identical, 1 different, 2 not rebuilt (wrong usage, a reason why it cannot be, or a
/// build that failed).
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    cargo xtask boot-image rebuild boot.iso\n  \
    cargo xtask boot-image rebuild initramfs.img --modules /lib/modules/6.1.0-25-amd64")]
struct Rebuild {
    /// The image, or the directory of --format pxe
    #[arg(value_name = "FILE|DIR")]
    image: PathBuf,

    /// The kernel, where it is none of this source tree
    #[arg(long, value_name = "FILE")]
    kernel: Option<PathBuf>,

    /// The modules that were chosen from, where the image has some
    #[arg(long, value_name = "DIR")]
    modules: Option<PathBuf>,

    /// The firmware that was chosen from, where the image has some
    #[arg(long, value_name = "DIR")]
    firmware: Option<PathBuf>,

    /// The directory of UEFI stub and BIOS loaders that was used [default: where Debian has them]
    #[arg(long, value_name = "DIR")]
    loaders: Option<PathBuf>,

    #[command(flatten)]
    common: Common,
}

pub(super) fn run(args: &Args) -> ExitCode {
    let What::Rebuild(args) = &args.what;
    let given = Given {
        kernel: args.kernel.clone(),
        modules: args.modules.clone(),
        firmware: args.firmware.clone(),
        loaders: args.loaders.clone(),
    };
    let outcome = image::rebuild(&args.image, &given, &args.common.options());
    tell::outcome(&outcome, args.common.json())
}
