//! `ramstrap boot-image inspect`.

use std::path::PathBuf;

use serde_json::Value;

use super::show;
use crate::Error;
use crate::Result;
use crate::inspect;
use crate::output::Output;
use crate::progress::Progress;

const EXAMPLES: &str = "\
Examples:
  ramstrap boot-image inspect boot.iso
  ramstrap boot-image inspect --files initramfs.img
  ramstrap boot-image inspect pxe/ --json | jq .uki.pcrs";

/// Show what a boot image or medium holds: kernel, command line, trust policy, host configuration
/// (secrets as `***`), digests, signatures, expected PCR values. Nothing is decided.
///
/// Takes an initramfs, a UKI or another UEFI executable, an ISO, a disk image, a kernel, and the
/// directory of --format pxe.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub(super) struct Args {
    /// The image.
    #[arg(value_name = "FILE|DIR")]
    image: PathBuf,
    /// List all files of the initramfs, too.
    #[arg(long)]
    files: bool,
}

pub(super) fn run(args: &Args, output: &mut Output) -> Result<()> {
    let found = {
        let _progress = Progress::spinner("reading");
        inspect::inspect(&args.image)?
    };
    for warning in &found.warnings {
        output.warning(warning);
    }
    if !output.is_json() {
        show::show(&args.image, &found, args.files, output);
        return Ok(());
    }
    let mut result = serde_json::to_value(&found)
        .map_err(|error| Error::new(format!("writing what was found: {error}")))?;
    if let Some(object) = result.as_object_mut() {
        object.insert("image".to_owned(), args.image.to_string_lossy().into());
        // The output adds the same.
        object.remove("warnings");
    }
    if !args.files
        && let Some(Value::Object(initramfs)) = result.get_mut("initramfs")
    {
        initramfs.remove("files");
    }
    output.result(result);
    Ok(())
}
