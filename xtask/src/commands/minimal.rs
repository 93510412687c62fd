//! `cargo xtask minimal`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use anyhow::Result;
use xtask::minimal;

/// Write the minimal OS as an initramfs
///
/// It is what `cargo xtask demo` boots: one static executable that prints the boot report and
/// powers off. `ramstrap ospkg create --initramfs FILE` makes an OS package of it.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to write the initramfs (cpio, zstd)
    file: PathBuf,

    /// Add a file of this many bytes that does not compress
    #[arg(long, value_name = "BYTES")]
    ballast: Option<u64>,

    /// Take drivers of this kernel's modules along, of NICs and disks: a directory such as
    /// /lib/modules/6.1.0-25-amd64
    #[arg(long, value_name = "DIR", conflicts_with = "ballast")]
    modules: Option<PathBuf>,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let initramfs = match &args.modules {
        Some(modules) => minimal::initramfs_with_drivers(modules)?,
        None => minimal::initramfs(args.ballast)?,
    };
    fs::write(&args.file, &initramfs)
        .with_context(|| format!("cannot write {}", args.file.display()))?;
    eprintln!("{}: {} bytes", args.file.display(), initramfs.len());
    Ok(ExitCode::SUCCESS)
}
