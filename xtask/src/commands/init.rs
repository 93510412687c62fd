//! `cargo xtask init`.

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context;
use anyhow::Result;
use xtask::build;

/// Build /init, the static executable of boot images
///
/// `ramstrap boot-image build --init FILE` puts it into a boot image. Installed as `ramstrap-init`
/// beside the executable `ramstrap`, it is found without `--init`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    /// Where to write it; in a directory it is called ramstrap-init
    #[arg(value_name = "FILE|DIR")]
    file: PathBuf,
}

pub(super) fn run(args: &Args) -> Result<ExitCode> {
    let built = build::init()?;
    let file = if args.file.is_dir() { args.file.join("ramstrap-init") } else { args.file.clone() };
    // Not in place: the file may be the executable of a process that runs.
    if let Err(error) = fs::remove_file(&file)
        && error.kind() != std::io::ErrorKind::NotFound
    {
        return Err(error).with_context(|| format!("cannot replace {}", file.display()));
    }
    let length =
        fs::copy(&built, &file).with_context(|| format!("cannot write {}", file.display()))?;
    eprintln!("{}: {length} bytes, static", file.display());
    Ok(ExitCode::SUCCESS)
}
